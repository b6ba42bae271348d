"""Record of an analysis, written to ``analysis.json`` for steps that do not import the analysis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from bphcoffea.analysis.blinding import Hidden
from bphcoffea.analysis.classifier import ClassifierRecord
from bphcoffea.analysis.mass_model import MassModel
from bphcoffea.analysis.model_scores import ScoreRecord
from bphcoffea.analysis.n_minus_1 import NMinus1
from bphcoffea.analysis.objects import ObjectVariable
from bphcoffea.physics import Window

if TYPE_CHECKING:
    from bphcoffea.analysis.analysis import Analysis


class _Record(BaseModel):
    # unknown keys are ignored, and keys that older versions did not write have defaults
    model_config = ConfigDict(frozen=True)


class CutRecord(_Record):
    """A step of the selection.

    Attributes
    ----------
    name
        Name of the step in the cutflow.
    requirements
        Text of each requirement.
    reads
        Branches that the cut reads; empty if the schema has no template.
    """

    name: str
    requirements: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


class ResonanceRecord(_Record):
    """A mass that figures of a spectrum mark: label in mathtext, mass in GeV."""

    label: str
    mass: float


class HistogramRecord(_Record):
    """A histogram, as figures show it.

    Attributes
    ----------
    variable
        Name of the variable; of the first one, if there are several.
    others
        Names of the other variables.
    label
        Label of the variable, in mathtext.
    unit
        Unit of the variable; empty for a pure number.
    counted
        What the histogram counts: candidates, events or objects.
    log_y
        Whether figures have a logarithmic scale.
    resonances
        Masses that figures mark.
    n_minus_1
        Name of the cut, or of the objects, with the requirements that an N-1 histogram leaves out,
        empty for that of regions; None for other histograms.
    bounds
        Finite bounds that these requirements set on the variable.
    regions
        Regions whose requirements on the variable an N-1 histogram leaves out, and the bounds of
        each; it has a category per region. Empty for other histograms.
    """

    variable: str
    others: tuple[str, ...] = ()
    label: str = ""
    unit: str = ""
    counted: str = "Candidates"
    log_y: bool = False
    resonances: tuple[ResonanceRecord, ...] = ()
    n_minus_1: str | None = None
    bounds: tuple[float, ...] = ()
    regions: dict[str, tuple[float, ...]] = {}

    @property
    def left_out(self) -> str:
        """What an N-1 histogram leaves out, in words; empty for other histograms."""
        if self.n_minus_1 is None:
            return ""
        if self.regions:
            return f"requirement of region '{self.n_minus_1}'"
        kind = "requirement on" if self.counted == "Objects" else "cut"
        return f"{kind} '{self.n_minus_1}'"

    def of_region(self, name: str) -> HistogramRecord:
        """Return the record of the figure of a region, for an N-1 histogram of regions."""
        return self.model_copy(update={"n_minus_1": name, "bounds": self.regions[name]})


class RegionRecord(_Record):
    """A part of the selected events: its name, and the text of its requirements."""

    name: str
    requirements: tuple[str, ...] = ()


class ObjectsRecord(_Record):
    """A selected collection: its name, what it is selected from, and the text of each step."""

    name: str
    of: str
    requirements: tuple[str, ...] = ()


class BlindRecord(_Record):
    """The blind variable, and the data that the run hides.

    Attributes
    ----------
    histogram
        Name of a histogram of the blind variable.
    variable, unit
        Name and unit of the blind variable.
    windows
        Fixed windows that the analysis declares, merged over categories.
    by_category
        The fixed windows of each category; empty if all categories have the same.
    blinded
        Whether the run hides data.
    hidden
        Windows in which the run hides data.
    masses
        Masses around which the hidden windows were made, GeV.
    """

    histogram: str
    variable: str = ""
    unit: str = ""
    windows: tuple[Window, ...] = ()
    by_category: dict[str, tuple[Window, ...]] = {}
    blinded: bool = False
    hidden: tuple[Window, ...] = ()
    masses: tuple[float, ...] = ()


class AnalysisRecord(_Record):
    """Content of ``analysis.json``, from which figures, fits and limits are made.

    Attributes
    ----------
    name, title
        Name of the analysis, and the first line of its docstring.
    collection
        Field of the events that holds the candidates; empty if events are selected.
    objects
        Collections that are selected in each event.
    cuts
        Steps of the selection, in order, and those on the best candidate.
    best
        Name of the variable by which the best candidate is chosen; None if all are kept.
    categories
        Declared category of each category in the histograms; empty without categories.
    regions
        Parts of the selected events that may overlap.
    classifier
        Classifier that splits the categories; None without a classifier.
    scores
        Variables that are scores of trained models.
    histograms
        Histograms by name, including N-1 histograms.
    overlay_signal
        Whether figures draw simulated signal as a line.
    blind
        The blind variable; None if there is none.
    search
        Name of the search; None if the analysis belongs to no search.
    absent
        Steps of the selection that the input cannot answer, with the reason.
    fit
        The mass model; None if the analysis has no mass fit.
    variations
        Names of the variations of each dataset, in order.
    """

    name: str
    title: str = ""
    collection: str = ""
    objects: tuple[ObjectsRecord, ...] = ()
    cuts: tuple[CutRecord, ...] = ()
    best: str | None = None
    categories: dict[str, str] = {}
    regions: tuple[RegionRecord, ...] = ()
    classifier: ClassifierRecord | None = None
    scores: tuple[ScoreRecord, ...] = ()
    histograms: dict[str, HistogramRecord] = {}
    overlay_signal: bool = False
    blind: BlindRecord | None = None
    search: str | None = None
    absent: dict[str, str] = {}
    fit: MassModel | None = None
    variations: dict[str, tuple[str, ...]] = {}


def describe(
    analysis: Analysis,
    reads: Mapping[str, Sequence[str]],
    variations: Mapping[str, Sequence[str]],
) -> AnalysisRecord:
    """Return the record of an analysis.

    Parameters
    ----------
    analysis
        The analysis.
    reads
        Branches that each cut reads, by the name of the cut.
    variations
        Names of the variations of each dataset.
    """
    title = (type(analysis).__doc__ or "").strip() or analysis.name()
    return AnalysisRecord(
        name=analysis.name(),
        title=title.splitlines()[0].rstrip("."),
        collection=analysis.collection or "",
        objects=tuple(
            ObjectsRecord(name=o.name, of=o.of, requirements=o.steps) for o in analysis.objects
        ),
        cuts=tuple(
            CutRecord(
                name=cut.name,
                requirements=tuple(str(requirement) for requirement in cut.requirements),
                reads=tuple(reads.get(cut.name, ())),
            )
            for cut in (*analysis.selection, *analysis.cuts_on_best)
        ),
        best=analysis.best.name if analysis.best else None,
        categories=analysis.categories_by_bin(),
        regions=tuple(
            RegionRecord(name=region.name, requirements=tuple(map(str, region.requirements)))
            for region in analysis.regions
        ),
        classifier=analysis.classifier.describe() if analysis.classifier else None,
        scores=analysis.scores,
        histograms=_histograms(analysis),
        overlay_signal=analysis.overlay_signal,
        blind=_blind(analysis),
        search=analysis.search,
        absent=dict(analysis.absent),
        fit=analysis.mass_fit,
        variations={dataset: tuple(names) for dataset, names in variations.items()},
    )


def _histograms(analysis: Analysis) -> dict[str, HistogramRecord]:
    records = {}
    for histogram in (*analysis.histograms, *analysis.n_minus_1()):
        variable = histogram.variables[0]
        n_minus_1 = histogram if isinstance(histogram, NMinus1) else None
        records[histogram.name] = HistogramRecord(
            variable=variable.name,
            others=tuple(other.name for other in histogram.variables[1:]),
            label=variable.label or variable.name,
            unit=variable.unit,
            counted="Objects"
            if any(isinstance(v, ObjectVariable) for v in histogram.variables)
            else "Candidates"
            if analysis.candidates
            else "Events",
            log_y=histogram.log_y,
            resonances=tuple(
                ResonanceRecord(label=label, mass=mass) for label, mass in histogram.resonances
            ),
            n_minus_1=n_minus_1.without if n_minus_1 else None,
            bounds=n_minus_1.bounds if n_minus_1 else (),
            regions=dict(n_minus_1.regions) if n_minus_1 else {},
        )
    return records


def _blind(analysis: Analysis) -> BlindRecord | None:
    blind, variable = analysis.blind, analysis.blind_variable
    if blind is None or variable is None:
        return None
    hidden = analysis.hidden or Hidden()
    return BlindRecord(
        histogram=blind.histogram,
        variable=variable.name,
        unit=variable.unit,
        windows=blind.around(()) if blind.windows else (),
        by_category=blind.by_category,
        blinded=bool(hidden.windows),
        hidden=hidden.windows,
        masses=hidden.masses,
    )
