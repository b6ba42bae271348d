"""Toy samples of Ds → φ(μμ)π, as ntuples: two data eras, MC of both signals and both backgrounds.

MC differs from data as `calibration` says; what corrects it is written beside the samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

import numpy as np

from bphcoffea.physics.constants import DPLUS_MASS, DS_MASS
from bphcoffea.toys.files import as_json, write_ntuple
from bphcoffea.toys.generation import Species
from bphcoffea.toys.luminosity import (
    Sections,
    brilcalc_csv,
    event_numbers,
    golden_json,
    luminosity_sections,
)
from bphcoffea.toys.ntuple import Events, simulate
from bphcoffea.toys.payloads import CORRECTIONS_TOML, payloads
from bphcoffea.toys.truth import find

TREE: Final = "Tree3Mu/ntuple"

#: Part of the data-like events that each species makes up.
DATA_FRACTIONS: Final = {
    Species.DS: 0.115,
    Species.DPLUS: 0.045,
    Species.PHI_TRACK: 0.690,
    Species.DIMUON_TRACK: 0.150,
}
#: Data-like events that the toy's ntuples hold for each inverse femtobarn.
EVENTS_PER_LUMINOSITY: Final = 20_000
#: Invented: part of the generated mesons that the generator's filter lets through.
FILTER_EFFICIENCY: Final = 0.02
_PB_PER_FB: Final = 1e-3


@dataclass(frozen=True)
class Sample:
    """A dataset of the toy.

    Attributes
    ----------
    name, era
        Dataset, and the era whose runs and branches it has.
    runs
        First and last run.
    trigger_match
        End of the names of the branches for the distance to the trigger object.
    share
        Its number of events, relative to the number of data-like events.
    files
        Number of files.
    fractions
        Part of the events that each species makes up.
    is_mc
        Whether it holds what was generated.
    metadata
        What the fileset says in addition.
    """

    name: str
    era: str
    runs: tuple[int, int]
    trigger_match: str
    share: float
    files: int
    fractions: dict[Species, float]
    is_mc: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


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


@dataclass(frozen=True)
class File:
    """A file of a sample.

    Attributes
    ----------
    name
        Of the file.
    events
        What it holds.
    sections
        The luminosity sections of its events.
    """

    name: str
    events: Events
    sections: Sections


def write_ds_phipi(folder: Path, events: int = 200_000, seed: int = 1) -> Path:
    """Write the toy samples of Ds → φ(μμ)π.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    events
        Number of data-like events, both eras together; each MC sample has a share of it.
    seed
        The same seed gives the same events.

    Returns
    -------
    Path of ``fileset.json``, whose paths are relative to its folder. Beside it lie the ROOT files,
    which hold RNTuples, ``truth.json``, and ``corrections.toml`` with the files that it names:
    the data's luminosity sections, and what MC differs by.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Any] = {}
    recorded: list[Sections] = []
    for sample in SAMPLES:
        parts = []
        for file in generate_files(sample, events, seed):
            write_ntuple(folder / file.name, TREE, file.events.branches)
            parts.append(find(file.events))
            if not sample.is_mc:
                recorded.append(file.sections)
        truth[sample.name] = reduce(add, parts).as_json()
    path = folder / "fileset.json"
    for name, content in payloads().items():
        (folder / name).write_bytes(content)
    for name, text in (
        (path.name, as_json(fileset(events))),
        ("truth.json", as_json(truth)),
        ("luminosity.csv", brilcalc_csv(recorded)),
        ("golden.json", golden_json(recorded)),
        ("corrections.toml", CORRECTIONS_TOML),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    return path


def fileset(events: int) -> dict[str, Any]:
    """Datasets, files and metadata of the toy with that number of data-like events."""
    return {
        sample.name: {
            "files": {_file_name(sample, part): TREE for part in range(sample.files)},
            "metadata": _metadata(sample, _number(sample, events)),
        }
        for sample in SAMPLES
    }


def generate_files(sample: Sample, events: int, seed: int) -> Iterator[File]:
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
    total = _number(sample, events)
    edges = np.linspace(0, total, sample.files + 1).astype(int)
    # the name is part of the seed: samples don't depend on each other, or on their order
    entropy = [seed, *sample.name.encode()]
    for part, sequence in enumerate(np.random.SeedSequence(entropy).spawn(sample.files)):
        rng = np.random.default_rng(sequence)
        n = int(edges[part + 1] - edges[part])
        species = rng.choice(
            np.array(list(sample.fractions), dtype=np.int64), n, p=list(sample.fractions.values())
        )
        content = simulate(species, sample.trigger_match, sample.is_mc, rng)
        luminosity = n / EVENTS_PER_LUMINOSITY
        sections = luminosity_sections(n, luminosity, sample.runs, part, sample.files, rng)
        content.branches.update(event_numbers(n, sections, part, sample.files, rng))
        yield File(_file_name(sample, part), content, sections)


def _number(sample: Sample, events: int) -> int:
    """Number of events of a sample: one at least, since a fileset knows no empty dataset."""
    return max(1, round(sample.share * events))


def _file_name(sample: Sample, part: int) -> str:
    return f"{sample.name}_{part}.root"


def _metadata(sample: Sample, events: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"is_mc": sample.is_mc, "era": sample.era, **sample.metadata}
    if sample.is_mc:
        metadata["processed_events"] = events
    else:
        metadata["luminosity"] = events / EVENTS_PER_LUMINOSITY
    return metadata
