"""Facilities: the places where analyses run, each described by one TOML file."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
