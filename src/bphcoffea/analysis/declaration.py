"""Checks of declarations, made when the class of an analysis is defined and before a run.

Names become keys of ROOT files, columns and files of figures: two things with one name would
replace each other, which nobody would notice before all events are processed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from bphcoffea.analysis.blinding import Blind
from bphcoffea.analysis.calibrations.calibration import Calibration
from bphcoffea.analysis.classifier import CLASSIFIER, SCORE, Classifier
from bphcoffea.analysis.histograms import Categories, Histogram
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.n_minus_1 import N_MINUS_1, NMinus1, n_minus_1_histograms
from bphcoffea.analysis.names import ALL, DOWN, NOMINAL, UP, check_name, repeated, shown
from bphcoffea.analysis.objects import Objects, ObjectVariable
from bphcoffea.analysis.regions import Region
from bphcoffea.analysis.selection import Candidates, Cut, Selection
from bphcoffea.analysis.shifts import Shift
from bphcoffea.analysis.template_fit import TemplateFit
from bphcoffea.analysis.variables import Requirement, Variable
from bphcoffea.analysis.weights.weight import GENERATOR, Weight, WeightContext
from bphcoffea.errors import DeclarationError, alternatives

if TYPE_CHECKING:
    from bphcoffea.analysis.analysis import Analysis

#: Step of the cutflow that requires certified luminosity sections, if the era's corrections do.
GOLDEN: Final = "golden_json"
#: Prefix of the names of N-1 histograms.
#: Columns that every table of candidates may have.
COLUMNS: Final = ("run", "lumi", "event", "file", "entry", "category", "weight")
#: Prefix of the columns that hold the factors of the weight.
FACTOR: Final = "weight_"

#: Type of the entries of each list of declarations, and its name in messages.
_LISTS: Final[dict[str, tuple[type, str]]] = {
    "cuts_on_best": (Cut, "Cut"),
    "calibrations": (Calibration, "Calibration"),
    "objects": (Objects, "Objects"),
    "regions": (Region, "Region"),
    "histograms": (Histogram, "Histogram"),
    "columns": (Variable, "Variable"),
    "weights": (Weight, "Weight"),
    "shifts": (Shift, "Shift"),
    "measurements": (TemplateFit, "TemplateFit"),
    "metadata": (str, "string"),
}


def check_declaration(analysis: Analysis | type[Analysis]) -> None:
    """Check the declarations of an analysis against each other.

    Parameters
    ----------
    analysis
        An analysis or its class. Declarations that a class computes in a property, or leaves to its
        subclasses, are not checked.

    Raises
    ------
    DeclarationError
        If some declarations are wrong: one line per fault.
    """
    name = analysis.__name__ if isinstance(analysis, type) else type(analysis).__name__
    declared = _Declared(analysis)
    faults = list(declared.wrong_kinds()) or list(declared.faults())
    if faults:
        raise DeclarationError("\n".join(f"{name}: {fault}" for fault in faults))


def check_for_dataset(analysis: Analysis, metadata: DatasetMetadata) -> None:
    """Check the declarations that apply to a dataset, before any of its events is read.

    Parameters
    ----------
    analysis
        The analysis, with its corrections.
    metadata
        Metadata of the dataset.

    Raises
    ------
    DeclarationError
        If columns or variations of the dataset collide: one line per fault.
    """
    check_declaration(analysis)
    resolved = analysis.for_dataset(metadata)
    columns = list(dict.fromkeys(resolved.columns))
    faults = [
        f"two columns are named '{name}'; give each its own name"
        for name in repeated(column.name for column in columns)
    ]
    faults += _faults_of_columns(columns)
    faults += _faults_of_inputs(analysis.classifier, [column.name for column in columns])
    names = resolved.shape_names
    faults += _faults_of_variations(names)
    context = WeightContext(resolved.corrections, metadata)
    faults += [fault for weight in resolved.weights for fault in weight.faults(context)]
    of_weights = [weight.name + side for weight in resolved.weights for side in (UP, DOWN)]
    faults += [
        f"variation '{name}' of a shift has the name of a weight's variation; rename one of them"
        for name in dict.fromkeys(names)
        if name in of_weights
    ]
    if faults:
        name = type(analysis).__name__
        raise DeclarationError("\n".join(f"{name}: {fault}" for fault in dict.fromkeys(faults)))


def check_classifier(analysis: Analysis, classifier: Classifier) -> None:
    """Check that a classifier fits what an analysis declares.

    Raises
    ------
    DeclarationError
        If it does not: one line per fault.
    """
    faults = []
    if analysis.regions:
        faults.append("has regions, which no score can split; declare categories")
    if analysis.best is None:
        faults.append("chooses no best candidate, Candidates(…, best=…), to be scored")
    if any(cut.name == CLASSIFIER for cut in (*analysis.selection, *analysis.cuts_on_best)):
        faults.append(f"has a cut '{CLASSIFIER}', as the classifier's step; rename it")
    if any(column.name == SCORE.name for column in analysis.columns):
        faults.append(f"has a column '{SCORE.name}', as the classifier's; rename it")
    names = analysis.categories.names if analysis.categories is not None else (ALL,)
    for name in (*classifier.edges, *names):
        if name not in names:
            faults.append(f"has no category '{name}'{alternatives(name, names)}")
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
    if classifier is None:
        return []
    return [
        f"the classifier '{classifier.name}' takes '{name}', which is not a column"
        f"{alternatives(name, columns)}"
        for name in classifier.inputs
        if name not in columns
    ]


class _Declared:
    """Declarations of an analysis, as far as they are known without an event."""

    def __init__(self, analysis: Analysis | type[Analysis]) -> None:
        self._analysis = analysis
        self.objects = self._list("objects")
        self.regions = self._list("regions")
        self.histograms = self._list("histograms")
        self.columns = self._list("columns")
        self.weights = self._list("weights")
        self.shifts = self._list("shifts")
        self.calibrations = self._list("calibrations")
        self.cuts_on_best = self._list("cuts_on_best")
        self.selection = self._get("selection")
        self.categories = self._get("categories")

    def wrong_kinds(self) -> Iterator[str]:
        """Yield a line per declaration of the wrong type."""
        for name, (kind, called) in _LISTS.items():
            value = self._get(name)
            if value is None:
                continue
            if isinstance(value, kind):
                yield (
                    f"{name} is a single {called}, not a tuple; write {name} = (…,), "
                    "with a comma before the parenthesis"
                )
            elif not isinstance(value, tuple | list):
                yield f"{name} is {shown(value)}, but must be a tuple"
            else:
                for entry in value:
                    if not isinstance(entry, kind):
                        yield f"{name} holds {_called(entry)}, which is not a {called}"
        for name, kinds in {
            "selection": (Selection,),
            "candidates": (Candidates,),
            "categories": (Categories,),
            "blind": (Blind,),
        }.items():
            value = self._get(name)
            if value is not None and not isinstance(value, kinds):
                yield f"{name} is {_called(value)}, but must be a {kinds[0].__name__}"
        kind = self._analysis if isinstance(self._analysis, type) else type(self._analysis)
        if not isinstance(kind.best, property):
            yield "best is declared by itself; write candidates = Candidates(collection, best=…)"

    def faults(self) -> Iterator[str]:
        """Yield a line per collision of names and per name that is not declared."""
        yield from self._cuts()
        yield from self._objects_and_regions()
        yield from self._histograms()
        yield from _faults_of_columns(self.columns)
        yield from self._variables()
        yield from self._weights()
        variations = [name for shift in self.shifts for name in shift.possible_variations()]
        yield from _faults_of_variations(variations)
        sections = [section for part in self.calibrations for section in part.needs()]
        for section in repeated(sections):
            yield f"two calibrations apply the section '{section}'; declare one of them"
        fit = self._get("mass_fit")
        fitted = getattr(fit, "histogram", None)
        names = [histogram.name for histogram in self.histograms]
        if fitted is not None and fitted not in names:
            yield (
                f"mass_fit is of the histogram '{fitted}', which is not declared"
                f"{alternatives(fitted, names)}"
            )

        yield from self._measurements(names)
        blind = self._get("blind")
        if blind is not None and any(
            h.name == blind.histogram and len(h.variables) > 1 for h in self.histograms
        ):
            yield f"blind names the histogram '{blind.histogram}', which has several variables"
        if blind is not None and blind.histogram not in names:
            yield (
                f"blind names the histogram '{blind.histogram}', which is not declared"
                f"{alternatives(blind.histogram, names)}"
            )

        for category in blind.by_category if blind is not None else ():
            declared = self.categories.names if self.categories else ()
            if category not in declared:
                yield (
                    f"blind has windows of a category '{category}', which is not declared"
                    f"{alternatives(category, declared)}"
                )

    def _measurements(self, histograms: list[str]) -> Iterator[str]:
        measurements = self._list("measurements")
        for name in repeated(fit.name for fit in measurements):
            yield f"two measurements are named '{name}'; give each its own name"
        parts = [region.name for region in self.regions]
        parts += self.categories.names if self.categories else ()
        for fit in measurements:
            for region, histogram in fit.histograms().items():
                if histogram not in histograms:
                    yield (
                        f"measurement '{fit.name}' is of the histogram '{histogram}', which is not "
                        f"declared{alternatives(histogram, histograms)}"
                    )
                # a classifier may split categories, whose names are then not known here
                if region not in (ALL, *parts) and not self.categories:
                    yield (
                        f"measurement '{fit.name}' has the region '{region}', which is not "
                        f"declared{alternatives(region, (ALL, *parts))}"
                    )

    def _cuts(self) -> Iterator[str]:
        names = [cut.name for cut in (*(self.selection or ()), *self.cuts_on_best)]
        for name in repeated(names):
            yield f"two cuts are named '{name}' (of selection and cuts_on_best); rename one"
        for name in ("all", GOLDEN):
            if name in names:
                yield f"a cut is named '{name}', as a step that every cutflow may have; rename it"

    def _objects_and_regions(self) -> Iterator[str]:
        for name in repeated(objects.name for objects in self.objects):
            yield f"two objects are named '{name}'; give each its own name"
        names = [region.name for region in self.regions]
        for name in repeated(names):
            yield f"two regions are named '{name}'; give each its own name"
        if ALL in names:
            yield f"a region is named '{ALL}', which stands for all events; rename it"
        if self.regions and self.categories:
            yield "there are regions and categories; declare the categories as regions, too"
        compared = self.selection.variables() if self.selection else []
        compared += [v for r in self.regions for q in r.requirements for v in q.variables()]
        for variable in dict.fromkeys((*compared, *self.columns)):
            if isinstance(variable, ObjectVariable):
                yield (
                    f"'{variable.name}' is a list per event, which cannot be compared and is no "
                    "column; take the number of objects, or the quantity of the n-th"
                )

    def _histograms(self) -> Iterator[str]:
        names = [histogram.name for histogram in self.histograms]
        for name in repeated(names):
            yield f"two histograms are named '{name}'; give each its own name"
        for name in repeated(name.casefold() for name in dict.fromkeys(names)):
            alike = [n for n in dict.fromkeys(names) if n.casefold() == name]
            yield (
                f"the histograms {', '.join(alike)} differ only in case, which files of some disks "
                "do not; rename one of them"
            )
        for name in names:
            if name.startswith(N_MINUS_1):
                yield f"histogram '{name}' has the name of an N-1 histogram; choose another name"
        of_n_minus_1 = [histogram.name for histogram in self._n_minus_1()]
        for name in repeated(of_n_minus_1):
            yield f"two N-1 histograms would be named '{name}'; rename a variable or objects"
        parts = list(self.categories.names if self.categories else ())
        parts += [region.name for region in self.regions]
        for name in parts:
            if name in (*names, *of_n_minus_1):
                kind = "region" if self.regions else "category"
                yield f"a histogram and a {kind} are named '{name}'; rename one of them"

    def _variables(self) -> Iterator[str]:
        for variable in self._compared():
            yield from _faults_of_name("variable", variable.name)
        users = {
            "the selection": self.selection.variables() if self.selection else [],
            "columns": self.columns,
            "histograms": [v for histogram in self.histograms for v in histogram.variables],
        }
        first: dict[str, tuple[Variable, str]] = {}
        reported: set[str] = set()
        for user, variables in users.items():
            for variable in variables:
                other, first_user = first.setdefault(variable.name, (variable, user))
                if other is not variable and variable.name not in reported:
                    reported.add(variable.name)
                    yield (
                        f"different variables are named '{variable.name}' "
                        f"(in {' and '.join(dict.fromkeys((first_user, user)))}); "
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
                    f"'{weight.after}'{alternatives(weight.after, steps)}"
                )

    def _compared(self) -> list[Variable]:
        """Return the variables that N-1 histograms are named after."""
        compared = self.selection.variables() if self.selection else []
        compared += [v for of in self.objects for r in of.where for v in r.variables()]
        compared += [v for of in self.regions for r in of.requirements for v in r.variables()]
        return [v for v in dict.fromkeys(compared) if v.axis is not None]

    def _n_minus_1(self) -> tuple[NMinus1, ...]:
        if any(fault for v in self._compared() for fault in _faults_of_name("variable", v.name)):
            return ()  # no histogram can have such a name
        return n_minus_1_histograms(self.selection, self.objects, self.regions)

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
                f"column '{column.name}' has the name of a column that every table of candidates "
                "has; rename the variable"
            )


def _faults_of_variations(names: list[str]) -> Iterator[str]:
    if repeated(names):
        yield f"two variations of shifts are named {', '.join(repeated(names))}; rename one of each"
    for name in dict.fromkeys(names):
        yield from _faults_of_name("variation", name)
        if name == NOMINAL:
            yield f"a variation is named '{NOMINAL}', which is what has no shift; rename it"


def _faults_of_name(kind: str, name: str) -> Iterable[str]:
    try:
        check_name(kind, name)
    except DeclarationError as error:
        return [str(error)]
    return []


def _called(value: object) -> str:
    if isinstance(value, Requirement):
        return f"the requirement '{value}'"
    if isinstance(value, Variable | Histogram | Cut):
        return f"{type(value).__name__} '{value.name}'"
    return shown(value)
