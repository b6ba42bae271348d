"""Cuts and selections: named requirements, ANDed per candidate and applied in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bphcoffea.analysis.branch_needs import HELD
from bphcoffea.analysis.names import check_name, shown
from bphcoffea.analysis.variables import Requirement, Variable
from bphcoffea.errors import DeclarationError


class Cut:
    """A named step of a selection: one or more requirements, all of which must be met.

    Parameters
    ----------
    name
        Label of the cutflow step.
    requirements
        What a candidate must meet. A requirement on the event is met by all its candidates or none.
        Put cuts on the event first: before any cut on candidates, they count all events that meet
        them, with or without candidates.
    when
        Decides from a dataset's metadata whether the step exists for it; by default it always does.
        A step that is left out is absent from the cutflow, not passed by all.
    branches
        Branches without which the step is left out, too: it exists for a dataset only if the files
        of the dataset have all of them.
    """

    def __init__(
        self,
        name: str,
        *requirements: Requirement,
        when: Callable[[Mapping[str, Any]], bool] | None = None,
        branches: tuple[str, ...] = (),
    ) -> None:
        check_name("cut", name)
        if not requirements:
            raise DeclarationError(f"cut '{name}' requires nothing")
        for requirement in requirements:
            if not isinstance(requirement, Requirement):
                raise DeclarationError(
                    f"cut '{name}': {_meant(requirement)} is no requirement; "
                    "compare a variable, as in x > 1, or use a Condition"
                )
        self.name = name
        self.requirements = requirements
        self.when = when
        self.branches = branches

    def exists_for(self, metadata: Mapping[str, Any]) -> bool:
        """Return whether the step exists for a dataset or a chunk of it."""
        wanted = self.when is None or self.when(metadata)
        return wanted and not missing_branches(self.branches, metadata)

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(str(r) for r in self.requirements)}"

    __repr__ = __str__


def missing_branches(branches: tuple[str, ...], metadata: Mapping[str, Any]) -> list[str]:
    """Return which of some branches the files of a dataset lack, from the metadata of a chunk."""
    held = metadata.get(HELD, ())
    return [branch for branch in branches if branch not in held]


def _meant(value: Any) -> str:
    if isinstance(value, Requirement):
        return f"the requirement '{value}'"
    return f"variable '{value.name}'" if isinstance(value, Variable) else shown(value)


class Selection:
    """The cuts of an analysis, in order.

    Parameters
    ----------
    collection
        Field of the events that holds the candidates, a list an event.
    cuts
        The steps after ``all``.
    """

    def __init__(self, collection: str, *cuts: Cut) -> None:
        if not isinstance(collection, str):
            raise DeclarationError(
                f"Selection({shown(collection)}, …): the first argument must be the name of the "
                "collection of candidates"
            )
        for cut in cuts:
            if not isinstance(cut, Cut):
                raise DeclarationError(f"Selection: {_meant(cut)} is no Cut; write Cut(name, …)")
        names = [cut.name for cut in cuts]
        doubled = sorted({name for name in names if names.count(name) > 1 or name == "all"})
        if doubled:
            raise DeclarationError(f"cut names must differ, and not be 'all': {', '.join(doubled)}")
        self.collection = collection
        self.cuts = cuts
        named = [variable.name for variable in self.variables()]
        if len(set(named)) < len(named):
            doubled = sorted({name for name in named if named.count(name) > 1})
            raise DeclarationError(f"different variables share the name {', '.join(doubled)}")

    def __iter__(self) -> Iterator[Cut]:
        return iter(self.cuts)

    def variables(self) -> list[Variable]:
        """The variables that the cuts compare with a bound, each once, in order."""
        requirements = [requirement for cut in self.cuts for requirement in cut.requirements]
        found = [variable for r in requirements for variable in r.variables()]
        return [v for i, v in enumerate(found) if not any(v is other for other in found[:i])]

    def cut_of(self, variable: Variable) -> Cut:
        """The first cut that looks at a variable."""
        for cut in self.cuts:
            if any(variable is v for r in cut.requirements for v in r.variables()):
                return cut
        raise KeyError(f"no cut looks at '{variable.name}'")

    def first_of(self, after: str, selection: Selection) -> str | None:
        """The step of a dataset's selection from which on something counts.

        Parameters
        ----------
        after
            Name of one of the cuts.
        selection
            That of the dataset, which may lack the cut; a later one is taken then, if any.

        Raises
        ------
        ValueError
            When no cut has that name.
        """
        names = [cut.name for cut in self]
        if after not in names:
            raise DeclarationError(f"no cut is named '{after}'; there are: {', '.join(names)}")
        there = {cut.name for cut in selection}
        return next((name for name in names[names.index(after) :] if name in there), None)

    def bounds(self, variable: Variable) -> tuple[float, ...]:
        """Where the cuts bound a variable, sorted."""
        requirements = [requirement for cut in self.cuts for requirement in cut.requirements]
        return tuple(sorted({bound for r in requirements for bound in r.bounds(variable)}))

    def for_dataset(self, metadata: Mapping[str, Any]) -> Selection:
        """The selection of a dataset: the cuts that exist for it."""
        return Selection(self.collection, *(cut for cut in self.cuts if cut.exists_for(metadata)))
