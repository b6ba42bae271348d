"""Lines and tables that show a limit on |V|²."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table


def report(limit: Mapping[str, Any]) -> Iterator[str | Table]:
    """Yield the table of excluded |V|² at each mass, and how CLs and normalisation were found."""
    title = f"|V|² excluded at {limit['level']:.0%} CL, {limit['neutrino'].capitalize()} N"
    table = Table(
        "m [GeV]", "expected", "±1σ of its lower end", "observed", title=title, title_justify="left"
    )
    for known in limit["hypotheses"]:
        ends = [known["expected"][index] for index in (1, 3)]
        lower = [f"{ranges[0]['low']:.3g}" if ranges else "–" for ranges in ends]
        observed = "blinded" if known["observed"] is None else _ranges(known["observed"])
        expected = _ranges(known["expected"][2])
        table.add_row(f"{known['mass']:g}", expected, " to ".join(lower), observed)
    yield table
    yield _statistics_of(limit)
    yield _normalisation_of(limit["normalisation"])
    for note in limit["normalisation"]["notes"]:
        yield f"note: {note}"
    if limit.get("run_blinded") is False:
        yield "note: the run is not blind: its results include data in the signal windows"
    if limit["partial"]:
        yield "note: this limit is a try: it is made of partial runs"
    if limit["normalisation"]["prompt"] == 1:
        yield "note: all Ds are taken for prompt; give their part with --f-prompt"


def _statistics_of(result: Mapping[str, Any]) -> str:
    """Say where CLs comes from toys, and where from formulae."""
    numbers = [point["toys"] for known in result["hypotheses"] for point in known["points"]]
    sampled = sum(1 for number in numbers if number)
    if not sampled:
        return "CLs: asymptotic formulae"
    rest = len(numbers) - sampled
    where = f" at {sampled} points, asymptotic formulae at {rest}" if rest else ""
    return f"CLs: {max(numbers)} toys of each hypothesis (seed {result['seed']}){where}"


def _normalisation_of(known: Mapping[str, Any]) -> str:
    """Say which data tell the number of Ds, and how it is scaled to the search."""
    data, search = known["data"], known["search"]
    fitted = f"{known['fitted']:,.0f} Ds → φπ fitted in {', '.join(data['datasets'])}"
    searched = ", ".join(search["datasets"])
    if known["same_data"]:
        return (
            f"normalisation: {fitted}, not scaled: asserted to be the same data as those of "
            f"the search, {searched}"
        )
    return (
        f"normalisation: {fitted} ({data['luminosity']:.4g} fb⁻¹), times "
        f"{known['luminosity_ratio']:.4g} for the {search['luminosity']:.4g} fb⁻¹ of the search "
        f"in {searched}"
    )


def _ranges(ranges: list[Mapping[str, Any]]) -> str:
    return (
        "; ".join(
            f"{'≤ ' if each['open_low'] else ''}{each['low']:.3g} to "
            f"{each['high']:.3g}{' or more' if each['open_high'] else ''}"
            for each in ranges
        )
        or "none"
    )
