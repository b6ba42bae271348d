"""What all toys share: datasets, the files that they are made of, and writing them to a folder."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np

from bphcoffea.toys.decay import Integers
from bphcoffea.toys.files import as_json, write_ntuple
from bphcoffea.toys.luminosity import (
    Sections,
    brilcalc_csv,
    event_numbers,
    golden_json,
    luminosity_sections,
)
from bphcoffea.toys.payloads import payloads

#: Function that is called with the number of files that are written, and that of all files.
Progress = Callable[[int, int], None]
#: Data-like events that the toys' ntuples hold for each inverse femtobarn.
EVENTS_PER_LUMINOSITY: Final = 20_000


class Dataset(Protocol):
    """Dataset of a toy."""

    @property
    def name(self) -> str:
        """Name of the dataset."""

    @property
    def share(self) -> float:
        """Number of events relative to the number of data-like events."""

    @property
    def files(self) -> int:
        """Number of files."""

    @property
    def runs(self) -> tuple[int, int]:
        """First and last run."""

    @property
    def is_mc(self) -> bool:
        """Whether it holds what was generated."""


class Simulated(Protocol):
    """Simulated events."""

    @property
    def branches(self) -> dict[str, Any]:
        """One entry an event: arrays of shape (events,), or arrays of lists."""


class Summary(Protocol):
    """What an analysis should find in some events."""

    def __add__(self, other: Any) -> Any:
        """Add what it should find in other events."""

    def as_json(self) -> dict[str, Any]:
        """Numbers for ``truth.json``."""


Events = TypeVar("Events", bound=Simulated)
D = TypeVar("D", bound=Dataset)


@dataclass(frozen=True)
class Sample:
    """Dataset of a toy whose events are drawn from species.

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
    fractions: Mapping[Any, float]
    is_mc: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class File(Generic[Events]):
    """A file of a sample.

    Attributes
    ----------
    name
        File name.
    events
        Its events.
    sections
        The luminosity sections of its events.
    """

    name: str
    events: Events
    sections: Sections


def generate_files(
    sample: Sample,
    events: int,
    seed: int,
    simulate: Callable[[Integers, Sample, np.random.Generator], Events],
    injected: Mapping[Any, float] | None = None,
) -> Iterator[File[Events]]:
    """Yield each file of a sample, in order.

    Parameters
    ----------
    sample
        The sample.
    events
        Number of data-like events, all eras together.
    seed
        The same seed gives the same events.
    simulate
        Makes events, but for their numbers, of an array of species.
    injected
        Mean number of further events of a species in the whole sample.
    """
    sizes = parts(number_of_events(sample, events), sample.files)
    species = np.array(list(sample.fractions), dtype=np.int64)
    for part, rng in enumerate(generators(sample, seed)):
        drawn = rng.choice(species, sizes[part], p=list(sample.fractions.values()))
        if injected:
            means = np.array(list(injected.values())) / sample.files
            added = np.repeat(np.array(list(injected), dtype=np.int64), rng.poisson(means))
            drawn = rng.permutation(np.concatenate([drawn, added]))
        content = simulate(drawn, sample, rng)
        n = len(drawn)
        luminosity = sizes[part] / EVENTS_PER_LUMINOSITY
        sections = luminosity_sections(n, luminosity, sample.runs, part, sample.files, rng)
        content.branches.update(event_numbers(n, sections, part, sample.files, rng))
        yield File(file_name(sample, part), content, sections)


def generators(sample: Dataset, seed: int) -> list[np.random.Generator]:
    """Return a source of randomness for each file of a sample."""
    # the name is part of the seed: samples don't depend on each other, or on their order
    sequence = np.random.SeedSequence([seed, *sample.name.encode()])
    return [np.random.default_rng(child) for child in sequence.spawn(sample.files)]


def number_of_events(sample: Dataset, events: int) -> int:
    """Number of events of a sample: one at least, since a fileset knows no empty dataset."""
    return max(1, round(sample.share * events))


def parts(total: int, number: int) -> list[int]:
    """Split a number into about equal parts."""
    edges = np.linspace(0, total, number + 1).astype(int)
    return [int(part) for part in np.diff(edges)]


def file_name(sample: Dataset, part: int) -> str:
    """Name of a file of a sample."""
    return f"{sample.name}_{part}.root"


def metadata(sample: Sample, events: int) -> dict[str, Any]:
    """Metadata of a sample in the fileset of a toy with that number of data-like events."""
    number = number_of_events(sample, events)
    size = (
        {"processed_events": number}
        if sample.is_mc
        else {"luminosity": number / EVENTS_PER_LUMINOSITY}
    )
    return {"is_mc": sample.is_mc, "era": sample.era, **sample.metadata, **size}


def make_fileset(
    tree: str, samples: Iterable[D], describe: Callable[[D], dict[str, Any]]
) -> dict[str, Any]:
    """Datasets, files and metadata of a toy; parameters as for `write_samples`."""
    return {
        sample.name: {
            "files": {file_name(sample, part): tree for part in range(sample.files)},
            "metadata": describe(sample),
        }
        for sample in samples
    }


def write_samples(
    folder: Path,
    tree: str,
    samples: Sequence[D],
    describe: Callable[[D], dict[str, Any]],
    generate: Callable[[D], Iterator[File[Events]]],
    find: Callable[[D, Events], Summary],
    corrections: str,
    extra_truth: Callable[[D], dict[str, Any]] = lambda _: {},
    progress: Progress = lambda *_: None,
) -> Path:
    """Write the files of all samples, the fileset, the truth and the corrections.

    Parameters
    ----------
    folder
        Where to write; made if it does not exist.
    tree
        Path of the ntuple in the files.
    samples
        The datasets.
    describe
        Gives the metadata of a dataset.
    generate
        Yields the files of a dataset.
    find
        Returns what an analysis should find in a file's events.
    corrections
        Content of ``corrections.toml``.
    extra_truth
        Gives further entries of a dataset in ``truth.json``.
    progress
        Called after each file.

    Returns
    -------
    Path of ``fileset.json``, whose paths are relative to its folder. Beside it lie the ROOT files,
    which hold RNTuples, ``truth.json``, and ``corrections.toml`` with the files that it names:
    the data's luminosity sections, and what MC differs by.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, Any] = {}
    recorded: list[Sections] = []
    written, total = 0, sum(sample.files for sample in samples)
    for sample in samples:
        found = []
        for file in generate(sample):
            write_ntuple(folder / file.name, tree, file.events.branches)
            found.append(find(sample, file.events))
            if not sample.is_mc:
                recorded.append(file.sections)
            written += 1
            progress(written, total)
        truth[sample.name] = reduce(add, found).as_json() | extra_truth(sample)
    for name, content in payloads().items():
        (folder / name).write_bytes(content)
    for name, text in (
        ("fileset.json", as_json(make_fileset(tree, samples, describe))),
        ("truth.json", as_json(truth)),
        ("luminosity.csv", brilcalc_csv(recorded)),
        ("golden.json", golden_json(recorded)),
        ("corrections.toml", corrections),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "fileset.json"
