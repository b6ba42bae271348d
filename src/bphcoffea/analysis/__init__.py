"""The parts that a processor is made of: variables, cuts, weights, shifts, histograms, the base."""

from bphcoffea.analysis.analysis import Analysis
from bphcoffea.analysis.blinding import Blind, Hidden
from bphcoffea.analysis.classifier import Classifier, ClassifierRecord, load_classifier
from bphcoffea.analysis.description import (
    AnalysisRecord,
    BlindRecord,
    CutRecord,
    HistogramRecord,
    ResonanceRecord,
)
from bphcoffea.analysis.histograms import Categories, Histogram
from bphcoffea.analysis.legs import leg_abs_eta, leg_eta, leg_pt, separation
from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.analysis.selection import Cut, Selection
from bphcoffea.analysis.shifts import MomentumShift, Shift
from bphcoffea.analysis.trigger_paths import DatasetPathFired
from bphcoffea.analysis.variables import Axis, Condition, Requirement, Variable
from bphcoffea.analysis.weights import (
    GeneratorVariation,
    LifetimeWeight,
    MuonWeight,
    PileupWeight,
    TriggerWeight,
    Weight,
)

__all__ = [
    "Analysis",
    "AnalysisRecord",
    "Axis",
    "Blind",
    "BlindRecord",
    "Categories",
    "Classifier",
    "ClassifierRecord",
    "Condition",
    "Cut",
    "CutRecord",
    "DatasetPathFired",
    "GeneratorVariation",
    "Hidden",
    "Histogram",
    "HistogramRecord",
    "LifetimeWeight",
    "MassModel",
    "MomentumShift",
    "MuonWeight",
    "Peak",
    "PileupWeight",
    "Requirement",
    "ResonanceRecord",
    "Selection",
    "Shift",
    "TriggerWeight",
    "Variable",
    "Weight",
    "leg_abs_eta",
    "leg_eta",
    "leg_pt",
    "load_classifier",
    "separation",
]
