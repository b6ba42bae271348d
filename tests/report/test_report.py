"""The report of a run: it says what the files of the run say, and needs nothing else."""

import itertools
import json
import re
import shutil
from html.parser import HTMLParser

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure
from small_runs import edited, small_copy

from bphcoffea.presentation import new_figure
from bphcoffea.report import sections, write_report
from bphcoffea.report.figures import inline_svg
from bphcoffea.report.page import render
from bphcoffea.results import RunFolder
from bphcoffea.rounding import rounded
from bphcoffea.storage import OccupiedError

#: Elements without an end.
VOID = {"meta", "br", "img", "link", "input", "hr", "wbr"}
ODD = "a<b>&\"'</table><script>alert(1)</script>"


class Page(HTMLParser):
    """Tables by their caption, identifiers, links and texts of a page."""

    def __init__(self, text):
        super().__init__()
        self.tables, self.ids, self.targets, self.open = {}, [], [], []
        self.resources, self.scripts, self.headings, self.scopes = [], 0, [], []
        self.figures, self._rows, self._text = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [found["id"]] if "id" in found else []
        link = found.get("href", "")
        self.targets += [link[1:]] if link.startswith("#") else []
        self.targets += re.findall(r"url\(#([^)]*)\)", " ".join(map(str, found.values())))
        self.resources += [found[key] for key in ("src", "srcset", "data") if key in found]
        self.resources += [link] if link and not link.startswith("#") else []
        self.scripts += tag == "script"
        self.headings += [int(tag[1])] if re.fullmatch("h[1-6]", tag) else []
        self.scopes += [found.get("scope")] if tag == "th" else []
        if found.get("role") == "img":
            self.figures.append(found["aria-label"])
        if tag == "table":
            self._rows, self._caption = [], ""
        elif tag == "tr":
            self._rows.append([])
        if tag in ("td", "th", "caption"):
            self._text = ""

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag in ("td", "th"):
            self._rows[-1].append(self._text)
        elif tag == "caption":
            self._caption = self._text
        elif tag == "table":
            assert self._caption not in self.tables, self._caption
            self.tables[self._caption] = self._rows

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_data(self, data):
        self._text += data


@pytest.fixture(scope="module")
def text(fitted_run):
    return (fitted_run.path / "report.html").read_text()


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


@pytest.fixture
def undrawn(monkeypatch):
    """Draw no figures."""
    monkeypatch.setattr(sections, "figures_for_page", lambda *_, **__: iter(()))


def test_every_number_of_the_cutflow_is_in_the_page(fitted_run, page):
    for dataset, steps in fitted_run.cutflow.items():
        _, *rows = page.tables[f"Cutflow of {dataset}"]
        assert len(rows) == len(steps) > 5
        for row, step, before in zip(rows, steps, (steps[0], *steps), strict=False):
            name, events, candidates, sumw, of_previous, of_all, _ = row
            assert name == step["step"]
            assert (events, candidates) == (f"{step['events']:,}", f"{step['candidates']:,}")
            assert float(sumw) == pytest.approx(step["sumw"], rel=1e-5)
            assert of_previous == f"{step['events'] / before['events']:.1%}"
            assert of_all == f"{step['events'] / steps[0]['events']:.1%}"


def test_every_parameter_of_the_fit_is_in_the_page(fitted_run, page, text):
    fit = fitted_run.read("fit.json")
    (caption,) = (name for name in page.tables if name.startswith("Mass fit of mass"))
    assert caption.endswith(f"χ²/ndof = {fit['goodness']['chi2']:.1f}/{fit['goodness']['ndof']}")
    _, *rows = page.tables[caption]
    assert [row[0] for row in rows] == list(fit["parameters"])
    for (_, value, error, unit), parameter in zip(rows, fit["parameters"].values(), strict=True):
        assert value == f"{parameter['value']:.6g}"
        assert error == ("fixed" if parameter["fixed"] else f"{parameter['error']:.4g}")
        assert unit == parameter["unit"]
    peak = fit["parameters"]["n_ds"]
    value, error = rounded(peak["value"], peak["error"])
    assert f"{float(value):,.0f} ± {error}" in text


