"""Checks of what an analysis declares, made when its class is defined and again before a run.

Names become keys of ROOT files, columns and files of figures: whatever has the name of something
else would replace it when all events are processed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from bphcoffea.analysis.blinding import Blind
from bphcoffea.analysis.classifier import CLASSIFIER, SCORE, Classifier
from bphcoffea.analysis.histograms import ALL, NOMINAL, Categories, Histogram
from bphcoffea.analysis.names import check_name, repeated, shown
from bphcoffea.analysis.selection import Cut, Selection
from bphcoffea.analysis.shifts import Shift
from bphcoffea.analysis.variables import Requirement, Variable
from bphcoffea.analysis.weights import DOWN, GENERATOR, UP, Weight
from bphcoffea.errors import DeclarationError

#: Step of the cutflow at which luminosity sections must be certified, where an era requires that.
GOLDEN: Final = "golden_json"
#: Beginning of the names of N-1 histograms.
N_MINUS_1: Final = "nminus1_"
#: Columns that the candidates' table has in any case.
COLUMNS: Final = ("run", "lumi", "event", "category", "weight")
#: Beginning of the columns that hold the factors of a weight.
FACTOR: Final = "weight_"

#: What each list of a declaration holds, and how one entry is called.
_LISTS: Final[dict[str, tuple[type, str]]] = {
    "cuts_on_best": (Cut, "Cut"),
    "histograms": (Histogram, "Histogram"),
    "columns": (Variable, "Variable"),
    "weights": (Weight, "Weight"),
    "shifts": (Shift, "Shift"),
    "branches": (str, "string"),
    "metadata": (str, "string"),
}


def check_declaration(analysis: Any) -> None:
    """Check the declarations of an analysis against each other.

    Parameters
    ----------
    analysis
        A class that derives from Analysis, or an instance. What a class computes in a property, or
        leaves to its subclasses, is not checked.

    Raises
    ------
    DeclarationError
        If something is declared wrongly: one line for each fault.
    """
    name = analysis.__name__ if isinstance(analysis, type) else type(analysis).__name__
    declared = _Declared(analysis)
    faults = list(declared.wrong_kinds()) or list(declared.faults())
    if faults:
        raise DeclarationError("\n".join(f"{name}: {fault}" for fault in faults))


def check_for_dataset(analysis: Any, metadata: Mapping[str, Any]) -> None:
    """Check what an analysis declares for one dataset, before any of its events is read.

    Parameters
    ----------
    analysis
        An instance, with its corrections.
    metadata
        Metadata of the dataset.

    Raises
    ------
    DeclarationError
        If columns or variations of the dataset collide: one line for each fault.
    """
    check_declaration(analysis)
    columns = list(dict.fromkeys(analysis.columns_of(metadata)))
    faults = [
        f"two columns are named '{name}'; give each its own name"
        for name in repeated(column.name for column in columns)
    ]
    faults += _faults_of_columns(columns)
    faults += _faults_of_inputs(analysis.classifier, [column.name for column in columns])
    corrections = analysis.era_corrections.for_era(metadata["era"])
    shifts = () if analysis.nominal_only else analysis.shifts
    names = [name for shift in shifts for name in shift.variations(metadata, corrections)]
    faults += _faults_of_variations(names)
    of_weights = [w.name + side for w in analysis.weights_of(metadata) for side in (UP, DOWN)]
    faults += [
        f"variation '{name}' of a shift has the name of a weight's variation; rename one of them"
        for name in dict.fromkeys(names)
        if name in of_weights
    ]
    if faults:
        name = type(analysis).__name__
        raise DeclarationError("\n".join(f"{name}: {fault}" for fault in dict.fromkeys(faults)))


def check_classifier(analysis: Any, classifier: Classifier) -> None:
    """Check that a classifier fits what an analysis declares.

    Raises
    ------
    DeclarationError
        If it does not: one line for each fault.
    """
    faults = []
    if analysis.best is None:
        faults.append("chooses no best candidate ('best') whose score could be found")
    if any(cut.name == CLASSIFIER for cut in (*analysis.selection, *analysis.cuts_on_best)):
        faults.append(f"has a cut '{CLASSIFIER}', as the classifier's step; rename it")
    if any(column.name == SCORE.name for column in analysis.columns):
        faults.append(f"has a column '{SCORE.name}', as the classifier's; rename it")
    names = analysis.categories.names if analysis.categories is not None else (ALL,)
    for name in (*classifier.edges, *names):
        if name not in names:
            faults.append(f"has no category '{name}'; there are: {', '.join(names)}")
        elif name not in classifier.edges:
            faults.append(f"has a category '{name}', for which no edges are declared")
    if not faults:
        bins = analysis.categories_by_bin()
        if len(bins) < sum(len(classifier.edges[name]) for name in names):
            faults.append(f"would have two bins of one name among {', '.join(bins)}")
        taken = [histogram.name for histogram in (*analysis.histograms, *analysis.n_minus_1())]
        faults += [f"has a histogram '{name}', as a bin's name" for name in bins if name in taken]
    if faults:
        where = f"{classifier.source}: analysis '{analysis.name()}'"
        raise DeclarationError("\n".join(f"{where} {fault}" for fault in dict.fromkeys(faults)))


def _faults_of_inputs(classifier: Classifier | None, columns: list[str]) -> list[str]:
    unknown = [name for name in classifier.inputs if name not in columns] if classifier else []
    return [
        f"the classifier '{classifier.name}' takes '{name}', which is no column; "
        f"there are: {', '.join(columns) or 'none'}"
        for name in unknown
        if classifier is not None
    ]


class _Declared:
    """What an analysis declares, as far as it is known without running it."""

    def __init__(self, analysis: Any) -> None:
        self._analysis = analysis
        self.histograms = self._list("histograms")
        self.columns = self._list("columns")
        self.weights = self._list("weights")
        self.shifts = self._list("shifts")
        self.cuts_on_best = self._list("cuts_on_best")
        self.selection = self._get("selection")
        self.categories = self._get("categories")

    def wrong_kinds(self) -> Iterator[str]:
        """Yield a line for each declaration that is of the wrong kind."""
        for name, (kind, called) in _LISTS.items():
            value = self._get(name)
            if value is None:
                continue
            if isinstance(value, kind):
                yield (
                    f"{name} is one {called} and no tuple; write {name} = (…,), "
                    "with a comma before the parenthesis"
                )
            elif not isinstance(value, tuple | list):
                yield f"{name} is {shown(value)}, but must be a tuple"
            else:
                for entry in value:
                    if not isinstance(entry, kind):
                        yield f"{name} holds {_called(entry)}, which is no {called}"
        for name, kinds in {
            "selection": (Selection,),
            "best": (Variable,),
            "categories": (Categories,),
            "blind": (Blind,),
        }.items():
            value = self._get(name)
            if value is not None and not isinstance(value, kinds):
                yield f"{name} is {_called(value)}, but must be a {kinds[0].__name__}"

    def faults(self) -> Iterator[str]:
        """Yield a line for each collision of names."""
        yield from self._cuts()
        yield from self._histograms()
        yield from _faults_of_columns(self.columns)
        yield from self._variables()
        yield from self._weights()
        known = [name for shift in self.shifts for name in shift.possible_variations()]
        yield from _faults_of_variations(known)
        fit = self._get("mass_fit")
        fitted = getattr(fit, "histogram", None)
        names = [histogram.name for histogram in self.histograms]
        if fitted is not None and fitted not in names:
            yield (
                f"mass_fit is of the histogram '{fitted}', which is not declared; "
                f"there are: {', '.join(names) or 'none'}"
            )

        blind = self._get("blind")
        if blind is not None and blind.histogram not in names:
            yield (
                f"blind names the histogram '{blind.histogram}', which is not declared; "
                f"there are: {', '.join(names) or 'none'}"
            )

        for category in blind.by_category if blind is not None else ():
            there = self.categories.names if self.categories else ()
            if category not in there:
                yield (
                    f"blind has windows of a category '{category}', which is not declared; "
                    f"there are: {', '.join(there) or 'none'}"
                )

    def _cuts(self) -> Iterator[str]:
        names = [cut.name for cut in (*(self.selection or ()), *self.cuts_on_best)]
        for name in repeated(names):
            yield f"two cuts are named '{name}' (of selection and cuts_on_best); rename one"
        for name in ("all", GOLDEN):
            if name in names:
                yield f"a cut is named '{name}', as a step that every cutflow may have; rename it"

    def _histograms(self) -> Iterator[str]:
        names = [histogram.name for histogram in self.histograms]
        for name in repeated(names):
            yield f"two histograms are named '{name}'; give each its own name"
        for name in repeated(name.casefold() for name in dict.fromkeys(names)):
            alike = [each for each in dict.fromkeys(names) if each.casefold() == name]
            yield (
                f"the histograms {', '.join(alike)} differ only in case, which files of some disks "
                "do not; rename one of them"
            )
        for name in names:
            if name.startswith(N_MINUS_1):
                yield f"histogram '{name}' has the name of an N-1 histogram; choose another name"
        for name in self.categories.names if self.categories else ():
            of_n_minus_1 = [f"{N_MINUS_1}{variable.name}" for variable in self._with_n_minus_1()]
            if name in (*names, *of_n_minus_1):
                yield f"a histogram and a category are named '{name}'; rename one of them"

    def _variables(self) -> Iterator[str]:
        for variable in self._with_n_minus_1():
            yield from _faults_of_name("variable", variable.name)
        places = {
            "the selection": self.selection.variables() if self.selection else [],
            "columns": self.columns,
            "histograms": [histogram.variable for histogram in self.histograms],
        }
        first: dict[str, tuple[Variable, str]] = {}
        told: set[str] = set()
        for place, variables in places.items():
            for variable in variables:
                other, where = first.setdefault(variable.name, (variable, place))
                if other is not variable and variable.name not in told:
                    told.add(variable.name)
                    yield (
                        f"different variables are named '{variable.name}' "
                        f"(in {' and '.join(dict.fromkeys((where, place)))}); "
                        "define it once, or give each its own name"
                    )

    def _weights(self) -> Iterator[str]:
        names = [weight.name for weight in self.weights]
        for name in repeated(names):
            yield f"two weights are named '{name}'; give each its own name"
        for name in dict.fromkeys(names):
            yield from _faults_of_name("weight", name)
            if name == GENERATOR:
                yield f"a weight is named '{name}', as that of the generator; rename it"
        steps = [cut.name for cut in (*(self.selection or ()), *self.cuts_on_best)]
        for weight in self.weights:
            if weight.after is not None and self.selection and weight.after not in steps:
                yield (
                    f"weight '{weight.name}' applies after '{weight.after}', but no cut is named "
                    f"'{weight.after}'; there are: {', '.join(steps)}"
                )

    def _with_n_minus_1(self) -> list[Variable]:
        variables = self.selection.variables() if self.selection else []
        return [variable for variable in variables if variable.axis is not None]

    def _get(self, name: str) -> Any:
        value = getattr(self._analysis, name, None)
        return None if isinstance(value, property) else value

    def _list(self, name: str) -> list[Any]:
        value = self._get(name)
        kind = _LISTS[name][0]
        return [e for e in value if isinstance(e, kind)] if isinstance(value, tuple | list) else []


def _faults_of_columns(columns: list[Variable]) -> Iterator[str]:
    for column in columns:
        yield from _faults_of_name("column", column.name)
        if column.name in COLUMNS or column.name.startswith(FACTOR):
            yield (
                f"column '{column.name}' has the name of one that the table of candidates has "
                "anyway; rename the variable"
            )


def _faults_of_variations(names: list[str]) -> Iterator[str]:
    if repeated(names):
        yield f"two variations of shifts are named {', '.join(repeated(names))}; rename one of each"
    for name in dict.fromkeys(names):
        yield from _faults_of_name("variation", name)
        if name == NOMINAL:
            yield f"a variation is named '{NOMINAL}', which is what has no shift; rename it"


def _faults_of_name(kind: str, name: Any) -> Iterable[str]:
    try:
        check_name(kind, name)
    except DeclarationError as error:
        return [str(error)]
    return []


def _called(value: Any) -> str:
    if isinstance(value, Requirement):
        return f"the requirement '{value}'"
    named = isinstance(value, Variable | Histogram | Cut)
    return f"{type(value).__name__} '{value.name}'" if named else shown(value)
