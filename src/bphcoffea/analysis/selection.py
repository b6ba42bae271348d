"""Candidates, cuts and selections: named requirements, ANDed per candidate, applied in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from bphcoffea.analysis.metadata import DatasetMetadata, missing_branches
from bphcoffea.analysis.names import check_name, repeated
from bphcoffea.analysis.variables import Requirement, Variable, check_requirements, meant
from bphcoffea.errors import DeclarationError, alternatives
from bphcoffea.html_table import html_table

#: Beginning of the names of steps that select a part of a simulated sample.
SUBSAMPLE: Final = "subsample_"


class Cut:
    """A named step of a selection: one or more requirements, all of which must be met.

    Parameters
    ----------
    name
        Name of the step in the cutflow.
    requirements
        Requirements on candidates or events. A requirement on the event is met by all its
        candidates or by none. Put cuts on the event first: before the first cut on candidates, the
        cutflow counts all events that pass, with or without candidates.
    when
        Decides from a dataset's metadata whether the step exists for it; by default it always does.
        A step that does not exist is absent from the cutflow.
    branches
        Branches that the step needs: it exists only for datasets whose files have all of them.

    Examples
    --------
    >>> mass = Variable("mass", lambda events: events.Dimuon.mass, unit="GeV")
    >>> Cut("mass", mass.between(2.9, 3.3))
    mass: 2.9 < mass < 3.3 GeV
    """

    def __init__(
        self,
        name: str,
        *requirements: Requirement,
        when: Callable[[DatasetMetadata], bool] | None = None,
        branches: tuple[str, ...] = (),
    ) -> None:
        check_name("cut", name)
        if not requirements:
            raise DeclarationError(f"cut '{name}' requires nothing")
        check_requirements(f"cut '{name}'", requirements)
        self.name = name
        self.requirements = requirements
        self.when = when
        self.branches = branches

    def exists_for(self, metadata: DatasetMetadata) -> bool:
        """Return whether the step exists for a dataset or a chunk of it."""
        declared = self.when is None or self.when(metadata)
        return declared and not missing_branches(self.branches, metadata)

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(str(r) for r in self.requirements)}"

    __repr__ = __str__


def subsample(name: str, *requirements: Requirement) -> Cut:
    """Return the step ``subsample_<name>``, which selects a part of a simulated sample.

    The step exists for datasets with ``"subsample": "<name>"`` in their metadata. The parts of a
    sample, such as Z bosons with and without b quarks, are datasets of the same files; each is
    normalised to the Σw of the whole sample, and has a label and a process of its own.

    Parameters
    ----------
    name
        Name of the part.
    requirements
        Requirements on the generated event.

    Examples
    --------
    >>> b_quarks = Variable("b_quarks", lambda events: events.LHE.Nb)
    >>> subsample("light", b_quarks.equals(0))
    subsample_light: b_quarks = 0
    """
    return Cut(SUBSAMPLE + name, *requirements, when=lambda m: m.get("subsample") == name)


@dataclass(frozen=True)
class Candidates:
    """What is selected in each event: the candidates of a collection.

    Attributes
    ----------
    of
        Field of the events that holds the candidates, a list per event.
    best
        Variable whose smallest value marks the best candidate of an event. None: all candidates
        that pass the selection are kept, and there is no table of candidates.

    Examples
    --------
    >>> chi2 = Variable("vertex_chi2", lambda events: events.Triplet.vertex.chi2)
    >>> Candidates("Triplet", best=chi2).of
    'Triplet'
    """

    of: str
    best: Variable | None = None

    def __post_init__(self) -> None:
        check_name("collection of candidates", self.of)
        if self.best is not None and not isinstance(self.best, Variable):
            raise DeclarationError(
                f"Candidates('{self.of}'): best is {meant(self.best)}, but must be a Variable"
            )


class Selection:
    """The cuts of an analysis, in order.

    Parameters
    ----------
    cuts
        The steps of the cutflow after ``all``.

    Examples
    --------
    >>> mass = Variable("mass", lambda events: events.Dimuon.mass, unit="GeV")
    >>> Selection(Cut("mass", mass.between(2.9, 3.3)), Cut("heavy", mass > 3))
    Selection:
      mass: 2.9 < mass < 3.3 GeV
      heavy: mass > 3 GeV
    """

    def __init__(self, *cuts: Cut) -> None:
        for cut in cuts:
            if isinstance(cut, str):
                raise DeclarationError(
                    f"Selection: {meant(cut)} is not a Cut; name the collection of candidates with "
                    f"candidates = Candidates({meant(cut)})"
                )
            if not isinstance(cut, Cut):
                raise DeclarationError(f"Selection: {meant(cut)} is not a Cut; write Cut(name, …)")
        doubled = repeated(["all", *(cut.name for cut in cuts)])
        if doubled:
            raise DeclarationError(f"cut names must differ, and not be 'all': {', '.join(doubled)}")
        self.cuts = cuts
        doubled = repeated(variable.name for variable in self.variables())
        if doubled:
            raise DeclarationError(f"different variables share the name {', '.join(doubled)}")

    def __iter__(self) -> Iterator[Cut]:
        return iter(self.cuts)

    @override
    def __repr__(self) -> str:
        return "\n  ".join(("Selection:", *map(str, self.cuts)))

    def _repr_html_(self) -> str:
        rows = [(cut.name, ", ".join(map(str, cut.requirements))) for cut in self.cuts]
        return html_table(("cut", "requirements"), rows, "Selection")

    def variables(self) -> list[Variable]:
        """Return the variables that the cuts compare with a bound, each once, in order."""
        return list(dict.fromkeys(v for r in self._requirements() for v in r.variables()))

    def variable(self, name: str) -> Variable:
        """Return the variable with a name that a cut compares with a bound.

        Raises
        ------
        DeclarationError
            If there is none.
        """
        found = {variable.name: variable for variable in self.variables()}
        if name not in found:
            raise DeclarationError(
                f"no cut looks at '{name}'{alternatives(name, found, 'cuts look at')}"
            )
        return found[name]

    def replacing(self, *cuts: Cut) -> Selection:
        """Return a copy in which cuts take the place of those with the same names.

        Raises
        ------
        DeclarationError
            If there is no cut of the same name.

        Examples
        --------
        >>> mass = Variable("mass", lambda events: events.Dimuon.mass, unit="GeV")
        >>> loose = Selection(Cut("mass", mass.between(2.9, 3.3)))
        >>> loose.replacing(Cut("mass", mass.between(3.0, 3.2)))
        Selection:
          mass: 3 < mass < 3.2 GeV
        """
        new = {cut.name: cut for cut in cuts}
        names = [cut.name for cut in self.cuts]
        for name in new:
            if name not in names:
                raise DeclarationError(
                    f"no cut '{name}' to replace{alternatives(name, names, 'cuts')}"
                )
        return Selection(*(new.get(cut.name, cut) for cut in self.cuts))

    def cut_of(self, variable: Variable) -> Cut:
        """Return the first cut that looks at a variable."""
        for cut in self.cuts:
            if any(variable is v for r in cut.requirements for v in r.variables()):
                return cut
        raise KeyError(f"no cut looks at '{variable.name}'")

    def bounds(self, variable: Variable) -> tuple[float, ...]:
        """Return the bounds that the cuts set on a variable, sorted."""
        return tuple(sorted({bound for r in self._requirements() for bound in r.bounds(variable)}))

    def for_dataset(self, metadata: DatasetMetadata) -> Selection:
        """Return the cuts that exist for a dataset."""
        return Selection(*(cut for cut in self.cuts if cut.exists_for(metadata)))

    def _requirements(self) -> Iterator[Requirement]:
        return (requirement for cut in self.cuts for requirement in cut.requirements)
