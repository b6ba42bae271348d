"""Fits of masses, counting experiments, limits and datacards, for any analysis.

Names are imported on first use, so that a mass fit does not load pyhf.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
