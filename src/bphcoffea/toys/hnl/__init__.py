"""Toy of Ds → μN, N → μπ with a long-lived heavy neutral lepton N, as wztrees."""

from typing import Final

from bphcoffea.toys.hnl.samples import SAMPLES, HnlToy, Injection

__all__ = ["SAMPLES", "TOYS", "HnlToy", "Injection"]

#: Signal in the data of ``hnl_signal``: 1.5 GeV, cτ of 100 mm.
_INJECTED: Final = Injection(mass=1.5, mixing=7.289156e-4, decays_per_event=0.01)

TOYS: Final = {"hnl": HnlToy(), "hnl_signal": HnlToy(_INJECTED)}
