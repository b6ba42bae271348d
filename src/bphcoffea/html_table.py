"""Tables that notebooks show in place of an object's ``repr``."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """Return an HTML table, with all texts escaped.

    >>> html_table(["step"], [["a < b"]])
    '<table><thead><tr><th>step</th></tr></thead><tbody><tr><td>a &lt; b</td></tr></tbody></table>'
    """

    def row(cells: Iterable[object], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(str(c))}</{tag}>' for c in cells)}</tr>"

    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    body = "".join(row(cells, "td") for cells in rows)
    return f"<table>{title}<thead>{row(header, 'th')}</thead><tbody>{body}</tbody></table>"
