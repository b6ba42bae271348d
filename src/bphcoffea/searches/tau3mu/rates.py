"""How many τ → 3μ decays are expected for each Ds → φ(μμ)π decay.

Formulas and corrections: CMS, Phys. Lett. B 853 (2024) 138633, section 4. Relative uncertainties
without another source are those of its public datacards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final


@dataclass(frozen=True)
class Factor:
    """A number with its uncertainty.

    Attributes
    ----------
    value
        The number.
    relative
        Its relative uncertainty.
    source
        Where they come from.
    """

    value: float
    relative: float
    source: str = ""

    def as_json(self) -> dict[str, Any]:
        """Content for JSON."""
        return {"value": self.value, "uncertainty": self.relative, "source": self.source}


_PAPER: Final = "PLB 853 (2024) 138633"
_CARDS: Final = "public datacards of PLB 853 (2024) 138633"

#: B(Ds → τν), and B(Ds → φπ) · B(φ → μμ).
DS_TO_TAU: Final = Factor(5.32e-2, 0.03, f"PDG; uncertainty: {_CARDS}")
DS_TO_PHI_PI: Final = Factor(1.3e-5, 0.08, f"PDG; uncertainty: {_CARDS}")
#: B(B → τX): mean of B+ (3.33e-2) and B0 (3.35e-2).
B_TO_TAU: Final = Factor(3.34e-2, 0.03, f"{_PAPER}; uncertainty: {_CARDS}")
#: B(B → DsX), mixture of B+ and B0. The PDG's own uncertainty is 0.008, which is 9.6%.
B_TO_DS: Final = Factor(0.083, 0.05, f"PDG; uncertainty: {_CARDS}")
#: Relative uncertainty of the fraction of Ds from b hadrons, unless one is given.
FRACTION_B_UNCERTAINTY: Final = 0.03
#: τ from D+ beside those from Ds, and from Bs beside those from B+ and B0: the correction itself is
#: its uncertainty.
DPLUS: Final = Factor(1.04, 0.04 / 1.04, _PAPER)
BS: Final = Factor(1.12, 0.12 / 1.12, _PAPER)
#: All events over those of the trigger on two muons and a track, the only one that is required.
TRIMUON: Final = Factor(1.28, 0.03 / 1.28, _PAPER)

#: Relative uncertainties of the signal that are independent in each year.
TRIGGER: Final = 0.14
CLASSIFIER: Final = 0.10
ACCEPTANCE: Final = 0.01
#: Replaced by the variations of muon weights where the run has some.
MUON_EFFICIENCY: Final = 0.015
#: Of the yield of Ds → φπ, in place of the difference of its two fit models where one is not valid.
FIT_MODEL: Final = 0.06


@dataclass(frozen=True)
class Corrections:
    """Factors of the expected signal for what simulation and selection lack.

    Attributes
    ----------
    dplus
        Of the τ from D mesons: those from D+.
    bs
        Of the τ from b hadrons: those from Bs.
    trimuon
        Of all: events that only the trigger on three muons took.
    """

    dplus: Factor = DPLUS
    bs: Factor = BS
    trimuon: Factor = TRIMUON

    def as_json(self) -> dict[str, Any]:
        """Content for JSON."""
        names = ("dplus", "bs", "trimuon")
        return {name: getattr(self, name).as_json() for name in names}


STANDARD: Final = Corrections()


def decays_from_d(phi_pi: float, corrections: Corrections = STANDARD) -> float:
    """Return how many τ from D mesons decayed in any way.

    Parameters
    ----------
    phi_pi
        Ds → φ(μμ)π that decayed in the luminosity of the search: the yield over its efficiency.
    corrections
        Those of `dplus` and `trimuon` apply.

    Returns
    -------
    The Ds → φ(μμ)π times B(Ds → τν)/B(Ds → φ(μμ)π), corrected. Times the efficiency of τ → 3μ and
    B(τ → 3μ), it is the number that is selected.
    """
    ratio = DS_TO_TAU.value / DS_TO_PHI_PI.value
    return phi_pi * ratio * corrections.dplus.value * corrections.trimuon.value


def decays_from_b(phi_pi: float, fraction: float, corrections: Corrections = STANDARD) -> float:
    """Return how many τ from b hadrons decayed in any way.

    Parameters
    ----------
    phi_pi
        As in :func:`decays_from_d`.
    fraction
        Part of the Ds that comes from b hadrons.
    corrections
        Those of `bs` and `trimuon` apply.

    Returns
    -------
    The Ds → φ(μμ)π times f · B(B → τX)/[B(B → DsX) · B(Ds → φ(μμ)π)], corrected.
    """
    ratio = B_TO_TAU.value / (B_TO_DS.value * DS_TO_PHI_PI.value)
    return phi_pi * fraction * ratio * corrections.bs.value * corrections.trimuon.value
