"""Base class of every analysis: what it declares, and how that resolves for a dataset."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Final, Self

import awkward as ak
import numpy as np
from coffea.nanoevents import BaseSchema

from bphcoffea.analysis.blinding import Blind, Hidden
from bphcoffea.analysis.calibrations.calibration import Calibration
from bphcoffea.analysis.classifier import SCORE_BIN, Classifier
from bphcoffea.analysis.declaration import check_classifier, check_declaration
from bphcoffea.analysis.description import describe
from bphcoffea.analysis.histograms import Categories, Histogram
from bphcoffea.analysis.mass_model import MassModel
from bphcoffea.analysis.metadata import DatasetMetadata
from bphcoffea.analysis.model_scores import scores_in
from bphcoffea.analysis.n_minus_1 import NMinus1, n_minus_1_histograms
from bphcoffea.analysis.names import ALL
from bphcoffea.analysis.objects import Objects
from bphcoffea.analysis.records import AnalysisRecord, ScoreRecord
from bphcoffea.analysis.regions import Region
from bphcoffea.analysis.resolved import ResolvedAnalysis, resolve
from bphcoffea.analysis.selection import Candidates, Cut, Selection
from bphcoffea.analysis.shifts import Shift
from bphcoffea.analysis.template_fit import TemplateFit
from bphcoffea.analysis.variables import Variable
from bphcoffea.analysis.weights.weight import Weight
from bphcoffea.arrays import Floats
from bphcoffea.corrections import Corrections

#: Branch of NanoAOD that holds the generator weight.
GENERATOR_WEIGHT: Final = "genWeight"


class Analysis:
    """Declarations of an analysis: what it selects, weights and fills.

    Subclass it and set the attributes; :class:`bphcoffea.processing.processor.Processor` runs them.

    Attributes
    ----------
    schema
        NanoEvents schema, which makes collections from branches.
    calibrations
        Corrections of measured energies and momenta, before anything is selected, with their shape
        variations.
    objects
        Collections that are selected in each event, before anything else. Later ones may select
        from earlier ones.
    candidates
        What is selected in each event. None: the events themselves, each as its only candidate.
    selection
        The cuts, in order.
    cuts_on_best
        Steps that the best candidate must pass after it was chosen: an event whose best candidate
        fails is lost, even if it has other candidates.
    histograms
        Distributions of the chosen candidates. N-1 histograms are added for every variable that
        has an axis and is compared in a cut, a requirement on objects, or a region.
    columns
        Variables in the table of candidates, in addition to run, luminosity section, event,
        category, weight and the factors of the weight.
    categories
        Disjoint parts of the chosen candidates, with histograms of their own; None for no parts.
    regions
        Parts of the chosen candidates that may overlap, with histograms of their own. An analysis
        has either regions or categories.
    weights
        Corrections of simulation in addition to the generator weight. A weight that needs a section
        of the corrections applies if the era's corrections have it.
    shifts
        Shape variations, for which events are selected again.
    metadata
        Metadata that every dataset must have, in addition to ``is_mc`` and ``era``.
    mass_fit
        Model of the mass fit.
    measurements
        Template fits, with different names.
    overlay_signal
        Whether figures draw simulated signal as a line over the data instead of stacking it.
    blind
        Variable of the search, and the windows in which a run hides data.
    search
        Name of the search that the analysis belongs to; None if it sets no limit.
    absent
        Steps that the input format cannot answer, with the reason; a run reports them.
    hidden
        Windows in which the results contain no data, set by :meth:`hiding`. None until a run
        decides.
    classifier
        Classifier whose score splits the categories, set by :meth:`classified`.
    era_corrections
        Corrections of simulation, set by :meth:`corrected`.
    nominal_only
        Whether all variations are left out.

    Examples
    --------
    >>> mass = Variable("mass", lambda events: events.Dimuon.mass, unit="GeV")
    >>> class JPsi(Analysis):
    ...     candidates = Candidates("Dimuon")
    ...     selection = Selection(Cut("mass", mass.between(2.9, 3.3)))
    >>> JPsi().selection
    Selection:
      mass: 2.9 < mass < 3.3 GeV
    """

    schema: ClassVar[type[BaseSchema]]
    calibrations: ClassVar[tuple[Calibration, ...]] = ()
    objects: ClassVar[tuple[Objects, ...]] = ()
    candidates: ClassVar[Candidates | None] = None
    selection: ClassVar[Selection]
    cuts_on_best: ClassVar[tuple[Cut, ...]] = ()
    categories: ClassVar[Categories | None] = None
    regions: ClassVar[tuple[Region, ...]] = ()
    histograms: ClassVar[tuple[Histogram, ...]] = ()
    columns: ClassVar[tuple[Variable, ...]] = ()
    weights: ClassVar[tuple[Weight, ...]] = ()
    shifts: ClassVar[tuple[Shift, ...]] = ()
    metadata: ClassVar[tuple[str, ...]] = ()
    mass_fit: ClassVar[MassModel | None] = None
    measurements: ClassVar[tuple[TemplateFit, ...]] = ()
    overlay_signal: ClassVar[bool] = False
    blind: ClassVar[Blind | None] = None
    search: ClassVar[str | None] = None
    absent: ClassVar[Mapping[str, str]] = {}
    hidden: Hidden | None = None
    classifier: Classifier | None = None
    era_corrections: Corrections = Corrections()
    nominal_only: bool = False

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)
        check_declaration(cls)

    def prepare(self, events: ak.Array) -> ak.Array:
        """Add what the selection needs and neither the schema nor :attr:`objects` make."""
        return events

    def columns_for(self, metadata: DatasetMetadata) -> tuple[Variable, ...]:  # noqa: ARG002
        """Return the columns of a dataset's table; override it if datasets have different ones."""
        return self.columns

    def generator_weight(self, events: ak.Array) -> Floats:
        """Return the generator weight of each simulated event, shape (events,); 1 by default."""
        if GENERATOR_WEIGHT in events.fields:
            weights: Floats = ak.to_numpy(events[GENERATOR_WEIGHT]).astype(np.float64)
            return weights
        return np.ones(len(events), dtype=np.float64)

    def for_dataset(self, metadata: DatasetMetadata) -> ResolvedAnalysis:
        """Resolve the declarations for a dataset; see :func:`.resolved.resolve`.

        Parameters
        ----------
        metadata
            Metadata of the dataset. Those of a chunk also list the branches that files of the
            dataset have, on which cuts and columns may depend.
        """
        return resolve(self, metadata)

    def corrected(self, corrections: Corrections, *, nominal_only: bool = False) -> Self:
        """Return a copy with corrections.

        Parameters
        ----------
        corrections
            Corrections from :func:`bphcoffea.corrections.load_corrections`.
        nominal_only
            Whether to leave out all variations.
        """
        other = copy.copy(self)
        other.era_corrections = corrections
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

        The best candidate of each event is scored; the score is a column of the table. Candidates
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
        """Return the declared category of each filled category; empty if there are none."""
        names = self.categories.names if self.categories is not None else ()
        if self.classifier is None:
            return {name: name for name in names}
        return self.classifier.categories(names or (ALL,))

    @property
    def collection(self) -> str | None:
        """Field of the events that holds the candidates; None if events are selected."""
        return self.candidates.of if self.candidates else None

    @property
    def best(self) -> Variable | None:
        """Variable that marks the best candidate; None if all are kept."""
        return self.candidates.best if self.candidates else None

    @property
    def has_table(self) -> bool:
        """Whether a run writes a table with one row per selected event."""
        return self.best is not None or (self.candidates is None and bool(self.columns))

    @property
    def filled_names(self) -> tuple[str, ...]:
        """Names on the axis ``category`` of the histograms.

        The first of an analysis with regions stands for all chosen candidates.
        """
        if self.regions:
            return (ALL, *(region.name for region in self.regions))
        return tuple(self.categories_by_bin()) or (ALL,)

    @property
    def blind_variable(self) -> Variable | None:
        """Variable of the histogram that :attr:`blind` names; None if nothing is blind."""
        if self.blind is None:
            return None
        name = self.blind.histogram
        return next(h.variables[0] for h in self.histograms if h.name == name)

    def n_minus_1(self) -> tuple[NMinus1, ...]:
        """Return the N-1 histograms of the selection, of the objects and of the regions."""
        return n_minus_1_histograms(self.selection, self.objects, self.regions)

    @property
    def scores(self) -> tuple[ScoreRecord, ...]:
        """Variables that are scores of trained models."""
        declared = (self.objects, self.candidates, self.selection, self.cuts_on_best)
        of_results = (self.categories, self.regions, self.histograms, self.columns, self.weights)
        functions = (self.prepare, self.columns_for, self.generator_weight)
        return scores_in(*declared, *of_results, *functions)

    def describe(
        self,
        variations: Mapping[str, Sequence[str]] = MappingProxyType({}),
        shapes: Sequence[str] = (),
        per_event: Collection[str] = (),
    ) -> AnalysisRecord:
        """Return the content of ``analysis.json``; see :func:`.description.describe`."""
        return describe(self, variations, shapes, per_event)

    def name(self) -> str:
        """Return the name of the analysis' file, or of its class if a notebook defines it."""
        module = type(self).__module__.rpartition(".")[2]
        return type(self).__name__ if module == "__main__" else module
