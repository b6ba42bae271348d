"""Files for the benchmark, made once: data of the toys, written by ROOT, and NanoAOD."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import uproot

from bphcoffea.toys import TOYS
from bphcoffea.toys.files import write_ntuple

SAMPLES = Path(__file__).parents[2] / "tests" / "samples.py"
SEED = 1
DATASET = "benchmark"


@dataclass(frozen=True)
class Input:
    """Files of one dataset.

    Attributes
    ----------
    files
        Paths of the files.
    events
        Number of events of each file.
    tree
        Path of the tree in the files.
    metadata
        Metadata of the dataset in a fileset.
    """

    files: tuple[Path, ...]
    events: tuple[int, ...]
    tree: str
    metadata: dict[str, object]

    def first(self, number):
        """Return the first files only."""
        return replace(self, files=self.files[:number], events=self.events[:number])

    @classmethod
    def of_files(cls, paths):
        """Return Tree3Mu ntuples of 2017, wherever they come from."""
        tree = TOYS["ds_phipi"].tree
        events = []
        for path in paths:
            with uproot.open(path) as file:
                events.append(int(file[tree].num_entries))
        metadata = TOYS["ds_phipi"].samples[0].describe(sum(events))
        return cls(tuple(paths), tuple(events), tree, metadata)

    def fileset(self):
        """Return the content of a fileset."""
        files = {str(path): self.tree for path in self.files}
        return {DATASET: {"files": files, "metadata": self.metadata}}


def make_input(analysis, format_of_files, events, number, cache):
    """Return files of toy data of an analysis, which are made unless the cache has them.

    Parameters
    ----------
    analysis
        Name of the analysis and its toys.
    format_of_files
        ``ttree`` or ``rntuple``.
    events, number
        Number of events per file, and number of files.
    cache
        Folder to keep the files in.
    """
    if analysis == "zmumu":
        return repeated_nanoaod(events, number, cache)
    toy = TOYS[analysis]
    sample = replace(toy.samples[0], name=analysis, share=1.0, files=number)
    folder = cache / f"{analysis}_{number}x{events}"
    files = [folder / format_of_files / f"{part}.root" for part in range(number)]
    if not all(path.exists() for path in files):
        for path, file in zip(files, toy.files(sample, number * events, SEED), strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            source, target = folder / "toy.root", folder / "part.root"
            write_ntuple(source, toy.tree, file.events.branches)
            script = Path(__file__).with_name("convert.py")
            words = [
                sys.executable,
                "-W",
                "ignore",
                script,
                source,
                toy.tree,
                target,
                format_of_files,
            ]
            subprocess.run(words, check=True)
            source.unlink()
            target.replace(path)
            print(f"made {path}", flush=True)
    metadata = sample.describe(number * events)
    return Input(tuple(files), (events,) * number, toy.tree, metadata)


def repeated_nanoaod(events, number, cache):
    """Return TTrees of the events of a small sample of Drell-Yan, over and over.

    They have the branches of leptons, jets, vertices and filters alone.
    """
    spec = importlib.util.spec_from_file_location("nanoaod_samples", SAMPLES)
    samples = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(samples)
    folder = cache / f"zmumu_{number}x{events}"
    files = tuple(folder / f"{part}.root" for part in range(number))
    for path in files:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            part = folder / "part.root"
            samples.write_slim(samples.folder() / "nano_dy.root", part, events)
            part.replace(path)
            print(f"made {path}", flush=True)
    metadata = {"is_mc": True, "era": "2018", "cross_section": 6077.22}
    return Input(files, (events,) * number, "Events", metadata)


def read_once(paths):
    """Read files, so that all measurements find them in the memory of the machine."""
    for path in paths:
        with path.open("rb") as file, Path("/dev/null").open("wb") as nowhere:
            shutil.copyfileobj(file, nowhere, 2**24)
