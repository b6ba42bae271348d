"""Toy of Ds → φ(μμ)π, as Tree3Mu ntuples."""

from typing import Final

from bphcoffea.toys.ds_phipi.samples import SAMPLES, DsPhiPiToy

__all__ = ["SAMPLES", "TOYS", "DsPhiPiToy"]

TOYS: Final = {"ds_phipi": DsPhiPiToy()}
