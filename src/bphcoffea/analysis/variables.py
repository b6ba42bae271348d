"""Quantities of an event or candidate, and requirements on them.

A requirement is built by comparing a variable: ``pt > 2`` and ``mass.between(1.62, 2.02)`` are
requirements, and ``&``, ``|`` and ``~`` combine them. What a requirement says, which variables it
looks at and where its bounds lie can be asked of it: the cutflow, the N-1 figures and the written
selection derive from that.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any, Literal, Protocol

import awkward as ak
import numpy as np
import numpy.typing as npt
from typing_extensions import override

from bphcoffea.analysis.names import check_text, shown
from bphcoffea.errors import DeclarationError


@dataclass(frozen=True)
class Axis:
    """Binning of a variable.

    Attributes
    ----------
    bins, start, stop
        Number of bins and range, in the variable's unit.
    log
        Bins of equal width in the logarithm.

    Raises
    ------
    DeclarationError
        If there are no such bins.
    """

    bins: int
    start: float
    stop: float
    log: bool = False

    def __post_init__(self) -> None:
        here = f"Axis({shown(self.bins)}, {shown(self.start)}, {shown(self.stop)})"
        bins: Any = self.bins
        if bins is True or not isinstance(bins, Integral) or int(bins) < 1:
            raise DeclarationError(f"{here}: the number of bins must be a whole number above 0")
        if not (is_number(self.start) and is_number(self.stop)):
            raise DeclarationError(f"{here}: the range must be two finite numbers")
        if not self.start < self.stop:
            raise DeclarationError(f"{here}: the range must begin below its end")
        if self.log and self.start <= 0:
            raise DeclarationError(f"{here}: a logarithmic axis must begin above 0")


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number."""
    return isinstance(value, Real) and math.isfinite(value)


class Values(Protocol):
    """Where a requirement finds the numbers of a variable, one for each candidate."""

    def __call__(self, variable: Variable, /) -> npt.NDArray[Any]:
        """The numbers, shape (candidates,)."""
        ...


@dataclass(frozen=True, eq=False)
class Variable:
    """A number for each candidate (a list an event) or for each event.

    Attributes
    ----------
    name
        Identifier: the column of the candidates' table, the name of the N-1 histogram.
    function
        From the events of a chunk to the numbers: an array of lists, one number a candidate, or a
        flat array, one number an event.
    label
        What figures show, in mathtext; the name when empty.
    unit
        Such as ``GeV`` or ``cm``; empty for a pure number.
    axis
        Binning of its N-1 figure; none, no figure.
    branches
        Branches without which a table has no such column: it is left out if the files of a dataset
        lack one of them. Empty if all files must have what it reads.
    """

    name: str
    function: Callable[[Any], ak.Array]
    label: str = ""
    unit: str = ""
    axis: Axis | None = None
    branches: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DeclarationError(f"variable {shown(self.name)}: its name must be a string")
        owner = f"variable '{self.name}'"
        if not callable(self.function):
            raise DeclarationError(
                f"{owner}: {shown(self.function)} is no function; give one from events to numbers"
            )
        check_text(owner, "label", self.label)
        check_text(owner, "unit", self.unit)
        if self.axis is not None and not isinstance(self.axis, Axis):
            raise DeclarationError(f"{owner}: its axis is {shown(self.axis)}, but must be an Axis")

    def __call__(self, events: Any) -> ak.Array:
        """Its values for the events of a chunk."""
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
        # a False among requirements would say nothing of the number that was meant
        if isinstance(other, Real):
            raise DeclarationError(
                f"variable '{self.name}' is compared with {shown(other)} by == or !=, which tell "
                f"variables apart; write {self.name}.equals({shown(other)}) for this value, "
                "~ in front of that for all others, or between(low, high) for a range"
            )
        return self is other

    __hash__ = object.__hash__

    def equals(self, value: float) -> Requirement:
        """Require the value itself (``==`` compares variables, as everywhere in Python)."""
        return Comparison(self, (("==", value),))

    def magnitude(self) -> Variable:
        """Its absolute value, named ``abs_<name>``."""
        return replace(
            self,
            name=f"abs_{self.name}",
            label=f"|{self.label or self.name}|",
            function=lambda events: abs(self.function(events)),
        )


