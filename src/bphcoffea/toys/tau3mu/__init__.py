"""Toy of the search for τ → 3μ, as Tree3Mu ntuples."""

from typing import Final

from bphcoffea.toys.tau3mu.samples import SAMPLES, Tau3MuToy

__all__ = ["SAMPLES", "TOYS", "Tau3MuToy"]

#: Branching fraction of τ → 3μ in the data of the toy with signal.
INJECTED_BRANCHING: Final = 4e-7

TOYS: Final = {"tau3mu": Tau3MuToy(), "tau3mu_signal": Tau3MuToy(INJECTED_BRANCHING)}
