"""Lines and tables of limits on B(τ → 3μ)."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from bphcoffea.rounding import with_error
from bphcoffea.searches.tau3mu.limit_record import BranchingLimit
from bphcoffea.searches.tau3mu.normalisation import NO_FRACTION


def report(limit: BranchingLimit, *, unblind: bool = True) -> Iterator[str | Table]:
    """Yield a table of limits per confidence level, and lines about their inputs."""
    blinded = limit.blinded or not unblind
    for number, level in enumerate(limit.levels):
        title = f"upper limits on B(τ → 3μ) at {100 * level:.4g}% CL, in units of 1e-8"
        table = Table("", "expected", "±1σ", "±2σ", "observed", title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for group in limit.limits:
            of_level = group.limits[number]
            lowest, low, median, high, highest = map(_in_1e8, of_level.expected)
            observed = "blinded" if blinded else _in_1e8(of_level.observed)
            table.add_row(
                group.name, median, f"{low} to {high}", f"{lowest} to {highest}", observed
            )
        yield table
    for group in limit.limits:
        if not blinded and (fitted := group.fitted):
            branching = with_error(1e8 * fitted.branching, 1e8 * fitted.error)
            significance = f"{fitted.significance:.2g}σ"
            yield f"{group.name}: fitted B(τ → 3μ) = ({branching})e-8, {significance}"
    for year, signal in limit.years.items():
        events = sum(sum(by_origin.values()) for by_origin in signal.events.values())
        scaled = (
            "asserted to be the same data"
            if signal.phi_pi.same_data
            else f"luminosity of the search over theirs {signal.luminosity_ratio:.4g}"
        )
        yield (
            f"{year}: {signal.phi_pi.fitted:,.0f} Ds → φπ fitted, {scaled}; {events:.3g} τ → 3μ "
            f"expected at B = {limit.branching:g}"
        )
    corrections = limit.corrections.as_json()
    factors = ", ".join(f"{name} {factor['value']:g}" for name, factor in corrections.items())
    yield f"corrections of the expected signal: {factors}"
    notes = [note for signal in limit.years.values() for note in signal.notes]
    notes += limit.notes
    notes += [f"{channel.name}: {note}" for channel in limit.channels for note in channel.notes]
    for note in dict.fromkeys(notes):
        yield f"note: {note}"
    if not limit.run_blinded:
        yield "note: the run is not blind: its results include data in the signal windows"
    if limit.partial:
        yield "note: this limit is preliminary: it was made of partial runs"
    if NO_FRACTION in notes:
        yield "note: give the fraction of Ds from b hadrons with --f-b"


def _in_1e8(value: float | None) -> str:
    """Return a branching fraction in units of 1e-8; a dash if it is unknown."""
    return "–" if value is None else f"{1e8 * value:.3g}"
