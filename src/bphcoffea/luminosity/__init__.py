"""Luminosity sections: their certification, and the luminosity recorded in them."""

from bphcoffea.luminosity.brilcalc import LuminosityTable, Recorded
from bphcoffea.luminosity.golden import GoldenJson
from bphcoffea.luminosity.sections import from_ranges, to_ranges

__all__ = ["GoldenJson", "LuminosityTable", "Recorded", "from_ranges", "to_ranges"]