class NoTruthValueError(DeclarationError, TypeError):
    """A requirement was used as a condition of Python."""


class Requirement(ABC):
    """Something that a candidate meets or not."""

    @abstractmethod
    def mask(self, values: Values) -> npt.NDArray[np.bool_]:
        """Which candidates meet it, from the values of its variables."""

    @abstractmethod
    def variables(self) -> Iterator[Variable]:
        """Yield the variables that it looks at."""

    @abstractmethod
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        """Where it bounds the variable: the lines of an N-1 figure."""

    def in_some_file(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:  # noqa: ARG002
        """Branches that files of a dataset may lack, of which each must be in some file."""
        return ()

    @abstractmethod
    def __str__(self) -> str: ...

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


def _requirement(operator: str, other: Any) -> Requirement:
    if not isinstance(other, Requirement):
        raise DeclarationError(
            f"{shown(other)} is no requirement; put both sides of {operator} in parentheses: "
            f"(x > 1) {operator} (y < 2)"
        )
    return other


_COMPARE: dict[str, Callable[[Any, float], Any]] = {
    ">": np.greater,
    ">=": np.greater_equal,
    "<": np.less,
    "<=": np.less_equal,
    "==": np.equal,
}


_SYMBOL = {">": ">", ">=": "≥", "<": "<", "<=": "≤", "==": "="}


@dataclass(frozen=True)
class Comparison(Requirement):
    """A variable compared with one or two bounds. NaN meets none."""

    variable: Variable
    tests: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        bounds: list[Any] = [bound for _, bound in self.tests]
        for bound in bounds:
            if not isinstance(bound, Real) or math.isnan(bound):
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
    def mask(self, values: Values) -> npt.NDArray[np.bool_]:
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


@dataclass(frozen=True)
class Condition(Requirement):
    """A yes or no that is no comparison of one number, such as a trigger.

    Attributes
    ----------
    text
        What it says, for people.
    function
        From the events to booleans: a list an event, one boolean a candidate, or one an event.
    """

    text: str
    function: Callable[[Any], ak.Array]

    def __post_init__(self) -> None:
        object.__setattr__(self, "_variable", Variable(self.text, self.function))

    @override
    def mask(self, values: Values) -> npt.NDArray[np.bool_]:
        return values(self._variable).astype(np.bool_)  # type: ignore[attr-defined]

    @override
    def variables(self) -> Iterator[Variable]:
        return iter(())

    @override
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        return ()

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Combination(Requirement):
    """Both of two requirements, or at least one."""

    kind: Literal["and", "or"]
    parts: tuple[Requirement, Requirement]

    @override
    def mask(self, values: Values) -> npt.NDArray[np.bool_]:
        first, second = (part.mask(values) for part in self.parts)
        return first & second if self.kind == "and" else first | second

    @override
    def in_some_file(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        return tuple(branch for part in self.parts for branch in part.in_some_file(metadata))

    @override
    def variables(self) -> Iterator[Variable]:
        seen: list[Variable] = []
        for part in self.parts:
            for variable in part.variables():
                if not any(variable is other for other in seen):
                    seen.append(variable)
                    yield variable

    @override
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        return tuple(sorted({bound for part in self.parts for bound in part.bounds(variable)}))

    def __str__(self) -> str:
        return f" {self.kind} ".join(
            f"({part})" if isinstance(part, Combination) and part.kind != self.kind else str(part)
            for part in self.parts
        )


@dataclass(frozen=True)
class Negation(Requirement):
    """The opposite of a requirement."""

    part: Requirement

    @override
    def mask(self, values: Values) -> npt.NDArray[np.bool_]:
        return ~self.part.mask(values)

    @override
    def in_some_file(self, metadata: Mapping[str, Any]) -> tuple[str, ...]:
        return self.part.in_some_file(metadata)

    @override
    def variables(self) -> Iterator[Variable]:
        return self.part.variables()

    @override
    def bounds(self, variable: Variable) -> tuple[float, ...]:
        return self.part.bounds(variable)

    def __str__(self) -> str:
        return f"not ({self.part})"
