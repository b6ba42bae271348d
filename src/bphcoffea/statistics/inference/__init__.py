"""Inference on any HistFactory workspace: fits, limits, rankings, goodness of fit, yields.

Each function takes a `WorkspaceModel` and returns a record that can be written as JSON. Names are
imported on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
