"""The folder of a run: what a run leaves behind, and how it is read again.

Everything in it is JSON, Parquet or ROOT. ``ledger.json`` is written last: a folder without one
holds no result. ``written.json`` lists the files that a new run replaces.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

import hist
import pyarrow as pa
import pyarrow.parquet as pq
import uhi.io.json
import uproot

from bphcoffea.analysis.description import AnalysisRecord
from bphcoffea.analysis.histograms import ALL, NOMINAL
from bphcoffea.datasets import Metadata
from bphcoffea.errors import InputError
from bphcoffea.physics.windows import Window
from bphcoffea.redaction import redacted_data
from bphcoffea.results.derived import LEDGER, Derived
from bphcoffea.results.luminosities import FILESET
from bphcoffea.results.normalisation import scaled
from bphcoffea.results.records import DatasetRecord, Datasets, Normalisation
from bphcoffea.storage.manifest import claimed, replacing

#: Owner of the files of a run in ``written.json``.
RUN = "run"
#: The key of a file that older versions did not write, without which it can't be read today.
NEWEST_KEYS = {"luminosity.json": "parts", "normalisation.json": "generator_sumw"}
#: Longest name that :func:`file_name` gives; what is added to it has to fit into 255 bytes.
LONGEST = 150


class RunFolder:
    """A finished run.

    Parameters
    ----------
    path
        The folder that was given to ``bphcoffea run -o``.
    output
        Folder for what is derived from the run; that of the run by default. What was derived from
        the run there is read in preference.

    Raises
    ------
    InputError
        When there is no finished run, or ``output`` holds a run of its own, or what was derived
        from another one.
    """

    def __init__(self, path: str | Path, output: str | Path | None = None) -> None:
        self.path = Path(path)
        if not (self.path / LEDGER).is_file():
            raise InputError(
                f"{self.path}: no finished run here (it has no {LEDGER}); "
                "make one with: bphcoffea run ANALYSIS FILESET -o DIR"
            )
        self.output = self.path if output is None else Path(output)
        self._derived = Derived(self.path, self.output)

    def place(self, name: str) -> Path:
        """Path of a file of the run, or of one that was derived from it."""
        return self._derived.place(name)

    def read(self, name: str) -> Any:
        """A JSON file of the folder.

        Raises
        ------
        InputError
            When it is missing, is no JSON, or was written by an older version.
        """
        path = self.place(name)
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            raise InputError(f"{path}: missing from the run's folder") from None
        except ValueError as error:
            raise InputError(f"{path}: not JSON ({error}); run again to replace it") from None
        parts = content.values() if name == "normalisation.json" else [content]
        if any(NEWEST_KEYS[name] not in part for part in parts if name in NEWEST_KEYS):
            raise InputError(
                f"{path}: was written by an older version of bphcoffea; run again to replace it"
            )
        return content

    def write(self, name: str, content: Any) -> Path:
        """Write a JSON file into the folder for derived files, whole or not at all.

        Raises
        ------
        UnwritableError
            If the disk is full or read-only, or permission is denied.
        InputError
            If the run was replaced since it was opened.
        """
        with self.replacing(name) as temporary:
            write_json(temporary / name, content)
        return self.output / name

    def replacing(
        self, owner: str, also: Callable[[str], bool] = lambda _: False
    ) -> AbstractContextManager[Path]:
        """Write derived files, all or none, in place of earlier ones; yields a temporary folder.

        Parameters
        ----------
        owner
            What the files are: ``figures``.
        also
            Says of other owners whether their files are removed as well.

        Raises
        ------
        UnwritableError, InputError
            As for :meth:`write`, or if another process writes the same files.
        """
        return self._derived.replacing(owner, also)

    @property
    def analysis(self) -> AnalysisRecord:
        """The analysis that was run: name, cuts, histograms, mass fit (``analysis.json``)."""
        return AnalysisRecord.model_validate(self.read("analysis.json"))

    @property
    def hidden(self) -> tuple[Window, ...]:
        """Windows of the blind variable in which the run hides data; empty if it hides none."""
        blind = self.analysis.blind
        return blind.hidden if blind else ()

    @property
    def fileset_metadata(self) -> dict[str, Metadata]:
        """Metadata of each dataset in the fileset, by name."""
        found = self.read("provenance.json")["datasets"]
        return {name: Metadata.model_validate(metadata) for name, metadata in found.items()}

    @property
    def datasets(self) -> Datasets:
        """Metadata of each dataset, with the luminosity of the processed data."""
        found = {
            name: metadata.model_dump(exclude_unset=True)
            for name, metadata in self.fileset_metadata.items()
        }
        if self.partial:
            for name, count in self.read("ledger.json")["datasets"].items():
                part = {"events": count["processed_events"], "of": count["dataset_events"]}
                found[name]["part"] = part
        if (self.path / "luminosity.json").is_file():
            content = self.read("luminosity.json")
            for name, of_data in content["datasets"].items():
                shared = content["sections_shared"]
                found[name]["luminosity"] = None if shared else of_data["luminosity"]
        records = {name: DatasetRecord.model_validate(each) for name, each in found.items()}
        return Datasets(records)

    @property
    def normalisation(self) -> dict[str, Normalisation]:
        """Scale of each simulated dataset to the data, by name."""
        found = self.read("normalisation.json")
        return {name: Normalisation.model_validate(each) for name, each in found.items()}

    def luminosity_of(self, datasets: Iterable[str]) -> float | None:
        """Luminosity of what was processed of some data, fb⁻¹.

        Luminosity sections that several of the datasets hold count once. It is None if that of one
        of them is not known, or if they share sections whose luminosity no table gives.

        Parameters
        ----------
        datasets
            Names of data.
        """
        if not (self.path / "luminosity.json").is_file():
            return None
        names = set(datasets)
        content, sections = self.read("luminosity.json"), self.read("lumis.json")
        untabled = [name for name in names if content["datasets"][name]["source"] == FILESET]
        if _overlap([sections.get(name, {}) for name in untabled]):
            return None
        parts = [part for part in content["parts"] if names & set(part["datasets"])]
        luminosities = [part["luminosity"] for part in parts]
        if not names or None in luminosities:
            return None
        return float(sum(luminosities))

    def normalised_histograms(self) -> dict[str, hist.Hist]:
        """The histograms with simulation scaled to the luminosity of the data.

        They have the variations ``luminosityUp`` and so on, of the rates, in addition.

        Raises
        ------
        InputError
            When some simulation can't be scaled.
        """
        normalisation = self.normalisation
        lacking = [name for name, known in normalisation.items() if known.scale is None]
        if lacking:
            notes = dict.fromkeys(n for name in lacking for n in normalisation[name].notes)
            raise InputError(
                f"{self.path}: no scale for {', '.join(lacking)}; give a cross_section in the "
                "fileset, and the data's luminosity, there or with: bphcoffea lumi"
                + "".join(f"; {note}" for note in notes)
            )
        return scaled(self.histograms(), normalisation, self.fileset_metadata)

    @property
    def cutflow(self) -> dict[str, list[dict[str, Any]]]:
        """For each dataset, the steps of its cutflow."""
        return dict(self.read("cutflow.json"))

    @property
    def complete(self) -> bool:
        """Whether every expected event was processed."""
        return bool(self.read("ledger.json")["complete"])

    @property
    def partial(self) -> bool:
        """Whether less was asked for than the whole datasets, as in a try."""
        return bool(self.read("ledger.json").get("partial", False))

    @property
    def chunks(self) -> pa.Table:
        """What each processed chunk cost: where it was read, by whom, bytes, times."""
        return pq.read_table(self.path / "chunks.parquet")

    def histograms(self) -> dict[str, hist.Hist]:
        """Each histogram, with axes ``dataset``, ``category``, ``variation`` and its variable's."""
        path = self.path / "histograms.json"
        try:
            content = json.loads(path.read_text(), object_hook=uhi.io.json.object_hook)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: no histograms can be read ({error})") from None
        return {name: hist.Hist(histogram) for name, histogram in content.items()}

    def candidates(self, dataset: str) -> pa.Table:
        """The table of a dataset's best candidates, a row an event."""
        return pq.read_table(self._candidates_file(dataset))

    def has_candidates(self, dataset: str) -> bool:
        """Whether the run has a table of candidates of a dataset."""
        return self._candidates_file(dataset).is_file()

    def _candidates_file(self, dataset: str) -> Path:
        name = file_name(dataset, self.fileset_metadata)
        return self.path / "candidates" / f"{name}.parquet"


