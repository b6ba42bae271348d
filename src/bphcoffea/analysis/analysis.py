"""Base class of every analysis: the declarations, and how they resolve for a dataset."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self

import awkward as ak
import numpy as np
import numpy.typing as npt
from coffea.nanoevents import BaseSchema

from bphcoffea.analysis.blinding import Blind, Hidden
from bphcoffea.analysis.classifier import SCORE_BIN, Classifier
from bphcoffea.analysis.declaration import (
    GOLDEN,
    N_MINUS_1,
    check_classifier,
    check_declaration,
)
from bphcoffea.analysis.description import AnalysisRecord, describe
from bphcoffea.analysis.event_numbers import event_numbers
from bphcoffea.analysis.histograms import ALL, Categories, Histogram
from bphcoffea.analysis.mass_model import MassModel
from bphcoffea.analysis.selection import (
    Cut,
    Selection,
    missing_branches,
)
from bphcoffea.analysis.shifts import Shift
from bphcoffea.analysis.variables import Condition, Variable
from bphcoffea.analysis.weights import Weight
from bphcoffea.corrections import Corrections
from bphcoffea.errors import InputError

#: Branch of NanoAOD that holds the weight of the generator.
GENERATOR_WEIGHT: Final = "genWeight"


class Analysis:
    """An analysis declares what it selects and fills; this class does it.

    Attributes
    ----------
    schema
        How branches become collections.
    selection
        The cuts, in order.
    best
        The best candidate of an event has the smallest value of this variable among the survivors.
        None: all survivors are kept, and no table of candidates is written.
    cuts_on_best
        Steps that the best candidate must pass after it was chosen: an event whose best one fails
        is lost, whatever others it has.
    histograms
        Distributions of the selected candidates. The N-1 distributions, of every variable with an
        axis that some cut looks at, come by themselves.
    columns
        Variables that the candidates' table holds beside run, luminosity section, event, category
        and the weight with its factors.
    categories
        Parts of the selected candidates that have histograms of their own; None: there are none.
    weights
        What corrects simulation, beside the generator's weight. One that takes a section of the
        corrections applies where that is declared.
    shifts
        Shape variations, for which events are selected again.
    branches
        Branches that are needed of each file, for a schema that has no template to find that out.
    metadata
        What the analysis needs to know of a dataset, beside ``is_mc`` and ``era``.
    mass_fit
        What ``bphcoffea fit`` fits.
    overlay_signal
        Whether figures draw simulated signal as a line, as that of a search, and not as a part of
        what data are compared with.
    blind
        The variable that is searched in, and the windows of it in which a run hides data.
    search
        Name of the search that the analysis is for, which ``bphcoffea limit`` asks for; None: there
        is none.
    absent
        Steps of the selection that its input can't answer, with the reason. A run reports them.
    hidden
        Windows that the results leave out, set by :meth:`hiding`. None until
        :func:`bphcoffea.execution.run` decides.
    classifier
        Splits the categories in bins of its score, see :meth:`classified`; None: there is none.
    nominal_only
        Whether there are no variations.
    """

    schema: ClassVar[type[BaseSchema]]
    selection: ClassVar[Selection]
    best: ClassVar[Variable | None] = None
    cuts_on_best: ClassVar[tuple[Cut, ...]] = ()
    categories: ClassVar[Categories | None] = None
    histograms: ClassVar[tuple[Histogram, ...]] = ()
    columns: ClassVar[tuple[Variable, ...]] = ()
    weights: ClassVar[tuple[Weight, ...]] = ()
    shifts: ClassVar[tuple[Shift, ...]] = ()
    branches: ClassVar[tuple[str, ...]] = ()
    metadata: ClassVar[tuple[str, ...]] = ()
    mass_fit: ClassVar[MassModel | None] = None
    overlay_signal: ClassVar[bool] = False
    blind: ClassVar[Blind | None] = None
    search: ClassVar[str | None] = None
    absent: ClassVar[Mapping[str, str]] = {}
    hidden: Hidden | None = None
    classifier: Classifier | None = None
    _corrections: Corrections = Corrections()
    nominal_only: bool = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        check_declaration(cls)

    def corrected(self, corrections: Corrections, *, nominal_only: bool = False) -> Self:
        """The same analysis with corrections.

        Parameters
        ----------
        corrections
            As :func:`bphcoffea.corrections.load_corrections` gives them.
        nominal_only
            Without any variation.
        """
        other = copy.copy(self)
        other._corrections = corrections
        other.nominal_only = nominal_only
        return other

    def hiding(self, hidden: Hidden) -> Self:
        """Return a copy whose results contain no data in some windows of the blind variable.

        An event of data whose best candidate lies in a window is left out of the table, all
        histograms, the skim and each step of the cutflow but the first. Without ``best``, it is
        each candidate in a window. Simulation is never hidden.
        """
        other = copy.copy(self)
        other.hidden = hidden
        return other

    def classified(self, classifier: Classifier) -> Self:
        """Return a copy that splits each category in bins of a classifier's score.

        The score is that of each event's best candidate, and is a column of the table. Candidates
        below the lowest edge are lost in a last step of the cutflow, ``classifier``.

        Raises
        ------
        DeclarationError
            If the classifier does not fit the analysis.
        """
        other = copy.copy(self)
        other.classifier = classifier
        check_classifier(other, classifier)
        return other

    @property
    def filled_categories(self) -> Categories | None:
        """Categories of histograms and table: the declared ones, or their bins of the score."""
        if self.classifier is None:
            return self.categories
        return Categories(tuple(self.categories_by_bin()), SCORE_BIN)

    def categories_by_bin(self) -> dict[str, str]:
        """Return the declared category of each one that is filled; empty if there are none."""
        names = self.categories.names if self.categories is not None else ()
        if self.classifier is None:
            return {name: name for name in names}
        return self.classifier.categories(names or (ALL,))

    @property
    def blind_variable(self) -> Variable | None:
        """The variable of the histogram that :attr:`blind` names."""
        if self.blind is None:
            return None
        name = self.blind.histogram
        return next(h.variable for h in self.histograms if h.name == name)

    @property
    def era_corrections(self) -> Corrections:
        """Those that it was given, see :meth:`corrected`."""
        return self._corrections

    def prepare(self, events: Any) -> Any:
        """Events with the collections that the selection needs and the schema does not give."""
        return events

    def generator_weight(self, events: Any) -> npt.NDArray[np.float64]:
        """Weight of each simulated event that the generator gave, shape (events,); 1 by default."""
        if GENERATOR_WEIGHT in events.fields:
            weights: npt.NDArray[np.float64] = ak.to_numpy(events[GENERATOR_WEIGHT])
            return weights.astype(np.float64)
        return np.ones(len(events), dtype=np.float64)

    def n_minus_1(self) -> tuple[Histogram, ...]:
        """The N-1 histograms: one for each variable with an axis that the selection looks at."""
        return tuple(
            Histogram(f"{N_MINUS_1}{variable.name}", variable, variable.axis)
            for variable in self.selection.variables()
            if variable.axis is not None
        )

    def describe(
        self,
        reads: Mapping[str, Sequence[str]] = MappingProxyType({}),
        variations: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> AnalysisRecord:
        """Return the content of ``analysis.json``; see :func:`.description.describe`."""
        return describe(self, reads, variations)

    def name(self) -> str:
        """Name of the analysis: that of its file, or of its class where a notebook defines it."""
        module = type(self).__module__.rpartition(".")[2]
        return type(self).__name__ if module == "__main__" else module

    def selection_of(self, metadata: Mapping[str, Any]) -> Selection:
        """The cuts that exist for a dataset, and where its era has one, that of the golden JSON."""
        selection = self.selection.for_dataset(metadata)
        corrections = self._corrections.for_era(metadata["era"])
        golden = corrections.golden if corrections else None
        if golden is None or metadata["is_mc"]:
            return selection

        def certified(events: Any) -> ak.Array:
            numbers = event_numbers(events)
            if not {"run", "lumi"} <= set(numbers):
                raise InputError(
                    f"{golden.path}: the file has no run and luminosity section to be certified; "
                    "leave 'golden' out of the corrections of this era"
                )
            return ak.Array(golden.certifies(numbers["run"], numbers["lumi"]))

        condition = Condition("its luminosity section is certified", certified)
        return Selection(selection.collection, Cut(GOLDEN, condition), *selection)

    def cuts_on_best_for(self, metadata: Mapping[str, Any]) -> tuple[Cut, ...]:
        """The cuts of :attr:`cuts_on_best` that exist for a dataset."""
        return tuple(cut for cut in self.cuts_on_best if cut.exists_for(metadata))

    def columns_of(self, metadata: Mapping[str, Any]) -> tuple[Variable, ...]:  # noqa: ARG002
        """The variables that the candidates' table of a dataset holds."""
        return self.columns

    def columns_in(self, metadata: Mapping[str, Any]) -> list[Variable]:
        """The columns of a dataset's table whose branches its files have."""
        columns = self.columns_of(metadata)
        return [column for column in columns if not missing_branches(column.branches, metadata)]

    def absences(self, metadata: Mapping[str, Any]) -> dict[str, str]:
        """Steps and columns that a dataset does not have, with the reason.

        Parameters
        ----------
        metadata
            Of a chunk of the dataset, which lists the branches that its files have.
        """
        wanted = [
            cut
            for cut in (*self.selection, *self.cuts_on_best)
            if not (cut.when and not cut.when(metadata))
        ]
        parts = {part.name: part.branches for part in (*wanted, *self.columns_of(metadata))}
        missing = {name: missing_branches(branches, metadata) for name, branches in parts.items()}
        lacking = {name: f"no branch {', '.join(each)}" for name, each in missing.items() if each}
        return {**self.absent, **lacking}

    def weights_of(self, metadata: Mapping[str, Any]) -> list[Weight]:
        """The weights that a dataset has, beside that of the generator."""
        corrections = self._corrections.for_era(metadata["era"])
        return [weight for weight in self.weights if weight.applies(metadata, corrections)]
