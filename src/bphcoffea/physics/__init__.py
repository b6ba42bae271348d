"""Pure functions on arrays and numbers: constants, kinematics, matching, lifetimes, triggers."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
