"""Expected number of τ → 3μ decays per Ds → φ(μμ)π decay.

Formulas and corrections are those of CMS, Phys. Lett. B 853 (2024) 138633, section 4. Relative
uncertainties without another source are from its public datacards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bphcoffea.statistics import Record


@dataclass(frozen=True)
class Factor(Record):
    """A number with its uncertainty.

    Attributes
    ----------
    value
        The number.
    uncertainty
        Its relative uncertainty.
    source
        Origin of both.
    """

    value: float
    uncertainty: float
    source: str = ""


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
#: Corrections for τ from D+ in addition to Ds, and from Bs in addition to B+ and B0; the size of a
#: correction is its uncertainty.
DPLUS: Final = Factor(1.04, 0.04 / 1.04, _PAPER)
BS: Final = Factor(1.12, 0.12 / 1.12, _PAPER)
#: Events of all triggers over those of the trigger on two muons and a track, which is required.
TRIMUON: Final = Factor(1.28, 0.03 / 1.28, _PAPER)

#: Relative uncertainties of the signal that are independent in each year.
TRIGGER: Final = 0.14
CLASSIFIER: Final = 0.10
ACCEPTANCE: Final = 0.01
#: Only without variations of muon weights in the run.
MUON_EFFICIENCY: Final = 0.015
#: Relative uncertainty of the yield of Ds → φπ if the alternative fit model is not valid.
FIT_MODEL: Final = 0.06


@dataclass(frozen=True)
class Corrections(Record):
    """Factors for signal that simulation and selection lack.

    Attributes
    ----------
    dplus
        Factor of the τ from D mesons, for those from D+.
    bs
        Factor of the τ from b hadrons, for those from Bs.
    trimuon
        Factor of all τ, for events that only the trigger on three muons selects.
    """

    dplus: Factor = DPLUS
    bs: Factor = BS
    trimuon: Factor = TRIMUON


STANDARD: Final = Corrections()


def decays_from_d(phi_pi: float, corrections: Corrections = STANDARD) -> float:
    """Return the number of decays of τ from D mesons, of any kind.

    Multiplied by the efficiency and branching fraction of τ → 3μ it is the number of selected
    events.

    Parameters
    ----------
    phi_pi
        Number of Ds → φ(μμ)π decays in the luminosity of the search: the yield over its efficiency.
    corrections
        Corrections, of which `dplus` and `trimuon` apply.

    Returns
    -------
    The corrected product of ``phi_pi`` and B(Ds → τν)/B(Ds → φ(μμ)π).
    """
    ratio = DS_TO_TAU.value / DS_TO_PHI_PI.value
    return phi_pi * ratio * corrections.dplus.value * corrections.trimuon.value


def decays_from_b(phi_pi: float, fraction: float, corrections: Corrections = STANDARD) -> float:
    """Return the number of decays of τ from b hadrons, of any kind.

    Parameters
    ----------
    phi_pi
        Number of Ds → φ(μμ)π decays, see :func:`decays_from_d`.
    fraction
        Fraction f of the Ds that comes from b hadrons.
    corrections
        Corrections, of which `bs` and `trimuon` apply.

    Returns
    -------
    The corrected product of ``phi_pi`` and f · B(B → τX)/[B(B → DsX) · B(Ds → φ(μμ)π)].
    """
    ratio = B_TO_TAU.value / (B_TO_DS.value * DS_TO_PHI_PI.value)
    return phi_pi * fraction * ratio * corrections.bs.value * corrections.trimuon.value
