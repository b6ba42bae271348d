"""Run an analysis over chunks of events: select, weight and fill."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