def test_ledger_luminosity_speed_and_origin_are_in_the_page(fitted_run, page, text):
    for name, counts in fitted_run.read("ledger.json")["datasets"].items():
        row = next(row for row in page.tables["Events of each dataset"] if row[0] == name)
        events = f"{counts['dataset_events']:,}"
        assert row[1:] == [events, events, events, "0", "0"]
    luminosity = {row[0]: row[1] for row in page.tables["Luminosity of the data"]}
    assert luminosity["all"] == f"{fitted_run.read('luminosity.json')['luminosity']:.4g}"
    work = {row[0]: row[2] for row in page.tables["Work by file"][1:]}
    by_file = fitted_run.read("metrics.json")["by_file"]
    assert work == {name: f"{total['events']:,}" for name, total in by_file.items()}
    provenance = fitted_run.read("provenance.json")
    hashes = re.findall(r'"sha256": "(\w+)"', json.dumps(provenance["corrections"]))
    assert len(hashes) > 3
    for found in (*hashes, *provenance["packages"], provenance["fileset_sha256"]):
        assert found in text
    assert "Complete: " in text


def test_variations_are_those_of_the_scaled_histograms(fitted_run, page):
    histogram = fitted_run.normalised_histograms()["mass"]
    simulated = fitted_run.datasets.simulated
    sums = {
        variation: sum(histogram[name, sum, variation, sum].value for name in simulated)
        for variation in histogram.axes["variation"]
    }
    _, *rows = page.tables["Change of the simulation in mass by each variation"]
    *rows, total = rows
    assert {f"{row[0]}Up" for row in rows} == {name for name in sums if name.endswith("Up")}
    squared = {1: 0.0, -1: 0.0}
    for source, *shown in rows:
        # some sources have one direction only
        names = [f"{source}{end}" for end in ("Up", "Down")]
        changes = {name: sums[name] / sums["nominal"] - 1 for name in names if name in sums}
        assert shown == [f"{100 * changes[n]:+.2f}%" if n in changes else "–" for n in names]
        for sign in squared:
            squared[sign] += max(0.0, *(sign * change for change in changes.values())) ** 2
    assert total[1] == f"{100 * squared[1] ** 0.5:+.2f}%"
    assert total[2] == f"{-100 * squared[-1] ** 0.5:+.2f}%"


def test_the_page_needs_nothing_else(page, text):
    assert page.resources == []
    assert not re.search(r"https?://|@import|url\((?!#)", text)
    assert len(text) < 2_000_000


def test_the_structure_of_the_page(page, text):
    assert page.open == []
    assert len(page.ids) == len(set(page.ids))
    assert set(page.targets) <= set(page.ids)
    assert {"main", "summary", "completeness", "fit", "cutflow", "n-1"} <= set(page.ids)
    assert all(second - first <= 1 for first, second in itertools.pairwise(page.headings))
    assert set(page.scopes) == {"row", "col"}
    # and one with the shapes that they share
    assert len(page.figures) == text.count("<svg") - 1 > 5
    assert all(len(label) > 20 for label in page.figures)


def test_odd_names_are_texts(fitted_run, tmp_path, undrawn):
    run = small_copy(fitted_run, tmp_path / "run")
    for path in run.path.glob("*.json"):
        odd = json.dumps(ODD)[1:-1]
        path.write_text(path.read_text().replace("toy_2017", odd))
    text = render([RunFolder(run.path)])
    page = Page(text)
    assert page.scripts == 1
    assert page.open == []
    assert f"Cutflow of {ODD}" in page.tables
    assert ODD in {row[0] for row in page.tables["Luminosity of the data"]}
    assert "alert(1)</script>" not in text


def test_missing_entries_are_listed_with_reasons(fitted_run, tmp_path, undrawn):
    run = small_copy(fitted_run, tmp_path / "run")
    failure = {
        "dataset": "toy_2017",
        "file": "root://host//lost.root",
        "start": 10,
        "stop": 3000,
        "error": "no route <to> host",
        "attempts": 3,
    }
    whole = {**failure, "file": "b.root", "start": 0, "stop": None}

    def lose(ledger):
        ledger["failed"] = [failure, whole]
        ledger["complete"] = False
        ledger["processed_events"] -= 2990

    edited(run.path, "ledger.json", lose)
    text = render([RunFolder(run.path)])
    assert "Incomplete: " in text
    assert "2 files lack entries" in text
    _, first, second = Page(text).tables["Missing entries"]
    place = ["root://host//lost.root", "toy_2017", "10–3,000", "3", "no route <to> host"]
    assert first == place
    assert second[:3] == ["b.root", "toy_2017", "all"]


