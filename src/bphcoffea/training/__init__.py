"""Training of a classifier on simulated signal and the sidebands of data."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
