"""Correctionlib files made from the formats in which corrections are distributed."""

from bphcoffea.corrections.making.files import from_json, write
from bphcoffea.corrections.making.histograms import Converted, from_histogram
from bphcoffea.corrections.making.pileup import pileup_from_histograms, pileup_from_profiles

__all__ = [
    "Converted",
    "from_histogram",
    "from_json",
    "pileup_from_histograms",
    "pileup_from_profiles",
    "write",
]
