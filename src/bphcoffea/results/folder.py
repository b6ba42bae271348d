"""Folder of a run: its files, and how they are written and read.

All files are JSON, Parquet or ROOT. ``ledger.json`` is written last: a folder without it has no
finished run. ``written.json`` lists the files that a new run replaces.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bphcoffea.analysis import AnalysisRecord
from bphcoffea.datasets import Metadata
from bphcoffea.errors import RunError
from bphcoffea.html_table import html_table
from bphcoffea.local_files import is_text
from bphcoffea.physics import Window
from bphcoffea.redaction import redacted_data
from bphcoffea.results.derived import LEDGER, Derived
from bphcoffea.results.file_names import HISTOGRAMS, file_name
from bphcoffea.results.records import FILESET, DatasetRecord, Datasets, Normalisation
from bphcoffea.storage import claimed, make_folder, replacing

if TYPE_CHECKING:
    import hist
    import pyarrow as pa

#: Owner of the files of a run in ``written.json``.
RUN = "run"
#: Key by which a file of the current version is recognised, by the name of the file.
NEWEST_KEYS = {"luminosity.json": "parts", "normalisation.json": "generator_sumw"}


class RunFolder:
    """A finished run.

    Parameters
    ----------
    path
        Folder of the run.
    output
        Folder of the files derived from the run, such as fits and figures; by default `path`. Files
        in it take precedence over those in `path`.

    Raises
    ------
    RunError
        If `path` has no finished run, or if `output` contains a run or files derived from another
        run.
    """

    def __init__(self, path: str | Path, output: str | Path | None = None) -> None:
        self.path = Path(path)
        if not (self.path / LEDGER).is_file():
            raise RunError(
                f"{self.path}: no finished run here (it has no {LEDGER}); "
                "make one with: bphcoffea run"
            )
        self.output = self.path if output is None else Path(output)
        self._derived = Derived(self.path, self.output)
        self._parsed: tuple[tuple[int, int], dict[str, hist.Hist]] | None = None

    def place(self, name: str) -> Path:
        """Return the path of a file of the run, or of one derived from it."""
        return self._derived.place(name)

    def read(self, name: str) -> Any:
        """Return the content of a JSON file of the folder.

        Raises
        ------
        RunError
            If the file is missing, not JSON, or was written by an older version.
        """
        path = self.place(name)
        try:
            content = json.loads(path.read_text())
        except FileNotFoundError:
            raise RunError(f"{path}: missing from the run's folder") from None
        except ValueError as error:
            raise RunError(f"{path}: not JSON ({error}); run again to replace it") from None
        parts = content.values() if name == "normalisation.json" else [content]
        if any(NEWEST_KEYS[name] not in part for part in parts if name in NEWEST_KEYS):
            raise RunError(
                f"{path}: was written by an older version of bphcoffea; run again to replace it"
            )
        return content

    def write(self, name: str, content: Any) -> Path:
        """Write a JSON file into the folder of derived files, whole or not at all.

        Raises
        ------
        UnwritableError
            If the disk is full or read-only, or permission is denied.
        RunError
            If the run was replaced since it was opened.
        """
        with self.replacing(name) as temporary:
            write_json(temporary / name, content)
        return self.output / name

    def replacing(
        self, owner: str, also: Callable[[str], bool] = lambda _: False
    ) -> contextlib.AbstractContextManager[Path]:
        """Replace derived files, all or none; yields a temporary folder for the new files.

        Parameters
        ----------
        owner
            Name of the set of files, such as ``figures``.
        also
            Returns whether the files of another owner are removed as well.

        Raises
        ------
        UnwritableError, RunError
            If :meth:`write` raises them, or if another process writes the same files.
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
        validate = DatasetRecord.model_validate
        return Datasets((name, validate(record)) for name, record in found.items())

    @property
    def normalisation(self) -> dict[str, Normalisation]:
        """Scale of each simulated dataset to the data, by name."""
        found = self.read("normalisation.json")
        return {name: Normalisation.model_validate(each) for name, each in found.items()}

    def luminosity_of(self, datasets: Iterable[str]) -> float | None:
        """Return the luminosity of the processed part of some data, fb⁻¹.

        Luminosity sections that several datasets contain count once. The luminosity is None if that
        of a dataset is unknown, or if datasets without a luminosity table share sections.

        Parameters
        ----------
        datasets
            Names of datasets of data.
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

    @property
    def can_be_normalised(self) -> bool:
        """Whether the run has simulation, all of which can be scaled to a luminosity."""
        if not self.place("normalisation.json").is_file():
            return False
        scales = [record.scale for record in self.normalisation.values()]
        return bool(scales) and None not in scales

    def normalised_histograms(self) -> dict[str, hist.Hist]:
        """Return the histograms with simulation scaled to the luminosity of the data.

        They have additional variations of the rates, such as ``luminosityUp``.

        Raises
        ------
        RunError
            If a simulated dataset cannot be scaled.
        """
        from bphcoffea.results.normalisation import scaled, without_scale

        normalisation = self.normalisation
        lacking = [name for name, known in normalisation.items() if known.scale is None]
        if lacking:
            raise RunError(f"{self.path}: {without_scale(lacking, normalisation)}")
        return scaled(self.histograms(), normalisation, self.fileset_metadata)

    @property
    def cutflow(self) -> dict[str, list[dict[str, Any]]]:
        """Steps of the cutflow of each dataset."""
        return dict(self.read("cutflow.json"))

    @property
    def objects(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Steps of the selection of each collection of objects, by dataset and collection."""
        declared = self.place("objects.json").is_file()
        return dict(self.read("objects.json")) if declared else {}

    @property
    def regions(self) -> dict[str, dict[str, list[dict[str, Any]]]]:
        """Steps of each region, by dataset and region."""
        declared = self.place("regions.json").is_file()
        return dict(self.read("regions.json")) if declared else {}

    @property
    def complete(self) -> bool:
        """Whether every expected event was processed."""
        return bool(self.read("ledger.json")["complete"])

    @property
    def partial(self) -> bool:
        """Whether only a part of the datasets was requested."""
        return bool(self.read("ledger.json").get("partial", False))

    @property
    def chunks(self) -> pa.Table:
        """Table of the processed chunks: source, worker, bytes and times of each."""
        return _read_table(self.path / "chunks.parquet")

    def histograms(self) -> dict[str, hist.Hist]:
        """Return all histograms; axes ``dataset``, ``category``, ``variation`` and the variable."""
        from bphcoffea.results.histogram_files import read_histograms

        path = self.path / HISTOGRAMS
        try:
            state = path.stat()
            # parsing takes seconds for a thousand variations, and a command reads them repeatedly
            if self._parsed is None or self._parsed[0] != (state.st_ino, state.st_mtime_ns):
                self._parsed = (state.st_ino, state.st_mtime_ns), read_histograms(path)
        except (OSError, ValueError) as error:
            raise RunError(f"{path}: no histograms can be read ({error})") from None
        return {name: histogram.copy() for name, histogram in self._parsed[1].items()}

    def candidates(self, dataset: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the table of the best candidates of a dataset: one row per event.

        Parameters
        ----------
        dataset
            Name of the dataset.
        columns
            Names of the columns that are read; all by default.
        """
        return _read_table(self._candidates_file(dataset), columns)

    def has_candidates(self, dataset: str) -> bool:
        """Return whether the run has a table of candidates of a dataset."""
        return self._candidates_file(dataset).is_file()

    def __repr__(self) -> str:
        state = "partial" if self.partial else "complete" if self.complete else "incomplete"
        content = f"{self.analysis.name}, {len(self.datasets)} datasets, {state}"
        return f"RunFolder('{self.path}': {content})"

    def _repr_html_(self) -> str:
        datasets, ledger = self.datasets, self.read("ledger.json")["datasets"]
        rows = [
            (
                name,
                record.era,
                "simulation" if record.is_mc else "data",
                f"{ledger[name]['processed_events']:,}",
            )
            for name, record in datasets.items()
            if name in ledger
        ]
        return html_table(("dataset", "era", "kind", "events processed"), rows, repr(self))

    def _candidates_file(self, dataset: str) -> Path:
        name = file_name(dataset, self.read("provenance.json")["datasets"])
        return self.path / "candidates" / f"{name}.parquet"


def _read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    import pyarrow.parquet as pq

    if not is_text(path):
        raise RunError(f"{path}: is not UTF-8, or not in this locale; rename its folder")
    return pq.read_table(path, columns=None if columns is None else list(columns))


def _overlap(ranges: Iterable[Mapping[str, list[list[int]]]]) -> bool:
    """Return whether two datasets share a luminosity section; ranges as in ``lumis.json``."""
    by_run: dict[str, list[list[int]]] = {}
    for of_dataset in ranges:
        for run, of_run in of_dataset.items():
            by_run.setdefault(run, []).extend(of_run)
    return any(
        second[0] <= first[1]
        for of_run in by_run.values()
        for first, second in itertools.pairwise(sorted(of_run))
    )


def claim(path: str | Path, *, overwrite: bool) -> contextlib.AbstractContextManager[Path]:
    """Reserve a folder for a run for the duration of a block; see :func:`~.manifest.claimed`."""
    return claimed(path, RUN, LEDGER, overwrite=overwrite)


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """Write a run into a folder, all files or none.

    Yields a temporary folder. If the block succeeds, its content replaces an earlier run and all
    files derived from it, the ledger last. If the block fails, the earlier run stays.
    """
    make_folder(folder)
    with replacing(folder, RUN, also=lambda _: True, last=LEDGER) as temporary:
        yield temporary


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file of a run, without the passwords and tokens in URLs."""
    path.write_text(json.dumps(redacted_data(content), indent=2, allow_nan=False) + "\n")
