"""Lines and tables of a limit on |V|²."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.hnl.limit_record import MixingLimit, in_words
from bphcoffea.statistics import MEDIAN


def report(limit: MixingLimit, *, unblind: bool = True) -> Iterator[str | Table]:
    """Yield a table of the excluded |V|², and lines about statistics and normalisation."""
    title = f"|V|² excluded at {limit.level:.0%} CL, {limit.neutrino.capitalize()} N"
    table = Table(
        "m [GeV]", "expected", "±1σ of its lower end", "observed", title=title, title_justify="left"
    )
    for hypothesis in limit.hypotheses:
        ends = (hypothesis.expected[MEDIAN - 1], hypothesis.expected[MEDIAN + 1])
        lower = [f"{ranges[0].low:.3g}" if ranges else "–" for ranges in ends]
        shown = hypothesis.observed if unblind else None
        observed = "blinded" if shown is None else in_words(shown)
        expected = in_words(hypothesis.expected[MEDIAN])
        table.add_row(f"{hypothesis.mass:g}", expected, " to ".join(lower), observed)
    yield table
    yield _statistics_of(limit)
    yield _normalisation_of(limit.normalisation)
    for note in (*limit.normalisation.notes, *limit.notes):
        yield f"note: {note}"
    if not limit.run_blinded:
        yield "note: the run is not blind: its results include data in the signal windows"
    if limit.partial:
        yield "note: this limit is preliminary: it was made of partial runs"
    if limit.normalisation.prompt == 1:
        yield "note: all Ds count as prompt; set their prompt fraction with --f-prompt"


def _statistics_of(limit: MixingLimit) -> str:
    """Return which points have CLs from toys, and which from formulae."""
    numbers = [point.toys for hypothesis in limit.hypotheses for point in hypothesis.points]
    sampled = sum(1 for number in numbers if number)
    if not sampled:
        return "CLs: asymptotic formulae"
    rest = len(numbers) - sampled
    where = f" at {sampled} points, asymptotic formulae at {rest}" if rest else ""
    return f"CLs: {max(numbers)} toys of each hypothesis (seed {limit.seed}){where}"


def _normalisation_of(normalisation: DsYield) -> str:
    """Return the data of the number of Ds, and its scale to the search."""
    data, search = normalisation.data, normalisation.search
    fitted = f"{normalisation.fitted:,.0f} Ds → φπ fitted in {data}"
    if normalisation.same_data or data is None or search is None:
        return (
            f"normalisation: {fitted}, not scaled: asserted to be the same data as those of "
            f"the search, {search}"
        )
    return (
        f"normalisation: {fitted} ({data.luminosity:.4g} fb⁻¹), times "
        f"{normalisation.luminosity_ratio:.4g} for the {search.luminosity:.4g} fb⁻¹ of the search "
        f"in {search}"
    )
