"""The skeleton of all toys: samples, their files, and writing them to a folder with their truth."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sized
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from pathlib import Path
from typing import ClassVar, Final, Generic, Protocol, TypeVar

import numpy as np

from bphcoffea.toys.files import Branches, as_json, write_ntuple
from bphcoffea.toys.luminosity import (
    EventNumbers,
    Sections,
    brilcalc_csv,
    event_numbers,
    golden_json,
    luminosity_sections,
)
from bphcoffea.toys.payloads import payloads
from bphcoffea.toys.truth import Truth

#: Function that is called with the number of files written and the number of all files.
Progress = Callable[[int, int], None]
#: Data-like events in the ntuples of a toy per inverse femtobarn.
EVENTS_PER_LUMINOSITY: Final = 20_000
PB_PER_FB: Final = 1e-3


class Simulated(Protocol):
    """Simulated events."""

    @property
    def branches(self) -> Branches:
        """Branches of the ntuple by name, one entry per event."""


Events = TypeVar("Events", bound=Simulated)
Contents = TypeVar("Contents", bound=Sized)


@dataclass(frozen=True)
class Sample:
    """Dataset of a toy.

    Attributes
    ----------
    name
        Name of the dataset.
    era
        Era whose runs and branches it has, such as ``2018D``.
    runs
        First and last run.
    share
        Number of events relative to the number of data-like events.
    files
        Number of files.
    metadata
        Metadata in the fileset, apart from those that follow from the number of events.
    fractions
        Fraction of the events of each species, for toys whose events are drawn from species.
    """

    name: str
    era: str
    runs: tuple[int, int]
    share: float
    files: int
    metadata: Mapping[str, str | float]
    fractions: Mapping[int, float] = field(default_factory=dict)

    @property
    def is_mc(self) -> bool:
        """Whether it is simulation."""
        return self.metadata["kind"] != "data"

    def number_of_events(self, events: int) -> int:
        """Return its size in a toy of that many data-like events; at least 1."""
        return max(1, round(self.share * events))

    def file_name(self, part: int) -> str:
        """Return the name of one of its files."""
        return f"{self.name}_{part}.root"

    def generators(self, seed: int) -> list[np.random.Generator]:
        """Return a source of randomness for each file."""
        # the name is part of the seed: samples don't depend on each other, or on their order
        sequence = np.random.SeedSequence([seed, *self.name.encode()])
        return [np.random.default_rng(child) for child in sequence.spawn(self.files)]

    def describe(self, events: int) -> dict[str, object]:
        """Return its metadata in the fileset of a toy of that many data-like events."""
        number = self.number_of_events(events)
        size = (
            {"processed_events": number}
            if self.is_mc
            else {"luminosity": number / EVENTS_PER_LUMINOSITY}
        )
        return {"is_mc": self.is_mc, "era": self.era, **self.metadata, **size}


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


class Toy(ABC, Generic[Contents, Events]):
    """Samples of one decay with known truth; calling a toy writes them.

    Subclasses draw the content of events, simulate it, and give the expected result.

    Attributes
    ----------
    tree
        Path of the ntuple in the files.
    corrections
        Content of ``corrections.toml``.
    samples
        The datasets, data first.
    """

    tree: ClassVar[str]
    corrections: ClassVar[str]
    samples: tuple[Sample, ...]

    @abstractmethod
    def draw(self, sample: Sample, total: int, part: int, rng: np.random.Generator) -> Contents:
        """Draw the content of the events of one file.

        Parameters
        ----------
        sample
            The sample.
        total
            Number of events of the whole sample, apart from injected signal.
        part
            Number of the file.
        rng
            Source of randomness.
        """

    @abstractmethod
    def simulate(self, contents: Contents, sample: Sample, rng: np.random.Generator) -> Events:
        """Simulate events, without their run, luminosity section and event numbers."""

    @abstractmethod
    def find(self, events: Events, sample: Sample) -> Truth:
        """Return the expected result of an analysis on events of a sample."""

    def injected(self, total: int) -> dict[str, object]:  # noqa: ARG002 - for subclasses
        """Return the entries of ``truth.json`` about the signal in a sample of data.

        The sample has `total` events, apart from the signal.
        """
        return {}

    def number_branches(self, numbers: EventNumbers) -> Branches:
        """Return the branches of the event numbers, from arrays called run, lumi and evt."""
        return {**numbers}

    def files(self, sample: Sample, events: int, seed: int) -> Iterator[File[Events]]:
        """Yield each file of a sample, in order.

        Parameters
        ----------
        sample
            The sample.
        events
            Number of data-like events, all eras together.
        seed
            Seed of the randomness; the same seed gives the same events.
        """
        total = sample.number_of_events(events)
        sizes = split(total, sample.files)
        for part, rng in enumerate(sample.generators(seed)):
            contents = self.draw(sample, total, part, rng)
            simulated = self.simulate(contents, sample, rng)
            n = len(contents)
            luminosity = sizes[part] / EVENTS_PER_LUMINOSITY
            sections = luminosity_sections(n, luminosity, sample.runs, part, sample.files, rng)
            numbers = event_numbers(n, sections, part, sample.files, rng)
            simulated.branches.update(self.number_branches(numbers))
            yield File(sample.file_name(part), simulated, sections)

    def fileset(self, events: int) -> dict[str, object]:
        """Return the content of the fileset of a toy of that many data-like events."""
        return {
            sample.name: {
                "files": {sample.file_name(part): self.tree for part in range(sample.files)},
                "metadata": sample.describe(events),
            }
            for sample in self.samples
        }

    def __call__(
        self,
        folder: str | Path,
        events: int = 200_000,
        seed: int = 1,
        *,
        progress: Progress = lambda *_: None,
    ) -> Path:
        """Write the files of all samples, the fileset, the truth and the corrections.

        Parameters
        ----------
        folder
            Where to write; made if it does not exist.
        events
            Number of data-like events, all eras together; each simulated sample has a share of it.
        seed
            Seed of the randomness; the same seed gives the same events.
        progress
            Called after each file.

        Returns
        -------
        Path of ``fileset.json``, whose paths are relative to its folder. Beside it lie the ROOT
        files, which hold RNTuples; ``truth.json``; and ``corrections.toml`` with the files that it
        names: the luminosity sections of the data, and the corrections of the simulation.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        truth: dict[str, dict[str, object]] = {}
        recorded: list[Sections] = []
        written, total = 0, sum(sample.files for sample in self.samples)
        for sample in self.samples:
            found = []
            for file in self.files(sample, events, seed):
                write_ntuple(folder / file.name, self.tree, file.events.branches)
                found.append(self.find(file.events, sample))
                if not sample.is_mc:
                    recorded.append(file.sections)
                written += 1
                progress(written, total)
            truth[sample.name] = reduce(add, found).as_json()
            if not sample.is_mc:
                truth[sample.name] |= self.injected(sample.number_of_events(events))
        for name, content in payloads().items():
            (folder / name).write_bytes(content)
        for name, text in (
            ("fileset.json", as_json(self.fileset(events))),
            ("truth.json", as_json(truth)),
            ("luminosity.csv", brilcalc_csv(recorded)),
            ("golden.json", golden_json(recorded)),
            ("corrections.toml", self.corrections),
        ):
            (folder / name).write_text(text, encoding="utf-8")
        return folder / "fileset.json"


def split(total: int, number: int) -> list[int]:
    """Split a number into about equal parts."""
    edges = np.linspace(0, total, number + 1).astype(int)
    return [int(part) for part in np.diff(edges)]
