"""Toy samples of Ds → μN, N → μπ with a long-lived heavy neutral lepton N, as wztrees."""

from bphcoffea.toys.hnl.samples import (
    SAMPLES,
    TREE,
    Injection,
    Sample,
    generate_files,
    write_hnl,
    write_hnl_signal,
)

__all__ = [
    "SAMPLES",
    "TREE",
    "Injection",
    "Sample",
    "generate_files",
    "write_hnl",
    "write_hnl_signal",
]
