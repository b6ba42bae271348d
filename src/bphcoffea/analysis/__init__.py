"""Declarations of an analysis: variables, cuts, weights, shifts, histograms, the base class."""

from bphcoffea.analysis.analysis import Analysis
from bphcoffea.analysis.blinding import Blind, Hidden
from bphcoffea.analysis.branch_needs import BranchNeeds
from bphcoffea.analysis.classifier import SCORE, Classifier, ClassifierRecord, load_classifier
from bphcoffea.analysis.description import (
    AnalysisRecord,
    BlindRecord,
    CutRecord,
    HistogramRecord,
    ResonanceRecord,
)
from bphcoffea.analysis.histograms import ALL, NOMINAL, Categories, Histogram
from bphcoffea.analysis.legs import leg_abs_eta, leg_eta, leg_pt, separation
from bphcoffea.analysis.mass_model import MassModel, Peak, Tails
from bphcoffea.analysis.metadata import HELD, DatasetMetadata
from bphcoffea.analysis.models import MissingExtraError, Model, library_version
from bphcoffea.analysis.resolved import ResolvedAnalysis
from bphcoffea.analysis.selection import Cut, Selection
from bphcoffea.analysis.shifts import MomentumShift, Shift
from bphcoffea.analysis.trigger_paths import DatasetPathFired
from bphcoffea.analysis.variables import Axis, Condition, EventFunction, Requirement, Variable
from bphcoffea.analysis.weights import (
    DOWN,
    UP,
    GeneratorVariation,
    LifetimeWeight,
    MuonWeight,
    PileupWeight,
    TriggerWeight,
    Weight,
)

__all__ = [
    "ALL",
    "DOWN",
    "HELD",
    "NOMINAL",
    "SCORE",
    "UP",
    "Analysis",
    "AnalysisRecord",
    "Axis",
    "Blind",
    "BlindRecord",
    "BranchNeeds",
    "Categories",
    "Classifier",
    "ClassifierRecord",
    "Condition",
    "Cut",
    "CutRecord",
    "DatasetMetadata",
    "DatasetPathFired",
    "EventFunction",
    "GeneratorVariation",
    "Hidden",
    "Histogram",
    "HistogramRecord",
    "LifetimeWeight",
    "MassModel",
    "MissingExtraError",
    "Model",
    "MomentumShift",
    "MuonWeight",
    "Peak",
    "PileupWeight",
    "Requirement",
    "ResolvedAnalysis",
    "ResonanceRecord",
    "Selection",
    "Shift",
    "Tails",
    "TriggerWeight",
    "Variable",
    "Weight",
    "leg_abs_eta",
    "leg_eta",
    "leg_pt",
    "library_version",
    "load_classifier",
    "separation",
]
