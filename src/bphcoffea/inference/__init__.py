"""From histograms to physics: mass fits."""

from bphcoffea.inference.model import MassModel, Peak

__all__ = ["MassModel", "Peak"]
