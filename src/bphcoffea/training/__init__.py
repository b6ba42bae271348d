"""Training of a classifier on simulated signal and the sidebands of data."""

from bphcoffea.training.train import Training, train_run

__all__ = ["Training", "train_run"]
