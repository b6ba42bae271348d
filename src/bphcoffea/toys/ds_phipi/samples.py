"""Samples of Ds → φ(μμ)π: data of two eras, simulation of both signals and both backgrounds.

Simulation differs from data as :mod:`~bphcoffea.toys.calibration` says; its corrections are written
beside the samples.
"""

from dataclasses import dataclass
from typing import Final

from bphcoffea.physics.constants import DPLUS_MASS, DS_MASS
from bphcoffea.toys.ds_phipi.generation import Species, generate, generator_particles
from bphcoffea.toys.ds_phipi.reconstruction import STEPS, reconstruct
from bphcoffea.toys.ds_phipi.truth import find
from bphcoffea.toys.payloads import CORRECTIONS_TOML
from bphcoffea.toys.toy import EVENTS_PER_LUMINOSITY, PB_PER_FB, Sample
from bphcoffea.toys.tree3mu import Model, Tree3MuToy

#: Fraction of the data-like events of each species.
DATA_FRACTIONS: Final[dict[int, float]] = {
    Species.DS: 0.115,
    Species.DPLUS: 0.045,
    Species.PHI_TRACK: 0.690,
    Species.DIMUON_TRACK: 0.150,
}
#: Invented: fraction of the generated mesons that pass the generator's filter.
FILTER_EFFICIENCY: Final = 0.02


def _simulation(
    species: Species, process: str, label: str, share: float, kind: str, **mass: float
) -> Sample:
    # the cross section (invented) gives the yield of the data-like samples
    visible = DATA_FRACTIONS[species] * EVENTS_PER_LUMINOSITY * PB_PER_FB
    return Sample(
        name=f"toy_{process}_mc",
        era="2017D",
        runs=(1, 1),
        share=share,
        files=2,
        metadata={
            "kind": kind,
            "process": process,
            "label": label,
            "cross_section": round(visible / FILTER_EFFICIENCY, 6),
            "filter_efficiency": FILTER_EFFICIENCY,
            **mass,
        },
        fractions={species: 1.0},
    )


_DATA: Final = {"kind": "data", "process": "data", "label": "Toy data"}
#: The datasets, data first; data have the runs of their era.
SAMPLES: Final = (
    Sample("toy_2017", "2017D", (302_031, 302_663), 0.4, 2, _DATA, DATA_FRACTIONS),
    Sample("toy_2018", "2018D", (320_500, 325_175), 0.6, 2, _DATA, DATA_FRACTIONS),
    _simulation(Species.DS, "ds_phipi", "Toy Ds → φπ", 0.1, "signal", mass=DS_MASS),
    _simulation(Species.DPLUS, "dplus_phipi", "Toy D+ → φπ", 0.1, "signal", mass=DPLUS_MASS),
    _simulation(Species.PHI_TRACK, "phi_track", "Toy φ + track", 0.3, "background"),
    _simulation(Species.DIMUON_TRACK, "dimuon_track", "Toy μμ + track", 0.06, "background"),
)


@dataclass(frozen=True)
class DsPhiPiToy(Tree3MuToy):
    """Toy of Ds → φ(μμ)π."""

    samples: tuple[Sample, ...] = SAMPLES

    corrections = CORRECTIONS_TOML
    steps = STEPS
    model = Model(generate, reconstruct, generator_particles, find)
