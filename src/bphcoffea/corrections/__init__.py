"""Scale factors, efficiencies and weights from correctionlib files, with one TOML per era."""

from bphcoffea.corrections.era import Corrections, EraCorrections, load_corrections
from bphcoffea.corrections.factor import Factor

__all__ = ["Corrections", "EraCorrections", "Factor", "load_corrections"]
