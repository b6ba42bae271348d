"""What a report shows of an unblinded limit: the observed one on request alone."""

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
