"""Records of ``analysis.json``, for steps that do not import the analysis.

Reading them needs neither arrays nor histograms.
"""

from __future__ import annotations

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

from bphcoffea.analysis.mass_model import MassModel
from bphcoffea.analysis.template_fit import TemplateFit
from bphcoffea.physics import Window

#: Ranges of a variable; None for an open end.
KeptRanges: TypeAlias = tuple[tuple[float | None, float | None], ...]


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
    """

    name: str
    requirements: tuple[str, ...] = ()


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
    kept
        Ranges of the variable that meet these requirements, with None for an open end; None if
        they are unknown.
    regions
        Regions whose requirements on the variable an N-1 histogram leaves out, and the bounds of
        each; it has a category per region. Empty for other histograms.
    kept_in
        Ranges that meet the requirements of each of these regions.
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
    kept: KeptRanges | None = None
    kept_in: dict[str, KeptRanges] = {}
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
        of_region = {"bounds": self.regions[name], "kept": self.kept_in.get(name)}
        return self.model_copy(update={"n_minus_1": name, **of_region})


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


class ModelRecord(_Record):
    """Record of one model: its file, and the hash of the file."""

    file: str
    sha256: str


class ClassifierRecord(_Record):
    """Record of a classifier in ``analysis.json`` and ``provenance.json``.

    Attributes
    ----------
    name, library, inputs, edges
        See :class:`Classifier`.
    file, sha256
        Path of the TOML, and the hash of its content.
    models
        Models of the folds, in order.
    """

    name: str
    file: str
    sha256: str
    models: tuple[ModelRecord, ...]
    library: str
    inputs: tuple[str, ...]
    edges: dict[str, tuple[float, ...]]


class ScoreRecord(_Record):
    """Record of a variable that is the score of a model, in ``analysis.json``.

    Attributes
    ----------
    name
        Name of the variable.
    file, sha256
        Name of the model's file, and the hash of its content.
    library
        Package that evaluates the model: ``xgboost`` or ``onnxruntime``.
    inputs
        Names of the model's inputs, in its order.
    """

    name: str
    file: str
    sha256: str
    library: str
    inputs: tuple[str, ...]


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
    measurements
        Template fits that the analysis declares.
    variations
        Names of the variations of each dataset, in order.
    shapes
        Names of the variations that select events anew; all others change weights alone.
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
    measurements: tuple[TemplateFit, ...] = ()
    variations: dict[str, tuple[str, ...]] = {}
    shapes: tuple[str, ...] = ()
