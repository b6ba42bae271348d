"""Histograms and categories of an analysis.

Every histogram has the axes ``category``, ``variation`` and that of its variable. In a run's folder
the axis ``dataset`` comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.names import check_name, repeated, shown
from bphcoffea.analysis.variables import Axis, Variable, is_number
from bphcoffea.arrays import Numbers
from bphcoffea.errors import DeclarationError

#: The only category of an analysis without categories.
ALL = "all"
#: Name of the nominal variation.
NOMINAL = "nominal"
#: Axes of every histogram of a run before that of its variable.
AXES = ("dataset", "category", "variation")


@dataclass(frozen=True)
class Histogram:
    """A distribution of the chosen candidates.

    Attributes
    ----------
    name
        Name in ``histograms.json`` and ``histograms.root``.
    variable
        Variable to fill.
    axis
        Binning.
    log_y
        Whether figures have a logarithmic scale.
    resonances
        Masses that figures of a spectrum mark: label in mathtext, mass in GeV.
    """

    name: str
    variable: Variable
    axis: Axis
    log_y: bool = False
    resonances: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        check_name("histogram", self.name)
        owner = f"histogram '{self.name}'"
        if not isinstance(self.variable, Variable):
            raise DeclarationError(
                f"{owner}: its variable is {shown(self.variable)}, but must be a Variable"
            )
        if not isinstance(self.axis, Axis):
            raise DeclarationError(f"{owner}: its axis is {shown(self.axis)}, but must be an Axis")
        if not isinstance(self.log_y, bool):
            raise DeclarationError(
                f"{owner}: log_y is {shown(self.log_y)}, but must be True or False"
            )
        if self.variable.name in AXES:
            raise DeclarationError(
                f"{owner}: its variable is named '{self.variable.name}', as another axis of every "
                "histogram; rename the variable"
            )
        for resonance in self.resonances:
            match resonance:
                case (str(), mass) if is_number(mass):
                    continue
            raise DeclarationError(
                f"{owner}: {shown(resonance)} is not a resonance; "
                "write ((label, mass), …), with the mass in GeV"
            )

    def empty(
        self, categories: Sequence[str] = (ALL,), variations: Sequence[str] = (NOMINAL,)
    ) -> hist.Hist:
        """Return the histogram without entries, with weighted storage."""
        transform = hist.axis.transform.log if self.axis.log else None
        unit = f" [{self.variable.unit}]" if self.variable.unit else ""
        return hist.Hist(
            hist.axis.StrCategory(list(categories), name="category"),
            hist.axis.StrCategory(list(variations), name="variation"),
            hist.axis.Regular(
                self.axis.bins,
                self.axis.start,
                self.axis.stop,
                name=self.variable.name,
                label=f"{self.variable.label or self.variable.name}{unit}",
                transform=transform,
            ),
            storage=hist.storage.Weight(),
        )


@dataclass(frozen=True)
class Categories:
    """Disjoint parts of the chosen candidates, with histograms of their own.

    Attributes
    ----------
    names
        Names of the categories.
    variable
        Position of a candidate's category among the names.
    """

    names: tuple[str, ...]
    variable: Variable

    def __post_init__(self) -> None:
        names: object = self.names
        if not isinstance(names, tuple | list) or not names:
            raise DeclarationError(
                f"Categories({shown(self.names)}, …): give the names as a tuple of strings"
            )
        for name in self.names:
            check_name("category", name)
        for name in repeated(self.names):
            raise DeclarationError(f"two categories are named '{name}'; give each its own name")
        if ALL in self.names:
            raise DeclarationError(
                f"a category is named '{ALL}', which stands for all of them; choose another name"
            )
        if not isinstance(self.variable, Variable):
            raise DeclarationError(
                f"Categories: {shown(self.variable)} is not a Variable; "
                "give the Variable with the position of a candidate's category"
            )

    def of(self, positions: Numbers) -> npt.NDArray[np.str_]:
        """Return the names of categories from their positions, shape (n,).

        Raises
        ------
        ValueError
            If there is no category at a position.
        """
        wrong = (positions < 0) | (positions >= len(self.names))
        if np.any(wrong):
            raise ValueError(
                f"'{self.variable.name}' is {positions[wrong][0]} for a selected candidate; "
                f"there are {len(self.names)} categories: a cut must reject what is in none"
            )
        return np.array(self.names)[positions.astype(np.int64)]
