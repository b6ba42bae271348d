"""Figures of a run."""

from bphcoffea.presentation.labels import Labels
from bphcoffea.presentation.run_figures import plot_run

__all__ = ["Labels", "plot_run"]
