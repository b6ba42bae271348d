"""Toy samples of Ds → φ(μμ)π: two data eras and two kinds of signal MC, as ntuples."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final

import numpy as np
import uproot

from bphcoffea.physics.constants import DPLUS_MASS, DS_MASS
from bphcoffea.toys.generation import Species
from bphcoffea.toys.ntuple import Events, event_numbers, simulate
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
#: Events of a cluster, which is decompressed as a whole however little of it is read.
CLUSTER: Final = 10_000
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


def _signal(name: str, process: str, species: Species, mass: float, label: str) -> Sample:
    # the cross section (invented) gives the yield that the data-like samples have
    visible = DATA_FRACTIONS[species] * EVENTS_PER_LUMINOSITY * _PB_PER_FB
    return Sample(
        name=name,
        era="2017D",
        runs=(1, 1),
        trigger_match="dRtriggerMatch_2017",
        share=0.1,
        files=1,
        fractions={species: 1.0},
        is_mc=True,
        metadata={
            "kind": "signal",
            "process": process,
            "label": label,
            "cross_section": round(visible / FILTER_EFFICIENCY, 6),
            "filter_efficiency": FILTER_EFFICIENCY,
            "mass": mass,
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
    _signal("toy_ds_phipi_mc", "ds_phipi", Species.DS, DS_MASS, "Toy Ds → φπ"),
    _signal("toy_dplus_phipi_mc", "dplus_phipi", Species.DPLUS, DPLUS_MASS, "Toy D+ → φπ"),
)


def write_ds_phipi(folder: Path, events: int = 200_000, seed: int = 1) -> Path:
    """Write the toy samples of Ds → φ(μμ)π.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    events
        Number of data-like events, both eras together; each MC sample has a tenth of it.
    seed
        The same seed gives the same events.

    Returns
    -------
    Path of ``fileset.json``, whose paths are relative to its folder. Beside it lie the ROOT files,
    which hold RNTuples, and ``truth.json``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fileset: dict[str, Any] = {}
    truth: dict[str, Any] = {}
    for sample in SAMPLES:
        names, parts = [], []
        for name, part in generate_files(sample, events, seed):
            _write(folder / name, part)
            names.append(name)
            parts.append(find(part))
        truth[sample.name] = reduce(add, parts).as_json()
        fileset[sample.name] = {
            "files": dict.fromkeys(names, TREE),
            "metadata": _metadata(sample, truth[sample.name]["events"]),
        }
    path = folder / "fileset.json"
    path.write_text(json.dumps(fileset, indent=2) + "\n", encoding="utf-8")
    (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n", encoding="utf-8")
    return path


def generate_files(sample: Sample, events: int, seed: int) -> Iterator[tuple[str, Events]]:
    """Yield name and content of each file of a sample, in order.

    Parameters
    ----------
    sample
        One of `SAMPLES`.
    events
        Number of data-like events, both eras together.
    seed
        As for `write_ds_phipi`.
    """
    total = round(sample.share * events)
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
        content.branches.update(event_numbers(n, sample.runs, part, sample.files, rng))
        yield f"{sample.name}_{part}.root", content


def _metadata(sample: Sample, events: int) -> dict[str, Any]:
    metadata: dict[str, Any] = {"is_mc": sample.is_mc, "era": sample.era, **sample.metadata}
    if sample.is_mc:
        metadata["processed_events"] = events
    else:
        metadata["luminosity"] = events / EVENTS_PER_LUMINOSITY
    return metadata


def _write(path: Path, events: Events) -> None:
    directory, name = TREE.split("/")
    columns = events.branches
    length = len(columns["evt"])
    with uproot.recreate(path) as file:
        tree = file.mkdir(directory).mkrntuple(name, _entries(columns, 0))
        for start in range(CLUSTER, length, CLUSTER):
            tree.extend(_entries(columns, start))


def _entries(columns: dict[str, Any], start: int) -> dict[str, Any]:
    return {name: values[start : start + CLUSTER] for name, values in columns.items()}
