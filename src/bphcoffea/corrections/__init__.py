"""Scale factors, efficiencies and weights from correctionlib files, with one TOML per era."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
