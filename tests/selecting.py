"""Selections of events outside a processor."""

from bphcoffea.processing.candidates import Candidates
from bphcoffea.processing.selected import Selected


def select(selection, events, weights=None, collection="Candidate"):
    """Select the candidates of some events, with one weight per event."""
    return Selected(selection, Candidates(events, collection), weights)
