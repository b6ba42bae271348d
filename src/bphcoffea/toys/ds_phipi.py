"""Toy samples of Ds → φ(μμ)π, as ntuples: two data eras, MC of both signals and both backgrounds.

MC differs from data as `calibration` says; what corrects it is written beside the samples.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from bphcoffea.physics.constants import DPLUS_MASS, DS_MASS
from bphcoffea.toys import samples
from bphcoffea.toys.decay import Integers
from bphcoffea.toys.generation import Species
from bphcoffea.toys.ntuple import Events, simulate
from bphcoffea.toys.payloads import CORRECTIONS_TOML
from bphcoffea.toys.samples import (
    EVENTS_PER_LUMINOSITY,
    File,
    Progress,
    Sample,
    make_fileset,
    metadata,
    write_samples,
)
from bphcoffea.toys.truth import find

TREE: Final = "Tree3Mu/ntuple"

#: Part of the data-like events that each species makes up.
DATA_FRACTIONS: Final = {
    Species.DS: 0.115,
    Species.DPLUS: 0.045,
    Species.PHI_TRACK: 0.690,
    Species.DIMUON_TRACK: 0.150,
}
#: Invented: part of the generated mesons that the generator's filter lets through.
FILTER_EFFICIENCY: Final = 0.02
_PB_PER_FB: Final = 1e-3


def _simulated(
    species: Species, process: str, label: str, share: float, kind: str, **known: float
) -> Sample:
    # the cross section (invented) gives the yield that the data-like samples have
    visible = DATA_FRACTIONS[species] * EVENTS_PER_LUMINOSITY * _PB_PER_FB
    return Sample(
        name=f"toy_{process}_mc",
        era="2017D",
        runs=(1, 1),
        trigger_match="dRtriggerMatch_2017",
        share=share,
        files=2,
        fractions={species: 1.0},
        is_mc=True,
        metadata={
            "kind": kind,
            "process": process,
            "label": label,
            "cross_section": round(visible / FILTER_EFFICIENCY, 6),
            "filter_efficiency": FILTER_EFFICIENCY,
            **known,
        },
    )


_DATA: Final = {"kind": "data", "process": "data", "label": "Toy data"}
#: The datasets; the runs of the data-like ones are those of the eras.
SAMPLES: Final = (
    Sample(
        "toy_2017",
        "2017D",
        (302_031, 302_663),
        "dRtriggerMatch_2017",
        0.4,
        2,
        DATA_FRACTIONS,
        metadata=_DATA,
    ),
    Sample(
        "toy_2018",
        "2018D",
        (320_500, 325_175),
        "dRtriggerMatch",
        0.6,
        2,
        DATA_FRACTIONS,
        metadata=_DATA,
    ),
    _simulated(Species.DS, "ds_phipi", "Toy Ds → φπ", 0.1, "signal", mass=DS_MASS),
    _simulated(Species.DPLUS, "dplus_phipi", "Toy D+ → φπ", 0.1, "signal", mass=DPLUS_MASS),
    _simulated(Species.PHI_TRACK, "phi_track", "Toy φ + track", 0.3, "background"),
    _simulated(Species.DIMUON_TRACK, "dimuon_track", "Toy μμ + track", 0.06, "background"),
)


def write_ds_phipi(
    folder: Path, events: int = 200_000, seed: int = 1, *, progress: Progress = lambda *_: None
) -> Path:
    """Write the toy samples of Ds → φ(μμ)π.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    events
        Number of data-like events, both eras together; each MC sample has a share of it.
    seed
        The same seed gives the same events.
    progress
        Called after each file.

    Returns
    -------
    Path of the fileset, as `write_samples` does.
    """
    return write_samples(
        folder,
        TREE,
        SAMPLES,
        lambda sample: metadata(sample, events),
        lambda sample: generate_files(sample, events, seed),
        lambda _, content: find(content),
        CORRECTIONS_TOML,
        progress=progress,
    )


def fileset(events: int) -> dict[str, Any]:
    """Datasets, files and metadata of the toy with that number of data-like events."""
    return make_fileset(TREE, SAMPLES, lambda sample: metadata(sample, events))


def generate_files(sample: Sample, events: int, seed: int) -> Iterator[File[Events]]:
    """Yield each file of a sample, in order.

    Parameters
    ----------
    sample
        One of `SAMPLES`.
    events
        Number of data-like events, both eras together.
    seed
        As for `write_ds_phipi`.
    """
    return samples.generate_files(sample, events, seed, _simulate)


def _simulate(species: Integers, sample: Sample, rng: np.random.Generator) -> Events:
    return simulate(species, sample.trigger_match, sample.is_mc, rng)
