"""Quantities of an event or candidate, and requirements on them.

A requirement is built by comparing a variable: ``pt > 2`` and ``mass.between(1.62, 2.02)`` are
requirements, and ``&``, ``|`` and ``~`` combine them. A requirement knows its text, its variables
and its bounds, from which the cutflow, the N-1 figures and the record of the selection derive.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Literal, Protocol, TypeAlias

import awkward as ak
import numpy as np
from typing_extensions import override

from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.names import check_text, shown
from bphcoffea.arrays import Booleans, Numbers
from bphcoffea.errors import DeclarationError

#: Function from the events of a chunk to values, lists with one per candidate or one per event.
EventFunction: TypeAlias = Callable[[ak.Array], ak.Array]


@dataclass(frozen=True)
class Axis:
    """Binning of a variable.

    Attributes
    ----------
    bins
        Number of bins.
    start, stop
        Range, in the unit of the variable.
    log
        Whether bins have equal widths in the logarithm.

    Raises
    ------
    DeclarationError
        If the range is empty, or the number of bins is not a whole number above 0.
    """

    bins: int
    start: float
    stop: float
    log: bool = False

    def __post_init__(self) -> None:
        axis = f"Axis({shown(self.bins)}, {shown(self.start)}, {shown(self.stop)})"
        bins: object = self.bins
        if bins is True or not isinstance(bins, Integral) or int(bins) < 1:
            raise DeclarationError(f"{axis}: the number of bins must be a whole number above 0")
        if not (is_number(self.start) and is_number(self.stop)):
            raise DeclarationError(f"{axis}: the range must be two finite numbers")
        if not self.start < self.stop:
            raise DeclarationError(f"{axis}: the range must begin below its end")
        if self.log and self.start <= 0:
            raise DeclarationError(f"{axis}: a logarithmic axis must begin above 0")


def is_number(value: object) -> bool:
    """Return whether a value is a finite real number."""
    return isinstance(value, Real) and math.isfinite(value)


def _is_bound(value: object) -> bool:
    return isinstance(value, Real) and not math.isnan(value)


class Values(Protocol):
    """Function from a variable to its values, such as :meth:`.Candidates.values`."""

    def __call__(self, variable: Variable, /) -> Numbers:
        """Return one value per candidate, shape (candidates,), or one per event."""
        ...


@dataclass(frozen=True, eq=False)
class Variable:
    """A number per candidate, or a number per event.

    Attributes
    ----------
    name
        Name of the column in the table of candidates; the N-1 histogram is named after it.
    function
        Function from the events of a chunk to the values: an array of lists with one number per
        candidate, or a flat array with one number per event.
    label
        Label in figures, in mathtext; the name if empty.
    unit
        Unit, such as ``GeV`` or ``cm``; empty for a pure number.
    axis
        Binning of the N-1 histogram; None for no histogram.
    branches
        Branches that files may lack: the column is left out for datasets whose files lack one of
        them. Empty if all files must have the branches that it reads.

    Examples
    --------
    >>> pt = Variable("pt", lambda events: events.Muon.pt, "$p_T$", "GeV")
    >>> (pt > 3.5) & (pt.magnitude() < 20)
    pt > 3.5 GeV and abs_pt < 20 GeV
    """

    name: str
    function: EventFunction
    label: str = ""
    unit: str = ""
    axis: Axis | None = None
    branches: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DeclarationError(f"variable {shown(self.name)}: its name must be a string")
        owner = f"variable '{self.name}'"
        if not callable(self.function):
            raise DeclarationError(f"{owner}: {shown(self.function)} is not a function of events")
        check_text(owner, "label", self.label)
        check_text(owner, "unit", self.unit)
        if self.axis is not None and not isinstance(self.axis, Axis):
            raise DeclarationError(f"{owner}: its axis is {shown(self.axis)}, but must be an Axis")

    def __call__(self, events: ak.Array) -> ak.Array:
        """Return the values for the events of a chunk."""
        return self.function(events)

    def __gt__(self, bound: float) -> Requirement:
        return Comparison(self, ((">", bound),))

    def __ge__(self, bound: float) -> Requirement:
        return Comparison(self, ((">=", bound),))

    def __lt__(self, bound: float) -> Requirement:
        return Comparison(self, (("<", bound),))

    def __le__(self, bound: float) -> Requirement:
        return Comparison(self, (("<=", bound),))

    def between(self, low: float, high: float, closed: Literal["", "left"] = "") -> Requirement:
        """Require low < value < high; ``closed="left"`` admits the lower bound itself."""
        return Comparison(self, ((">=" if closed == "left" else ">", low), ("<", high)))

    def __eq__(self, other: object) -> bool:
        # otherwise x == 1 would be False, and a list of requirements would silently hold it
        if isinstance(other, Real):
            raise DeclarationError(
                f"variable '{self.name}' is compared with {shown(other)} by == or !=, which tell "
                f"variables apart; write {self.name}.equals({shown(other)}) for this value, "
                "~ in front of that for all others, or between(low, high) for a range"
            )
        return self is other

    __hash__ = object.__hash__

    def equals(self, value: float) -> Requirement:
        """Require this value; ``==`` compares the variables themselves."""
        return Comparison(self, (("==", value),))

    def magnitude(self) -> Variable:
        """Return the absolute value, named ``abs_<name>``; an axis begins at 0."""
        axis = self.axis
        if axis is not None and axis.start < 0:
            axis = replace(axis, start=0, stop=max(-axis.start, axis.stop))
        return replace(
            self,
            name=f"abs_{self.name}",
            label=f"|{self.label or self.name}|",
            axis=axis,
            function=lambda events: abs(self.function(events)),
        )


class NoTruthValueError(DeclarationError, TypeError):
    """A requirement was used as a condition in Python."""


class Requirement(ABC):
    """Base class of requirements, which each candidate meets or not."""

    @abstractmethod
    def mask(self, values: Values) -> Booleans:
        """Return which candidates meet the requirement, shape (candidates,)."""

    @abstractmethod
    def variables(self) -> Iterator[Variable]:
        """Yield the variables that are compared with a bound."""

    @abstractmethod
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        """Return the bounds on a variable, which an N-1 figure shows as lines."""

    def in_some_file(self, metadata: DatasetMetadata) -> tuple[str, ...]:  # noqa: ARG002
        """Return branches that a file may lack, but that some file of the dataset must have."""
        return ()

    @abstractmethod
    def __str__(self) -> str: ...

    @override
    def __repr__(self) -> str:
        return str(self)

    def __bool__(self) -> bool:
        # Python reads a < x < b as (a < x) and (x < b), which would drop the first half unnoticed
        raise NoTruthValueError(
            f"the requirement '{self}' has no truth value: "
            "write x.between(a, b) for a < x < b, and & | ~ for and, or, not"
        )

    def __and__(self, other: Requirement) -> Requirement:
        return Combination("and", (self, _requirement("&", other)))

    def __or__(self, other: Requirement) -> Requirement:
        return Combination("or", (self, _requirement("|", other)))

    def __invert__(self) -> Requirement:
        return Negation(self)


def _requirement(operator: str, other: object) -> Requirement:
    if not isinstance(other, Requirement):
        raise DeclarationError(
            f"{shown(other)} is not a requirement; put both sides of {operator} in parentheses: "
            f"(x > 1) {operator} (y < 2)"
        )
    return other


def check_requirements(owner: str, values: Iterable[object]) -> None:
    """Raise a DeclarationError unless all values are requirements.

    Parameters
    ----------
    owner
        What they belong to, with which the message begins.
    values
        The values.
    """
    for value in values:
        if not isinstance(value, Requirement):
            raise DeclarationError(
                f"{owner}: {meant(value)} is not a requirement; "
                "compare a variable, as in x > 1, or use a Condition"
            )


def meant(value: object) -> str:
    """Return what a wrong value of a declaration probably is, in words."""
    if isinstance(value, Requirement):
        return f"the requirement '{value}'"
    return f"variable '{value.name}'" if isinstance(value, Variable) else shown(value)


_COMPARE: dict[str, Callable[[Numbers, float], Booleans]] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
}

_SYMBOL = {">": ">", ">=": "≥", "<": "<", "<=": "≤", "==": "="}


@dataclass(frozen=True, repr=False)
class Comparison(Requirement):
    """A variable compared with one or two bounds. NaN meets no comparison."""

    variable: Variable
    tests: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        bounds = [bound for _, bound in self.tests]
        for bound in bounds:
            if not _is_bound(bound):
                raise DeclarationError(
                    f"variable '{self.variable.name}' is compared with {shown(bound)}, "
                    "but must be compared with a number"
                )
        if len(bounds) > 1 and not bounds[0] < bounds[1]:
            raise DeclarationError(
                f"variable '{self.variable.name}': nothing lies between {bounds[0]} and "
                f"{bounds[1]}; write between(low, high)"
            )

    @override
    def mask(self, values: Values) -> Booleans:
        numbers = values(self.variable)
        if numbers.dtype.kind == "f":
            # a bound is a double, as in C++: numpy would round it to a column of floats
            numbers = numbers.astype(np.float64, copy=False)
        met = np.ones(len(numbers), dtype=np.bool_)
        for operator, bound in self.tests:
            met &= _COMPARE[operator](numbers, bound)
        return met

    @override
    def variables(self) -> Iterator[Variable]:
        yield self.variable

    @override
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        return tuple(bound for _, bound in self.tests) if variable is self.variable else ()

    def __str__(self) -> str:
        name, unit = self.variable.name, f" {self.variable.unit}" if self.variable.unit else ""
        if len(self.tests) == 2:
            (low_op, low), (high_op, high) = self.tests
            left, right = _SYMBOL[low_op.replace(">", "<")], _SYMBOL[high_op]
            return f"{low:g} {left} {name} {right} {high:g}{unit}"
        ((op, bound),) = self.tests
        return f"{name} {_SYMBOL[op]} {bound:g}{unit}"


@dataclass(frozen=True, repr=False)
class Condition(Requirement):
    """A requirement other than a comparison, such as a trigger.

    Attributes
    ----------
    text
        Text of the requirement in tables and figures.
    function
        Function from the events of a chunk to booleans: lists with one per candidate, or a flat
        array with one per event.
    """

    text: str
    function: EventFunction

    def __post_init__(self) -> None:
        object.__setattr__(self, "_variable", Variable(self.text, self.function))

    @override
    def mask(self, values: Values) -> Booleans:
        return values(self._variable).astype(np.bool_)  # type: ignore[attr-defined]

    @override
    def variables(self) -> Iterator[Variable]:
        return iter(())

    @override
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        return ()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, repr=False)
class Combination(Requirement):
    """Two requirements, joined by "and" or "or"."""

    kind: Literal["and", "or"]
    parts: tuple[Requirement, Requirement]

    @override
    def mask(self, values: Values) -> Booleans:
        first, second = (part.mask(values) for part in self.parts)
        return first & second if self.kind == "and" else first | second

    @override
    def in_some_file(self, metadata: DatasetMetadata) -> tuple[str, ...]:
        return tuple(branch for part in self.parts for branch in part.in_some_file(metadata))

    @override
    def variables(self) -> Iterator[Variable]:
        yield from dict.fromkeys(v for part in self.parts for v in part.variables())

    @override
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        return tuple(sorted({bound for part in self.parts for bound in part.bounds(variable)}))

    def __str__(self) -> str:
        return f" {self.kind} ".join(
            f"({part})" if isinstance(part, Combination) and part.kind != self.kind else str(part)
            for part in self.parts
        )


@dataclass(frozen=True, repr=False)
class Negation(Requirement):
    """The opposite of a requirement."""

    part: Requirement

    @override
    def mask(self, values: Values) -> Booleans:
        return ~self.part.mask(values)

    @override
    def in_some_file(self, metadata: DatasetMetadata) -> tuple[str, ...]:
        return self.part.in_some_file(metadata)

    @override
    def variables(self) -> Iterator[Variable]:
        return self.part.variables()

    @override
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        return self.part.bounds(variable)

    def __str__(self) -> str:
        return f"not ({self.part})"
