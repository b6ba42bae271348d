"""Differences between the toys' simulation and data, as tables: the truth of the corrections.

Each event has a number of interactions, drawn from different profiles in data and simulation. Data
lose muons that simulation keeps, in their reconstruction and in their identification; the ratio of
efficiencies is a table in the measured η and pT. Data are therefore simulation with the weight

    pile-up(interactions) · Π over both muons of reconstruction(η, pT) · identification(η, pT).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from bphcoffea.toys.decay import Floats, Integers

#: Number of bins of the profiles; the largest number of interactions is one less.
MOST_INTERACTIONS: Final = 100
#: Mean and width of the numbers of interactions, before they are cut at 0 and 99. The profile of
#: simulation is wider than that of data on both sides, so that weights stay below 2.
DATA_INTERACTIONS: Final = (32.0, 12.0)
MC_INTERACTIONS: Final = (38.0, 15.0)
#: Relative uncertainty of the mean in data, from the inelastic cross section [LUM POG].
INTERACTIONS_UNCERTAINTY: Final = 0.046

#: Fraction of the muons of simulation that are not global and PF, relative to the square of the
#: number of interactions: 3.5% with the pile-up of data. A linear dependence would hide the wider
#: profile of simulation in yields.
_LOST_FOR_INTERACTIONS_SQUARED: Final = 3e-5


def pileup_profile(mean: float, width: float) -> Floats:
    """Return the probability of each number of interactions, a truncated Gaussian, shape (100,)."""
    number = np.arange(MOST_INTERACTIONS)
    bell = np.exp(-(((number - mean) / width) ** 2) / 2)
    profile: Floats = bell / np.sum(bell)
    return profile


def pileup_weights(shift: float = 0.0) -> Floats:
    """Return the ratio of (shifted) data to simulation per number of interactions, shape (100,)."""
    mean, width = DATA_INTERACTIONS
    data = pileup_profile(mean * (1 + shift), width * (1 + shift))
    ratio: Floats = data / pileup_profile(*MC_INTERACTIONS)
    return ratio


def draw_interactions(n: int, is_mc: bool, rng: np.random.Generator) -> Integers:
    """Draw the number of interactions of each event, shape (n,)."""
    profile = pileup_profile(*(MC_INTERACTIONS if is_mc else DATA_INTERACTIONS))
    return rng.choice(MOST_INTERACTIONS, n, p=profile)


@dataclass(frozen=True)
class ScaleFactors:
    """Ratio of an efficiency in data to that in simulation, in bins of a muon's η and pT.

    Attributes
    ----------
    eta, pt
        Edges of the bins; pT in GeV.
    nominal
        The ratio, shape (η bins, pT bins).
    stat, syst
        Invented absolute uncertainties, as a measurement would have.
    """

    eta: Floats
    pt: Floats
    nominal: Floats
    stat: Floats
    syst: Floats

    def at(self, eta: Floats, pt: Floats) -> Floats:
        """Return the ratio for muons, beyond the table that of the nearest bin, shape (n,)."""
        row = np.searchsorted(self.eta[1:-1], eta, side="right")
        column = np.searchsorted(self.pt[1:-1], pt, side="right")
        ratio: Floats = self.nominal[row, column]
        return ratio

    @property
    def folded(self) -> "ScaleFactors":
        """The ratio in bins of |η|, as a measurement that ignores the sign would find."""
        half = len(self.nominal) // 2
        positive, negative = slice(half, None), slice(half - 1, None, -1)
        return ScaleFactors(
            self.eta[half:],
            self.pt,
            (self.nominal[positive] + self.nominal[negative]) / 2,
            np.hypot(self.stat[positive], self.stat[negative]) / 2,
            (self.syst[positive] + self.syst[negative]) / 2,
        )


#: Edges of the bins. The acceptance of the selection, |η| < 2.4 and pT > 2 GeV, lies inside, with
#: room for shifts of momenta; the spectrum falls with 6 GeV and never comes near the end.
_ETA: Final = np.array([-2.4, -2.1, -1.2, -0.9, 0.0, 0.9, 1.2, 2.1, 2.4])
_PT: Final = np.array([1.5, 2.5, 3.5, 4.5, 6.0, 8.0, 12.0, 20.0, 30.0, 200.0])


def _table(value: Callable[[Floats, Floats], Floats]) -> ScaleFactors:
    """Tabulate a function of the middle η and pT of each bin, with four digits."""
    eta = ((_ETA[1:] + _ETA[:-1]) / 2)[:, np.newaxis]
    pt = np.sqrt(_PT[1:] * _PT[:-1])[np.newaxis]
    nominal = value(eta, pt)
    stat = 0.0004 + 0.0001 * pt * (1 + 0.2 * np.abs(eta))
    syst = 0.0015 + 0.0020 / pt + 0.0005 * np.abs(eta)
    return ScaleFactors(_ETA, _PT, np.round(nominal, 4), np.round(stat, 4), np.round(syst, 4))


# invented: muons are lost at low pT and forward, in the gap between barrel and endcap, and more on
# one side than on the other
#: Being global and PF.
IDENTIFICATION: Final = _table(
    lambda eta, pt: (
        0.990
        - 0.016 * (eta / 2.25) ** 2
        - 0.020 * np.exp(-(pt - 2) / 4)
        - 0.006 * ((np.abs(eta) > 0.9) & (np.abs(eta) < 1.2))
        + 0.004 * np.sign(eta)
    )
)
#: Being reconstructed.
RECONSTRUCTION: Final = _table(
    lambda eta, pt: (
        0.995 - 0.012 * (eta / 2.25) ** 2 - 0.009 * np.exp(-(pt - 2) / 5) - 0.002 * np.sign(eta)
    )
)
#: Being a soft muon; the toys do not use it, so that applying it by mistake shows.
SOFT: Final = _table(
    lambda eta, pt: 0.955 - 0.020 * (eta / 2.25) ** 2 - 0.030 * np.exp(-(pt - 2) / 3)
)


def identification_efficiency(
    eta: Floats, pt: Floats, interactions: Integers, is_mc: bool
) -> Floats:
    """Return the probability of muons to be global and PF, shape (n,).

    Parameters
    ----------
    eta, pt
        Measured momenta, pT in GeV, shape (n,).
    interactions
        Number of interactions in each muon's event, shape (n,).
    is_mc
        Whether to return the efficiency in simulation.
    """
    in_mc: Floats = 1 - _LOST_FOR_INTERACTIONS_SQUARED * interactions.astype(np.float64) ** 2
    return in_mc if is_mc else in_mc * IDENTIFICATION.at(eta, pt)


def reconstruction_efficiency(eta: Floats, pt: Floats, is_mc: bool) -> Floats:
    """Return the probability of muons not to be lost in data only, shape (n,)."""
    return np.ones(len(pt)) if is_mc else RECONSTRUCTION.at(eta, pt)
