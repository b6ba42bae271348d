"""Candidates of a run, and the changes of a yield by its variations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis import DOWN, NOMINAL, UP
from bphcoffea.arrays import Floats
from bphcoffea.results import RunFolder

#: Columns of the table of candidates.
CATEGORY, WEIGHT = "category", "weight"
#: Relative changes by variations below this are left out.
NEGLIGIBLE: Final = 1e-4

#: Category of each candidate.
Categories: TypeAlias = npt.NDArray[np.object_]


def read_candidates(
    run: RunFolder, datasets: Iterable[str], *columns: str
) -> tuple[Categories, list[Floats]]:
    """Return the category and some columns of the candidates of datasets, shapes (n,).

    A dataset without a table, because nothing of it was read, has no candidates.
    """
    tables = [run.candidates(name) for name in datasets if run.has_candidates(name)]
    categories = [np.array(table[CATEGORY].to_pylist(), dtype=object) for table in tables]
    return np.concatenate([np.empty(0, dtype=object), *categories]), [
        np.concatenate([np.empty(0), *(table[column].to_numpy() for table in tables)])
        for column in columns
    ]


def relative_changes(histogram: hist.Hist, total: Callable[[str], float]) -> dict[str, list[float]]:
    """Return the relative changes of a yield by the variations of each source.

    Parameters
    ----------
    histogram
        Histogram with the axes of a run.
    total
        Function that returns the yield of a variation; it is positive for the nominal one.

    Returns
    -------
    Changes by source, with the opposite sign for variations down; smearing, for example, only has a
    variation up.
    """
    nominal = total(NOMINAL)
    changes: dict[str, list[float]] = {}
    for variation in histogram.axes["variation"]:
        for side, sign in ((UP, 1), (DOWN, -1)):
            if variation.endswith(side):
                change = sign * (total(variation) / nominal - 1)
                changes.setdefault(variation.removesuffix(side), []).append(change)
    return changes