def _overlap(ranges: Iterable[Mapping[str, list[list[int]]]]) -> bool:
    """Whether some luminosity section is in more than one of them, each as in ``lumis.json``."""
    by_run: dict[str, list[list[int]]] = {}
    for of_dataset in ranges:
        for run, of_run in of_dataset.items():
            by_run.setdefault(run, []).extend(of_run)
    return any(
        second[0] <= first[1]
        for of_run in by_run.values()
        for first, second in pairwise(sorted(of_run))
    )


def file_name(name: str, among: Iterable[str] = ()) -> str:
    """Return the name of a file or folder for a dataset, process, era or category.

    ``/`` and the like are percent-encoded, and so is a dot at the beginning. A name that is too
    long ends in a hash.

    Parameters
    ----------
    name
        Any text that is not empty.
    among
        Names beside which the file lies. If one of them differs only in case, which some disks
        ignore, a hash is appended as well.
    """
    encoded = _encoded(name)
    alike = any(
        other != name and _encoded(other).casefold() == encoded.casefold() for other in among
    )
    if len(encoded) <= LONGEST and not alike:
        return encoded
    mark = f"-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    # not within an encoded character
    beginning = re.sub("%[0-9A-F]?$", "", encoded[: LONGEST - len(mark)])
    return beginning + mark


