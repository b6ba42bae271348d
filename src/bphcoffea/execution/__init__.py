"""Run an analysis: split files into chunks, process them, and write the run folder."""

from bphcoffea.execution.blinding import NothingToHideError, blinded
from bphcoffea.execution.checkpoint_folders import default_place
from bphcoffea.execution.executors.dask_health import ClusterLostError
from bphcoffea.execution.executors.engines import WrongExecutorError, engine
from bphcoffea.execution.loading import load_analysis
from bphcoffea.execution.run_analysis import Options, run

__all__ = [
    "ClusterLostError",
    "NothingToHideError",
    "Options",
    "WrongExecutorError",
    "blinded",
    "default_place",
    "engine",
    "load_analysis",
    "run",
]
