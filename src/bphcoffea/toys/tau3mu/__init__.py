"""Toy samples of the search for τ → 3μ, as Tree3Mu ntuples."""

from bphcoffea.toys.tau3mu.samples import (
    SAMPLES,
    generate_files,
    write_tau3mu,
    write_tau3mu_signal,
)

__all__ = ["SAMPLES", "generate_files", "write_tau3mu", "write_tau3mu_signal"]
