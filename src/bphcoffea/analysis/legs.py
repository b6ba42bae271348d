"""Variables of the legs of a candidate: the particles that it consists of.

Calls with the same arguments return the same variable, which may be used in a cut and in a column.
"""

from __future__ import annotations

from functools import cache

from bphcoffea.analysis.variables import Axis, Variable
from bphcoffea.physics import delta_r

#: Symbols of legs in figures, in mathtext.
SYMBOL = {
    "mu1": r"\mu_1",
    "mu2": r"\mu_2",
    "mu3": r"\mu_3",
    "track": r"\pi",
}


@cache
def leg_pt(collection: str, leg: str) -> Variable:
    """Transverse momentum of a leg, GeV, named ``<leg>_pt``."""
    return Variable(
        f"{leg}_pt",
        lambda events: events[collection][leg].pt,
        f"$p_T({SYMBOL.get(leg, leg)})$",
        "GeV",
        Axis(50, 0, 25),
    )


@cache
def leg_eta(collection: str, leg: str) -> Variable:
    """Pseudorapidity of a leg, named ``<leg>_eta``."""
    return Variable(
        f"{leg}_eta", lambda events: events[collection][leg].eta, rf"$\eta({SYMBOL.get(leg, leg)})$"
    )


@cache
def leg_abs_eta(collection: str, leg: str) -> Variable:
    """Magnitude of the pseudorapidity of a leg, named ``<leg>_abs_eta``."""
    return Variable(
        f"{leg}_abs_eta",
        lambda events: abs(events[collection][leg].eta),
        rf"$|\eta({SYMBOL.get(leg, leg)})|$",
        axis=Axis(50, 0, 2.5),
    )


@cache
def separation(collection: str, first: str, second: str) -> Variable:
    """ΔR between two legs, named ``delta_r_<first>_<second>``."""
    return Variable(
        f"delta_r_{first}_{second}",
        lambda events: delta_r(events[collection][first], events[collection][second]),
        rf"$\Delta R({SYMBOL.get(first, first)}, {SYMBOL.get(second, second)})$",
        axis=Axis(50, 0, 1),
    )
