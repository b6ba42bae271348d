"use strict";
(() => {
  // colours: those of the system, until a choice is made
  const root = document.documentElement, button = document.getElementById("theme");
  const themes = ["automatic", "light", "dark"];
  const store = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
                  set: (name) => { try { localStorage.setItem("theme", name); } catch { /* not kept */ } } };
  const show = (name) => {
    if (name === "automatic") delete root.dataset.theme; else root.dataset.theme = name;
    button.textContent = `Colours: ${name}`;
    button.value = name;
  };
  show(themes.includes(store.get()) ? store.get() : "automatic");
  button.hidden = false;
  button.addEventListener("click", () => {
    const next = themes[(themes.indexOf(button.value) + 1) % themes.length];
    show(next);
    store.set(next);
  });

  // a click on a header sorts: numbers by value, texts by alphabet, empty cells last
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const order = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return a.localeCompare(b, undefined, { numeric: true });
  };
  for (const table of document.querySelectorAll("table")) {
    const headers = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    headers.forEach((header, column) => {
      const cells = [...body.rows].map((row) => row.cells[column]);
      if (cells.some((cell) => cell.dataset.value !== undefined)) header.classList.add("number");
      if (body.rows.length < 2) return;
      const sorter = document.createElement("button");
      sorter.type = "button";
      sorter.textContent = header.textContent;
      header.replaceChildren(sorter);
      sorter.addEventListener("click", () => {
        const sign = header.getAttribute("aria-sort") === "ascending" ? -1 : 1;
        headers.forEach((other) => other.removeAttribute("aria-sort"));
        header.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const rows = [...body.rows].sort((a, b) => sign * order(key(a, column), key(b, column)));
        body.append(...rows);
      });
    });
  }
})();
