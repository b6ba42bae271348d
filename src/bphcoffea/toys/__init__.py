"""Toy samples with known truth: ntuples of the real format, made in seconds, that hold real decays.

A toy is called with the folder to write to, the number of data-like events and the seed, and
returns the path of the fileset that it wrote. Beside it lies ``truth.json``: what an analysis
should find; and what corrects the simulation, which differs from the data in a known way.
"""

from pathlib import Path
from typing import Final, Protocol

from bphcoffea.toys.ds_phipi import write_ds_phipi
from bphcoffea.toys.hnl import write_hnl, write_hnl_signal
from bphcoffea.toys.samples import Progress
from bphcoffea.toys.tau3mu import write_tau3mu, write_tau3mu_signal

__all__ = [
    "TOYS",
    "write_ds_phipi",
    "write_hnl",
    "write_hnl_signal",
    "write_tau3mu",
    "write_tau3mu_signal",
]


class Toy(Protocol):
    """Function that writes the samples of a toy, and returns the path of their fileset."""

    def __call__(
        self, folder: Path, events: int = ..., seed: int = ..., *, progress: Progress = ...
    ) -> Path:
        """Write the samples; see :func:`write_ds_phipi`."""
        ...


#: The toys by the name of the analysis that they are made for; ``…_signal`` is the same with signal
#: in the data.
TOYS: Final[dict[str, Toy]] = {
    "ds_phipi": write_ds_phipi,
    "hnl": write_hnl,
    "hnl_signal": write_hnl_signal,
    "tau3mu": write_tau3mu,
    "tau3mu_signal": write_tau3mu_signal,
}
