"""Scale factors, efficiencies and weights from correctionlib files, declared in one TOML an era."""

from bphcoffea.corrections.era import Corrections, EraCorrections, load_corrections
from bphcoffea.corrections.factors import Factor

__all__ = ["Corrections", "EraCorrections", "Factor", "load_corrections"]
