"""Uncertainties of a generator: alternative weights, combined bin by bin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import numpy as np

from bphcoffea.arrays import Floats

#: Rule by which alternative weights become an uncertainty; names of PDF sets are LHAPDF's.
CombinationRule: TypeAlias = Literal["symmhessian", "hessian", "replicas", "envelope", "sides"]
#: Confidence level of one standard deviation, %.
ONE_SIGMA: Final = 68.0


@dataclass(frozen=True, order=True)
class Combination:
    """Combination of alternative weights (members) into one two-sided variation.

    The rules, for deviations dₖ of the members from the reference:

    - ``symmhessian``: ±√Σdₖ²
    - ``hessian``: members are pairs; +√Σ max(d₂ₖ, d₂ₖ₊₁, 0)² and -√Σ min(d₂ₖ, d₂ₖ₊₁, 0)²
    - ``replicas``: ± the standard deviation of the members
    - ``envelope``: the largest and smallest dₖ, or 0
    - ``sides``: the members are the variation down and up

    The first three are those of the PDF4LHC recommendations [J. Butterworth et al., J. Phys. G 43
    (2016) 023001, equations 20 to 22].

    Attributes
    ----------
    name
        Name of the variation, without the side.
    rule
        Rule of the combination.
    members
        Names of the members, in the order of the generator.
    reference
        Name of the member from which deviations are measured; empty for the nominal content.
    confidence
        Confidence level of the members, %; the result is for one standard deviation.

    Examples
    --------
    >>> pdf = Combination("pdf", "symmhessian", ("pdf_1", "pdf_2"))
    >>> members = {"pdf_1": np.array([13.0]), "pdf_2": np.array([6.0])}
    >>> pdf.sides(np.array([10.0]), members)
    (array([15.]), array([5.]))
    """

    name: str
    rule: CombinationRule
    members: tuple[str, ...]
    reference: str = ""
    confidence: float = ONE_SIGMA

    def sides(self, nominal: Floats, contents: Mapping[str, Floats]) -> tuple[Floats, Floats]:
        """Return the content of each bin under the variation up and down.

        Parameters
        ----------
        nominal
            Nominal content of each bin, of any shape.
        contents
            Contents under the members and the reference, by name, each of that shape.
        """
        reference = contents[self.reference] if self.reference else nominal
        up, down = _RULES[self.rule]([contents[name] - reference for name in self.members])
        scale = 1.0
        if self.confidence != ONE_SIGMA:
            scale = NormalDist().inv_cdf(0.5 + self.confidence / 200)
        return nominal + up / scale, nominal + down / scale


def _symmetric(deviations: list[Floats]) -> tuple[Floats, Floats]:
    total = np.sqrt(sum(np.square(d) for d in deviations))
    return total, -total


def _pairs(deviations: list[Floats]) -> tuple[Floats, Floats]:
    pairs = list(zip(deviations[::2], deviations[1::2], strict=True))
    up = np.sqrt(sum(np.square(np.maximum(np.maximum(a, b), 0)) for a, b in pairs))
    down = np.sqrt(sum(np.square(np.minimum(np.minimum(a, b), 0)) for a, b in pairs))
    return up, -down


def _spread(deviations: list[Floats]) -> tuple[Floats, Floats]:
    spread: Floats = np.std(deviations, axis=0, ddof=1)
    return spread, -spread


def _extremes(deviations: list[Floats]) -> tuple[Floats, Floats]:
    return np.maximum(np.max(deviations, axis=0), 0), np.minimum(np.min(deviations, axis=0), 0)


def _both_sides(deviations: list[Floats]) -> tuple[Floats, Floats]:
    down, up = deviations
    return up, down


_RULES: Final[Mapping[CombinationRule, Callable[[list[Floats]], tuple[Floats, Floats]]]] = (
    MappingProxyType(
        {
            "symmhessian": _symmetric,
            "hessian": _pairs,
            "replicas": _spread,
            "envelope": _extremes,
            "sides": _both_sides,
        }
    )
)


def top_pt_weight(pt: Floats) -> Floats:
    """Return the ratio of the top quark's pT spectrum in data to POWHEG's at NLO.

    exp(0.0615 - 0.0005 pT/GeV) [CMS, TOP PAG, reweighting of tt̄ at 13 TeV].

    Parameters
    ----------
    pt
        Generated transverse momentum of the top quark, after radiation, GeV.
    """
    return np.exp(0.0615 - 0.0005 * pt)
