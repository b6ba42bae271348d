"""The samples of the toy: parked data of 2018, and simulation of signal at six points.

Data hold random combinations alone, or those and the signal that is asked for. Simulation has
another pile-up than data, and nothing else in which it differs: its payloads are for the machinery
of weights, and no closure follows from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bphcoffea.toys.hnl.decays import (
    Decays,
    background_decays,
    mean_proper_length,
    signal_decays,
)
from bphcoffea.toys.hnl.ntuple import Events, simulate
from bphcoffea.toys.hnl.truth import find
from bphcoffea.toys.luminosity import event_numbers, luminosity_sections
from bphcoffea.toys.payloads import HNL_CORRECTIONS_TOML
from bphcoffea.toys.samples import (
    EVENTS_PER_LUMINOSITY,
    File,
    Progress,
    file_name,
    generators,
    number_of_events,
    parts,
    write_samples,
)

TREE: Final = "wztree"
ERA: Final = "2018D"
#: Events of each sample of signal for each data-like event.
_SIGNAL_SHARE: Final = 0.1
_RUNS: Final = (320_500, 325_175)
_FILES: Final = 4

#: Invented: cross section times cτ, pb mm, by the mass in GeV. Both the rate and the inverse of the
#: lifetime are proportional to |V|².
_CROSS_SECTION: Final = {1.0: 880.0, 1.5: 38.0}
#: Mean proper decay lengths, mm.
_CTAU: Final = (10, 100, 1000)
#: Invented: part of the generated decays that the generator's filter lets through.
FILTER_EFFICIENCY: Final = 0.01


@dataclass(frozen=True)
class Injection:
    """Signal in the data.

    Attributes
    ----------
    mass
        Of the heavy neutral lepton, GeV.
    mixing
        |V|², from which its lifetime follows.
    decays
        Number of decays that pass the generator's filter, in addition to the data-like events;
        whether they are reconstructed is chance.
    majorana
        Whether it is a Majorana particle; else it is a Dirac particle.
    """

    mass: float
    mixing: float
    decays: int
    majorana: bool = True

    @property
    def ctau(self) -> float:
        """Mean proper decay length, mm."""
        return mean_proper_length(self.mass, self.mixing, majorana=self.majorana)

    def as_json(self) -> dict[str, Any]:
        """Give the numbers for ``truth.json``."""
        return {
            "mass": self.mass,
            "mixing": self.mixing,
            "ctau": self.ctau,
            "decays": self.decays,
            "neutrino": "majorana" if self.majorana else "dirac",
        }


@dataclass(frozen=True)
class Sample:
    """A dataset of the toy.

    Attributes
    ----------
    name
        Of the dataset.
    share
        Its number of events, relative to the number of data-like events.
    files
        Number of files.
    runs
        First and last run.
    mass, ctau
        Of the heavy neutral lepton, GeV, and its mean proper decay length, mm; None for data.
    """

    name: str
    share: float
    files: int
    runs: tuple[int, int]
    mass: float | None = None
    ctau: float | None = None

    @property
    def is_mc(self) -> bool:
        """Whether it holds what was generated."""
        return self.mass is not None


def _signal(mass: float, ctau: int) -> Sample:
    point = f"mN{mass}".replace(".", "p")
    name = f"DsToNMu_NToMuPi_{point}_ctau{ctau}p0mm_incl"
    return Sample(name, _SIGNAL_SHARE, 1, (1, 1), mass, float(ctau))


#: The datasets, data first.
SAMPLES: Final = (
    Sample("hnl_data_2018D", 1.0, _FILES, _RUNS),
    *(_signal(mass, ctau) for mass in _CROSS_SECTION for ctau in _CTAU),
)
#: What `write_hnl_signal` injects: mass, |V|² of a cτ of 100 mm, and part of the data-like events.
_INJECTED_MASS, _INJECTED_COUPLING, _INJECTED_SHARE = 1.5, 7.289156e-4, 0.01


def write_hnl(
    folder: Path,
    events: int = 200_000,
    seed: int = 1,
    injected: Injection | None = None,
    *,
    progress: Progress = lambda *_: None,
) -> Path:
    """Write the toy samples of the search for Ds → μN, N → μπ.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    events
        Number of data-like events; each sample of signal has a tenth of it.
    seed
        The same seed gives the same events.
    injected
        Signal to put into the data; by default none.
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
        lambda sample: _metadata(sample, events),
        lambda sample: generate_files(sample, events, seed, injected),
        lambda sample, content: find(content, is_signal=sample.is_mc),
        HNL_CORRECTIONS_TOML,
        lambda sample: {} if sample.is_mc or injected is None else {"injected": injected.as_json()},
        progress,
    )


