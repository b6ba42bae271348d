from .brilcalc import LuminosityTable as LuminosityTable, Recorded as Recorded
from .sections import GoldenJson as GoldenJson, from_ranges as from_ranges
from .sections import to_ranges as to_ranges
