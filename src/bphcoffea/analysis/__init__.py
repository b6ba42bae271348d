"""Declarations of an analysis: variables, cuts, weights, shifts, histograms, the base class."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