def write_hnl_signal(
    folder: Path, events: int = 200_000, seed: int = 1, *, progress: Progress = lambda *_: None
) -> Path:
    """Write the same samples with signal in the data: 1.5 GeV, cτ of 100 mm.

    Parameters
    ----------
    folder, events, seed, progress
        As for `write_hnl`. One decay is injected for every hundred data-like events.

    Returns
    -------
    As `write_hnl` does.
    """
    decays = round(_INJECTED_SHARE * events)
    injected = Injection(_INJECTED_MASS, _INJECTED_COUPLING, decays)
    return write_hnl(folder, events, seed, injected, progress=progress)


def generate_files(
    sample: Sample, events: int, seed: int, injected: Injection | None = None
) -> Iterator[File[Events]]:
    """Yield each file of a sample, in order.

    Parameters
    ----------
    sample
        One of `SAMPLES`.
    events
        Number of data-like events.
    seed, injected
        As for `write_hnl`.
    """
    sizes = parts(number_of_events(sample, events), sample.files)
    added = parts(injected.decays if injected and not sample.is_mc else 0, sample.files)
    for part, rng in enumerate(generators(sample, seed)):
        decays = _decays(sample, sizes[part], injected, added[part], rng)
        content = simulate(decays, sample.is_mc, rng)
        n = len(decays)
        luminosity = sizes[part] / EVENTS_PER_LUMINOSITY
        sections = luminosity_sections(n, luminosity, sample.runs, part, sample.files, rng)
        numbers = event_numbers(n, sections, part, sample.files, rng)
        content.branches.update(
            run=numbers["run"].astype(np.int32),
            lumi=numbers["lumi"].astype(np.float32),
            event=numbers["evt"].view(np.int32),  # as the ntuple does: half of them are negative
        )
        yield File(file_name(sample, part), content, sections)


def _decays(
    sample: Sample, n: int, injected: Injection | None, added: int, rng: np.random.Generator
) -> Decays:
    if sample.mass is not None and sample.ctau is not None:
        return signal_decays(n, sample.mass, sample.ctau, rng)
    decays = background_decays(n, rng)
    if injected is None:
        return decays
    decays += signal_decays(added, injected.mass, injected.ctau, rng, majorana=injected.majorana)
    return decays[rng.permutation(len(decays))]


def _metadata(sample: Sample, events: int) -> dict[str, Any]:
    if sample.mass is None or sample.ctau is None:
        return {
            "is_mc": False,
            "era": ERA,
            "kind": "data",
            "process": "data",
            "label": "Toy data",
            "luminosity": number_of_events(sample, events) / EVENTS_PER_LUMINOSITY,
        }
    return {
        "is_mc": True,
        "era": ERA,
        "kind": "signal",
        "process": "hnl",
        "label": f"Toy N, {sample.mass:g} GeV, {sample.ctau:g} mm",
        "mass": sample.mass,
        "ctau": sample.ctau,
        "neutrino": "majorana",
        "cross_section": _CROSS_SECTION[sample.mass] / sample.ctau,
        "filter_efficiency": FILTER_EFFICIENCY,
        "processed_events": number_of_events(sample, events),
    }
