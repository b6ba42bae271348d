"""The samples of the toy: data of two years, and simulation of τ → 3μ from charm and beauty."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bphcoffea.toys.ds_phipi import DATA_FRACTIONS as DS_PHIPI_FRACTIONS
from bphcoffea.toys.ds_phipi import FILTER_EFFICIENCY as DS_PHIPI_FILTER
from bphcoffea.toys.ds_phipi import SAMPLES as DS_PHIPI_SAMPLES
from bphcoffea.toys.ds_phipi import TREE
from bphcoffea.toys.generation import Species as DsPhiPiSpecies
from bphcoffea.toys.payloads import TAU3MU_CORRECTIONS_TOML
from bphcoffea.toys.samples import (
    EVENTS_PER_LUMINOSITY,
    File,
    Progress,
    Sample,
    metadata,
    number_of_events,
    write_samples,
)
from bphcoffea.toys.samples import generate_files as draw_files
from bphcoffea.toys.tau3mu.generation import TAU_MASS, Species
from bphcoffea.toys.tau3mu.ntuple import Events, simulate
from bphcoffea.toys.tau3mu.truth import find

#: Branching fraction of τ → 3μ to which the cross sections of simulation refer.
REFERENCE_BRANCHING: Final = 1e-7
#: Branching fraction of `write_tau3mu_signal`.
INJECTED_BRANCHING: Final = 4e-7
#: Branching fractions [PDG] of Ds → τν, Ds → φ(μμ)π, B → τX and B → DsX, and part of the Ds that
#: come from b hadrons.
DS_TAU_NU, DS_PHI_PI, B_TAU, B_DS = 5.32e-2, 1.3e-5, 3.34e-2, 0.083
FROM_B: Final = 0.25
#: What τ from D+ add to those from Ds, and τ from Bs to those from other B mesons.
WITH_DPLUS, WITH_BS = 1.04, 1.12
#: τ → 3μ of the data for each Ds → φ(μμ)π, if its branching fraction were 1.
TAUS_FOR_EACH_DS: Final = {
    Species.TAU_D: WITH_DPLUS * DS_TAU_NU / DS_PHI_PI,
    Species.TAU_B: WITH_BS * FROM_B * B_TAU / (B_DS * DS_PHI_PI),
}
#: Ds → φ(μμ)π for each inverse femtobarn, before the generator's filter of that toy.
_DS_PER_LUMINOSITY: Final = (
    DS_PHIPI_FRACTIONS[DsPhiPiSpecies.DS] * EVENTS_PER_LUMINOSITY / DS_PHIPI_FILTER
)
#: Invented: part of the generated τ that the generator's filter lets through.
FILTER_EFFICIENCY: Final = 0.10
_PB_PER_FB: Final = 1e-3

#: Part of the data-like events that each species makes up.
DATA_FRACTIONS: Final = {
    Species.PHI_MUON: 0.10,
    Species.OMEGA_MUON: 0.04,
    Species.THREE_MUONS: 0.56,
    Species.NOTHING: 0.30,
}
#: Events of each sample of signal for each data-like event of its year.
_SIGNAL_SHARE: Final = 0.1


def rate(species: Species, branching: float) -> float:
    """Number of τ → 3μ for each inverse femtobarn, before the generator's filter.

    Parameters
    ----------
    species
        Charm or beauty.
    branching
        Branching fraction of τ → 3μ.
    """
    return _DS_PER_LUMINOSITY * TAUS_FOR_EACH_DS[species] * branching


def _data(like: Sample) -> Sample:
    # runs, luminosity and files are those of Ds → φπ: the same data, with another trigger
    return Sample(
        name=f"toy_tau3mu_{like.era[:4]}",
        era=like.era,
        runs=like.runs,
        trigger_match=like.trigger_match,
        share=like.share,
        files=like.files,
        fractions=DATA_FRACTIONS,
        metadata=like.metadata,
    )


def _signal(species: Species, process: str, label: str, data: Sample) -> Sample:
    return Sample(
        name=f"toy_{process}_{data.era[:4]}_mc",
        era=data.era,
        runs=(1, 1),
        trigger_match=data.trigger_match,
        share=_SIGNAL_SHARE,
        files=1,
        fractions={species: 1.0},
        is_mc=True,
        metadata={
            "kind": "signal",
            "process": process,
            "label": label,
            "mass": TAU_MASS,
            "cross_section": rate(species, REFERENCE_BRANCHING) * _PB_PER_FB,
            "filter_efficiency": FILTER_EFFICIENCY,
        },
    )


_DATA: Final = tuple(_data(sample) for sample in DS_PHIPI_SAMPLES if not sample.is_mc)
#: The datasets, data first.
SAMPLES: Final = (
    *_DATA,
    *(
        _signal(species, process, label, data)
        for species, process, label in (
            (Species.TAU_D, "tau3mu_d", "Toy τ → 3μ from D"),
            (Species.TAU_B, "tau3mu_b", "Toy τ → 3μ from B"),
        )
        for data in _DATA
    ),
)


def write_tau3mu(
    folder: Path,
    events: int = 200_000,
    seed: int = 1,
    branching: float = 0.0,
    samples: Sequence[Sample] = SAMPLES,
    *,
    progress: Progress = lambda *_: None,
) -> Path:
    """Write the toy samples of the search for τ → 3μ.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    events
        Number of data-like events, both years together; each sample of signal has a share of it.
    seed
        The same seed gives the same events.
    branching
        Branching fraction of τ → 3μ in the data: signal is added to the data-like events.
    samples
        Which datasets to write, by default all.
    progress
        Called after each file.

    Returns
    -------
    Path of the fileset, as `write_samples` does.
    """
    return write_samples(
        folder,
        TREE,
        samples,
        lambda sample: metadata(sample, events),
        lambda sample: generate_files(sample, events, seed, branching),
        lambda _, content: find(content),
        TAU3MU_CORRECTIONS_TOML,
        lambda sample: {} if sample.is_mc else {"branching": branching},
        progress,
    )


def write_tau3mu_signal(
    folder: Path, events: int = 200_000, seed: int = 1, *, progress: Progress = lambda *_: None
) -> Path:
    """Write the same samples with signal in the data, by `INJECTED_BRANCHING`.

    Parameters
    ----------
    folder, events, seed, progress
        As for `write_tau3mu`.

    Returns
    -------
    As `write_tau3mu` does.
    """
    return write_tau3mu(folder, events, seed, INJECTED_BRANCHING, progress=progress)


def generate_files(
    sample: Sample, events: int, seed: int, branching: float = 0.0
) -> Iterator[File[Events]]:
    """Yield each file of a sample, in order.

    Parameters
    ----------
    sample
        One of `SAMPLES`.
    events
        Number of data-like events, both years together.
    seed, branching
        As for `write_tau3mu`.
    """
    injected: Mapping[Species, float] = {}
    if branching and not sample.is_mc:
        luminosity = number_of_events(sample, events) / EVENTS_PER_LUMINOSITY
        injected = {
            species: rate(species, branching) * FILTER_EFFICIENCY * luminosity
            for species in TAUS_FOR_EACH_DS
        }
    return draw_files(sample, events, seed, simulate, injected)