def test_blinded_data_are_not_counted(fitted_run, tmp_path, undrawn):
    run = small_copy(fitted_run, tmp_path / "run")
    blind = {"histogram": "mass", "variable": "mass", "unit": "GeV", "blinded": False}
    edited(run.path, "analysis.json", lambda content: content.update(blind=blind))
    yields = {}
    for unblind in (False, True):
        text = render([RunFolder(run.path)], unblind=unblind)
        assert "NOT BLIND: the results include data at all values of mass" in text
        yields[unblind] = Page(text).tables["Candidates in the histogram mass"][-1][1]
    data = fitted_run.histograms()["mass"]
    total = sum(data[name, sum, "nominal", sum].value for name in fitted_run.datasets.data)
    assert yields[False] == "blinded"
    assert float(yields[True]) == pytest.approx(total, rel=1e-5)


def test_runs_are_compared(fitted_run, tmp_path, undrawn):
    other = small_copy(fitted_run, tmp_path / "other")

    def change(cutflow):
        cutflow["toy_2017"][-1]["events"] += 7

    edited(other.path, "cutflow.json", change)
    edited(other.path, "provenance.json", lambda content: content["packages"].update(numpy="1.0"))
    text = render([fitted_run, other])
    # each run has all tables
    comparison, *_ = text.partition('<section id="r1-summary"')
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    marked = re.findall(r"<mark>(.*?)</mark>", comparison)
    events = fitted_run.cutflow["toy_2017"][-1]["events"]
    assert f"{100 * 7 / events:+.3g}%" in marked
    # one step differs, and one version
    assert len(marked) == 1 + 2
    assert f"{fitted_run.path.name} − " not in comparison
    assert "other − reported_run" in comparison


def test_a_file_that_is_no_report_is_kept(fitted_run, tmp_path, undrawn, bphcoffea):
    path = tmp_path / "page.html"
    path.write_text("mine")
    with pytest.raises(OccupiedError, match=r"page\.html: exists already and is not a report"):
        write_report([fitted_run], path)
    assert path.read_text() == "mine"
    path.unlink()
    for _ in range(2):
        ended = bphcoffea("report", fitted_run.path, "-o", path)
        assert (ended.status, ended.out) == (0, f"report: {path}\n")
    assert path.read_text().startswith("<!DOCTYPE html>")


def test_the_page_of_a_run_goes_with_it(fitted_run, tmp_path, undrawn):
    folder = tmp_path / "run"
    shutil.copytree(fitted_run.path, folder)
    assert write_report([RunFolder(folder)]) == folder / "report.html"
    assert json.loads((folder / "written.json").read_text())["report.html"] == ["report.html"]


def test_figures_have_the_colours_of_the_page_and_their_own_identifiers():
    figure: Figure = new_figure()
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="black", marker="o", label="--></svg><script>")
    axes.plot([0, 1], [1, 0], color="#e42536")
    axes.axvspan(0.2, 0.4, color="0.5", clip_on=True)
    axes.legend()
    svg = inline_svg(figure, "one-")
    assert "currentColor" in svg
    assert "var(--paper)" in svg
    assert "color-mix(in srgb, var(--paper) 50%, var(--ink))" in svg
    assert "#e42536" in svg
    assert "light-dark(#e42536, color-mix(in srgb, #e42536 65%, white))" in svg
    assert "#000000" not in svg
    assert "script" not in svg
    assert all(each.startswith("one-") for each in re.findall(r' id="([^"]*)"', svg))
    targets = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', svg)
    assert targets
    assert all("".join(each).startswith("one-") for each in targets)
    # glyphs are scaled by small numbers, which keep their digits
    assert re.search(r"scale\(0\.0\d{4,}", svg)
    assert mpl.rcParams["svg.fonttype"] != "svg"


def test_every_figure_finds_its_shapes_which_are_there_once(page, fitted_run):
    text = (fitted_run.path / "report.html").read_text()
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    used = {a or b for a, b in re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', text)}
    assert used <= set(ids)
    shapes = re.findall(r'<path id="[^"]*"([^>]*)/>', text)
    assert len(shapes) == len(set(shapes)) > 20
