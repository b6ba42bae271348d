"""Histograms and categories of an analysis.

Every histogram has the axes ``category``, ``variation`` and those of its variables. In a run's
folder the axis ``dataset`` comes first.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

import hist
import numpy as np
import numpy.typing as npt

from bphcoffea.analysis.names import ALL, NOMINAL, check_name, repeated, shown
from bphcoffea.analysis.variables import Axis, Variable, is_number
from bphcoffea.arrays import Numbers
from bphcoffea.errors import DeclarationError

#: Axes of every histogram of a run before those of its variables.
AXES = ("dataset", "category", "variation")
#: Binning of one variable: equal bins, or any axis of :mod:`hist`.
AnyAxis: TypeAlias = Axis | hist.axis.AxesMixin


@dataclass(frozen=True)
class Histogram:
    """A distribution of the chosen candidates, or of the selected events or their objects.

    Attributes
    ----------
    name
        Name in ``histograms.json`` and ``histograms.root``.
    variable
        Variable to fill, or several for a histogram of several dimensions. Lists of numbers
        (:class:`.ObjectVariable`) are filled number by number.
    axis
        Binning: an :class:`.Axis`, or an axis of :mod:`hist` such as
        ``hist.axis.Variable([30, 50, 100])``; as many as there are variables.
    log_y
        Whether figures have a logarithmic scale.
    resonances
        Masses that figures of a spectrum mark: label in mathtext, mass in GeV.
    variations
        Patterns of the names of the variations that are filled, such as ``("jes_*", "pileup*")``;
        all by default. ``()`` fills the nominal distribution alone. Members of a PDF set are named
        ``pdf_1`` and so on.
    """

    name: str
    variable: Variable | tuple[Variable, ...]
    axis: AnyAxis | tuple[AnyAxis, ...]
    log_y: bool = False
    resonances: tuple[tuple[str, float], ...] = ()
    variations: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        check_name("histogram", self.name)
        owner = f"histogram '{self.name}'"
        for variable in self.variables:
            if not isinstance(variable, Variable):
                raise DeclarationError(
                    f"{owner}: its variable is {shown(variable)}, but must be a Variable"
                )
            if variable.name in AXES:
                raise DeclarationError(
                    f"{owner}: its variable is named '{variable.name}', as another axis of every "
                    "histogram; rename the variable"
                )
        for axis in self.axes:
            if not isinstance(axis, Axis | hist.axis.AxesMixin):
                raise DeclarationError(
                    f"{owner}: its axis is {shown(axis)}, but must be an Axis or one of hist"
                )
        if len(self.axes) != len(self.variables) or not self.variables:
            raise DeclarationError(
                f"{owner}: has {len(self.axes)} axes for {len(self.variables)} variables"
            )
        for name in repeated(variable.name for variable in self.variables):
            raise DeclarationError(f"{owner}: has two axes of '{name}'")
        if not isinstance(self.log_y, bool):
            raise DeclarationError(
                f"{owner}: log_y is {shown(self.log_y)}, but must be True or False"
            )
        for resonance in self.resonances:
            match resonance:
                case (str(), mass) if is_number(mass):
                    continue
            raise DeclarationError(
                f"{owner}: {shown(resonance)} is not a resonance; "
                "write ((label, mass), …), with the mass in GeV"
            )

        patterns: object = self.variations
        if not isinstance(patterns, tuple) or not all(isinstance(p, str) for p in patterns):
            raise DeclarationError(
                f"{owner}: variations is {shown(patterns)}, but must be a tuple of patterns"
            )

    def varies(self, variation: str) -> bool:
        """Return whether the histogram is filled under a variation; it always is nominally."""
        return variation == NOMINAL or any(fnmatchcase(variation, p) for p in self.variations)

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The variables, one per axis."""
        return self.variable if isinstance(self.variable, tuple) else (self.variable,)

    @property
    def axes(self) -> tuple[AnyAxis, ...]:
        """The binning of each variable."""
        return self.axis if isinstance(self.axis, tuple) else (self.axis,)

    def empty(
        self, categories: Sequence[str] = (ALL,), variations: Sequence[str] = (NOMINAL,)
    ) -> hist.Hist:
        """Return the histogram without entries, with weighted storage."""
        return hist.Hist(
            hist.axis.StrCategory(list(categories), name="category"),
            hist.axis.StrCategory(list(variations), name="variation"),
            *(_named(axis, v) for axis, v in zip(self.axes, self.variables, strict=True)),
            storage=hist.storage.Weight(),
        )


def _named(axis: AnyAxis, variable: Variable) -> hist.axis.AxesMixin:
    """Return the axis of a variable, with its name and label."""
    unit = f" [{variable.unit}]" if variable.unit else ""
    label = f"{variable.label or variable.name}{unit}"
    if isinstance(axis, Axis):
        transform = hist.axis.transform.log if axis.log else None
        return hist.axis.Regular(
            axis.bins,
            axis.start,
            axis.stop,
            name=variable.name,
            label=label,
            transform=transform,
        )
    named = copy.deepcopy(axis)
    named._raw_metadata["name"] = variable.name  # hist sets it only when an axis is made
    named.label = label
    return named


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
