"""Lines and tables that show limits on B(τ → 3μ)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from bphcoffea.searches.tau3mu.normalisation import NO_FRACTION


def report(content: Mapping[str, Any]) -> Iterator[str | Table]:
    """Yield the limits of each category, each year and all together, and what they depend on."""
    for number, level in enumerate(content["levels"]):
        title = f"upper limits on B(τ → 3μ) at {100 * level:.4g}% CL, in units of 1e-8"
        table = Table("", "expected", "±1σ", "±2σ", "observed", title=title, title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for known in content["limits"]:
            limit = known["limits"][number]
            lowest, low, median, high, highest = (_in_1e8(value) for value in limit["expected"])
            observed = "blinded" if content["blinded"] else _in_1e8(limit["observed"])
            table.add_row(
                known["name"], median, f"{low} to {high}", f"{lowest} to {highest}", observed
            )
        yield table
    for known in content["limits"]:
        if fitted := known["fitted"]:
            yield (
                f"{known['name']}: fitted B(τ → 3μ) = ({1e8 * fitted['branching']:.3g} ± "
                f"{1e8 * fitted['error']:.2g})e-8, {fitted['significance']:.2g}σ"
            )
    for year, known in content["years"].items():
        events = sum(sum(each.values()) for each in known["events"].values())
        phi_pi = known["phi_pi"]
        scaled = (
            "asserted to be the same data"
            if phi_pi["same_data"]
            else f"luminosity of the search over theirs {known['luminosity_ratio']:.4g}"
        )
        yield (
            f"{year}: {phi_pi['fitted']:,.0f} Ds → φπ fitted, {scaled}; {events:.3g} τ → 3μ "
            f"expected at B = {content['branching']:g}"
        )
    factors = ", ".join(f"{name} {f['value']:g}" for name, f in content["corrections"].items())
    yield f"corrections of the expected signal: {factors}"
    years = content["years"].values()
    channels = ((f"{c['name']}: ", c["notes"]) for c in content["channels"])
    notes = [note for year in years for note in year["notes"]] + content["notes"]
    notes += [f"{name}{note}" for name, own in channels for note in own]
    for note in dict.fromkeys(notes):
        yield f"note: {note}"
    if not content["run_blinded"]:
        yield "note: the run is not blind: its results include data in the signal windows"
    if content["partial"]:
        yield "note: this limit is a try: it is made of partial runs"
    if any(NO_FRACTION in year["notes"] for year in years):
        yield "note: give the fraction of Ds from b hadrons with --f-b"


def _in_1e8(value: float | str | None) -> str:
    """A branching fraction in units of 1e-8; it may be infinite, or unknown."""
    return f"{1e8 * value:.3g}" if isinstance(value, float) else str(value or "–")