def _encoded(name: str) -> str:
    encoded = quote(name, safe=" +,=@#[](){}")
    return f"%2E{encoded[1:]}" if encoded.startswith(".") else encoded


def claim(path: str | Path, *, overwrite: bool) -> AbstractContextManager[Path]:
    """Keep a folder for a run, as long as a block lasts; see :func:`~.manifest.claimed`."""
    return claimed(path, RUN, LEDGER, overwrite=overwrite)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Write a run into a folder: all of it, or nothing.

    Yields a temporary folder. When the block ends well its content replaces an earlier run and all
    that was derived from it, ledger last; when it fails the earlier run stays as it was.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder, RUN, also=lambda _: True, last=LEDGER) as temporary:
        yield temporary


def write_histograms(
    folder: Path, histograms: Mapping[str, hist.Hist], variations: Mapping[str, Collection[str]]
) -> None:
    """Write ``histograms.json`` (UHI) and ``histograms.root`` (a TH1 for each dataset and name).

    In the ROOT file a histogram stands at ``dataset/name``; one of a category at
    ``dataset/category/name``; one of a variation has ``_variation`` appended.

    Parameters
    ----------
    folder
        Of the run.
    histograms
        With the axes dataset, category, variation and that of the variable.
    variations
        The variations of each dataset. The ROOT file has no others, of which the histograms are
        copies of the nominal one.
    """
    (folder / "histograms.json").write_text(
        json.dumps(dict(histograms), default=uhi.io.json.default) + "\n"
    )
    with uproot.recreate(folder / "histograms.root") as file:
        for name, histogram in histograms.items():
            for dataset in histogram.axes["dataset"]:
                for category in histogram.axes["category"]:
                    for variation in histogram.axes["variation"]:
                        if variation not in (NOMINAL, *variations.get(dataset, ())):
                            continue
                        place = [file_name(dataset)]
                        if category != ALL:
                            place.append(category)
                        place.append(name if variation == NOMINAL else f"{name}_{variation}")
                        file["/".join(place)] = histogram[dataset, category, variation, :]


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file of a run, without passwords and tokens of URLs."""
    path.write_text(json.dumps(redacted_data(content), indent=2, allow_nan=False) + "\n")
