"""The parts that a processor is made of: variables, cuts, cutflow, histograms, base processor."""

from bphcoffea.analysis.histograms import Histogram
from bphcoffea.analysis.legs import leg_abs_eta, leg_pt, separation
from bphcoffea.analysis.processor import Analysis
from bphcoffea.analysis.selection import Cut, Selection
from bphcoffea.analysis.variables import Axis, Condition, Requirement, Variable

__all__ = [
    "Analysis",
    "Axis",
    "Condition",
    "Cut",
    "Histogram",
    "Requirement",
    "Selection",
    "Variable",
    "leg_abs_eta",
    "leg_pt",
    "separation",
]
