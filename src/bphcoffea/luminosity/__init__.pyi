from .brilcalc import LuminosityTable as LuminosityTable, Recorded as Recorded
from .golden import GoldenJson as GoldenJson
from .sections import from_ranges as from_ranges, to_ranges as to_ranges
