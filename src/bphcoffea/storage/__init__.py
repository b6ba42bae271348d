"""Disks and servers: listing, opening and writing files, locks, and the meaning of errors."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
