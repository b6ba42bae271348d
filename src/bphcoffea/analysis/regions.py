"""Regions of an analysis: parts of the selected events, which may overlap."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from typing_extensions import override

from bphcoffea.analysis.names import check_name
from bphcoffea.analysis.variables import Requirement, check_requirements


class Region:
    """Further requirements on the selected events, or on their best candidates.

    Each histogram is filled once for all selected events, and once for each region.

    Parameters
    ----------
    name
        Name of the region on the axis ``category`` of the histograms.
    requirements
        Requirements that an event of the region meets.
    n_minus_1
        Whether there are N-1 histograms of the variables that the requirements compare.

    Examples
    --------
    >>> from bphcoffea.analysis import number_of
    >>> Region("signal", number_of("bjet") >= 1)
    signal: n_bjet ≥ 1
    """

    def __init__(self, name: str, *requirements: Requirement, n_minus_1: bool = True) -> None:
        check_name("region", name)
        check_requirements(f"region '{name}'", requirements)
        self.name = name
        self.requirements = requirements
        self.n_minus_1 = n_minus_1

    @property
    def steps(self) -> tuple[str, ...]:
        """Steps of the cutflow of the region: the selection, and the text of each requirement."""
        return ("selection", *map(str, self.requirements))

    @override
    def __repr__(self) -> str:
        return f"{self.name}: {', '.join(map(str, self.requirements)) or 'all events'}"


def crossed(*families: Iterable[Region]) -> tuple[Region, ...]:
    """Return a region for each combination of one region of each family.

    Their names are joined by ``_``, their requirements must all be met. They have no N-1
    histograms, which those of the families say already.

    Examples
    --------
    >>> from bphcoffea.analysis import number_of
    >>> jets, tags = number_of("jet"), number_of("bjet")
    >>> crossed([Region("low", jets < 3), Region("high", jets >= 3)], [Region("b", tags >= 1)])
    (low_b: n_jet < 3, n_bjet ≥ 1, high_b: n_jet ≥ 3, n_bjet ≥ 1)
    """
    return tuple(
        Region(
            "_".join(region.name for region in regions),
            *(requirement for region in regions for requirement in region.requirements),
            n_minus_1=False,
        )
        for regions in itertools.product(*map(tuple, families))
    )
