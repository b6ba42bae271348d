"""Run an analysis: split files into chunks, process them, and write the run folder."""

from bphcoffea.execution.blinding import NothingToHideError, blinded
from bphcoffea.execution.checkpoint_folders import default_place
from bphcoffea.execution.executors import engine
from bphcoffea.execution.loading import load_analysis
from bphcoffea.execution.run import Options, run

__all__ = [
    "NothingToHideError",
    "Options",
    "blinded",
    "default_place",
    "engine",
    "load_analysis",
    "run",
]
