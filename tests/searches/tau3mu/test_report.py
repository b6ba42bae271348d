"""What a report shows of an unblinded limit: the observed one on request alone."""

from types import SimpleNamespace

import pytest

from bphcoffea.report import comparison
from bphcoffea.report.tables import Table
from bphcoffea.statistics import search_of

SIMULATION = (("d18", "tau3mu_d", "2018D", 0.25, (300,)),)


def test_what_was_observed_is_shown_on_request_alone(tau3mu, phi_pi, bphcoffea):
    run = tau3mu(years=("2018",), simulation=SIMULATION, categories=("A",), blind=False)
    words = ("--normalisation", phi_pi().path, "--level", "0.9", "--unblind")
    ended = bphcoffea("limit", run.path, *words)
    assert ended.status == 0, ended.err
    search = search_of(run)
    (limit,) = search.record(run).limits[0].limits
    for unblind in (False, True):
        table, *lines = search.report(search.record(run), unblind=unblind)
        shown = Table.of_terminal(table)
        assert shown.caption.startswith("upper limits on B(τ → 3μ) at 90% CL")
        assert [name for name in shown.header if name] == ["expected", "±1σ", "±2σ", "observed"]
        (row,) = shown.cells
        assert row[1].value == float(f"{1e8 * limit.expected[2]:.3g}")
        observed = f"{1e8 * limit.observed:.3g}" if unblind else "blinded"
        assert row[-1].text == observed
        assert any("fitted B(τ → 3μ)" in line for line in lines) is unblind


def test_limits_of_runs_stand_side_by_side(tau3mu, phi_pi, bphcoffea):
    run = tau3mu(years=("2018",), simulation=SIMULATION, categories=("A",), blind=False)
    levels = ("--level", "0.9", "--level", "0.95")
    ended = bphcoffea("limit", run.path, "--normalisation", phi_pi().path, *levels)
    assert ended.status == 0, ended.err
    search = search_of(run)

    def report(record):
        contents = search.report(record)
        tables = [Table.of_terminal(each) for each in contents if not isinstance(each, str)]
        return SimpleNamespace(limits=tables)

    record = search.record(run)
    content = record.as_json()
    for limit in content["limits"][0]["limits"]:
        limit["expected"] = [2 * value for value in limit["expected"]]
    content["limits"][0]["limits"].pop()  # the other has one level only
    content["levels"].pop()
    reports = [report(record), report(type(record).from_json(content))]
    tables = {table.caption: table for table in comparison._limits(reports, ("old", "new"))}
    assert len(tables) == 2 * 4
    caption = "upper limits on B(τ → 3μ) at {}% CL, in units of 1e-8: {}"
    first, second = (each.limits[0].cells[0] for each in reports)
    table = tables[caption.format(90, "expected")]
    assert table.header == ["limit", "old", "new", "new − old"]
    ((name, old, new, change),) = table.cells
    assert (name.text, old, new) == (first[0].text, first[1], second[1])
    assert change.text == "+100%" or change.value == pytest.approx(1, rel=0.01)
    assert change.differs
    ((*_, change),) = tables[caption.format(90, "observed")].cells
    assert (change.text, change.differs) == ("same", False)
    ((*_, change),) = tables[caption.format(90, "±1σ")].cells
    assert (change.text, change.differs) == ("differs", True)
    ((_, old, new, change),) = tables[caption.format(95, "expected")].cells
    assert (old.text != "–", new.text, new.differs) == (True, "–", True)
