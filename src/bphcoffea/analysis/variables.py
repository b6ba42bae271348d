"""Quantities of an event or candidate, and requirements on them.

A requirement is built by comparing a variable: ``pt > 2`` and ``mass.between(1.62, 2.02)`` are
requirements, and ``&``, ``|`` and ``~`` combine them. What a requirement says, which variables it
looks at and where its bounds lie can be asked of it: the cutflow, the N-1 figures and the written
selection derive from that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import awkward as ak
import numpy as np
import numpy.typing as npt
from typing_extensions import override


@dataclass(frozen=True)
class Axis:
    """Binning of a variable.

    Attributes
    ----------
    bins, start, stop
        Number of bins and range, in the variable's unit.
    log
        Bins of equal width in the logarithm.
    """

    bins: int
    start: float
    stop: float
    log: bool = False


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
    """

    name: str
    function: Callable[[Any], ak.Array]
    label: str = ""
    unit: str = ""
    axis: Axis | None = None

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
        raise TypeError(
            f"the requirement '{self}' has no truth value: "
            "write x.between(a, b) for a < x < b, and & | ~ for and, or, not"
        )

    def __and__(self, other: Requirement) -> Requirement:
        return Combination("and", (self, other))

    def __or__(self, other: Requirement) -> Requirement:
        return Combination("or", (self, other))

    def __invert__(self) -> Requirement:
        return Negation(self)


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
