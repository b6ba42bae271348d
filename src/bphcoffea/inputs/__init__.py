"""NanoEvents schemas, which turn the branches of a file into collections of objects."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
