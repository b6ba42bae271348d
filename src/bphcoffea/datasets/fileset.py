"""The fileset: coffea's JSON format, with metadata that are checked."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, RootModel
from typing_extensions import override

from bphcoffea.datasets.dataset import Dataset, FileEntry, Name
from bphcoffea.errors import FilesetError
from bphcoffea.html_table import html_table
from bphcoffea.patterns import chosen
from bphcoffea.redaction import has_secrets, redacted, redacted_data
from bphcoffea.storage import scheme_fault, write_whole

#: Names of datasets that ``repr`` shows.
_NAMES_SHOWN = 3
#: Columns of the table that a notebook shows.
_COLUMNS = ("dataset", "files", "events", "era", "process", "data or simulation")


class Fileset(RootModel[dict[Name, Dataset]]):
    """Datasets by name.

    Examples
    --------
    >>> data = {"files": {"a.root": "Events"}, "metadata": {"is_mc": False, "era": "2018D"}}
    >>> zmumu = {"files": {"b.root": "Events"}, "metadata": {"is_mc": True, "era": "2018"}}
    >>> fileset = Fileset.model_validate({"data": data, "zmumu": zmumu})
    >>> fileset
    Fileset(2 datasets, 2 files: data, zmumu)
    >>> fileset["data"].metadata.era
    '2018D'
    >>> fileset.select(["z*"]).names
    ['zmumu']
    """

    model_config = ConfigDict(frozen=True)

    def __getitem__(self, name: str) -> Dataset:
        return self.root[name]

    def __len__(self) -> int:
        return len(self.root)

    @override
    def __str__(self) -> str:
        return repr(self)

    def __repr__(self) -> str:
        files = sum(len(dataset.files) for dataset in self.root.values())
        counts = ", ".join(
            f"{number} {unit}{'' if number == 1 else 's'}"
            for number, unit in ((len(self), "dataset"), (files, "file"))
        )
        shown = [*self.names[:_NAMES_SHOWN], *["…"][: len(self) > _NAMES_SHOWN]]
        return f"Fileset({counts}: {', '.join(shown)})"

    def _repr_html_(self) -> str:
        rows = []
        for name, dataset in self.root.items():
            entries = [entry.num_entries for entry in dataset.files.values()]
            events = "" if None in entries else f"{sum(number or 0 for number in entries):,}"
            metadata = dataset.metadata
            kind = "simulation" if metadata.is_mc else "data"
            process = metadata.process or ""
            rows.append((name, len(entries), events, metadata.era, process, kind))
        return html_table(_COLUMNS, rows)

    @property
    def names(self) -> list[str]:
        """Names of the datasets, in order."""
        return list(self.root)

    def select(self, patterns: Iterable[str]) -> Fileset:
        """Return the datasets whose name equals or matches a glob pattern; all without patterns.

        Raises
        ------
        FilesetError
            If a pattern matches no dataset.
        """
        listed = "the fileset has"
        names = chosen(self.names, patterns, "dataset", FilesetError, listed=listed)
        return Fileset({name: self.root[name] for name in names})

    def resolved(self, folder: Path) -> Fileset:
        """Return the fileset with absolute paths; relative ones are relative to a folder.

        Raises
        ------
        FilesetError
            If two paths of a dataset lead to one file, or a path cannot be opened by its name.
        """
        faults = [
            f"dataset '{name}': {fault}"
            for name, dataset in self.root.items()
            for path, entry in dataset.files.items()
            for place in (path, *entry.replicas)
            if (fault := path_fault(_resolve(place, folder)))
        ]
        faults += [
            f"dataset '{name}': '{path}' is listed twice"
            for name, dataset in self.root.items()
            # one file with two tokens is one file
            for path, times in Counter(redacted(_resolve(p, folder)) for p in dataset.files).items()
            if times > 1
        ]
        FilesetError.raise_for(faults)

        def resolve(_: str, path: str, entry: FileEntry) -> tuple[str, FileEntry]:
            replicas = tuple(_resolve(replica, folder) for replica in entry.replicas)
            return _resolve(path, folder), entry.model_copy(update={"replicas": replicas})

        return self._with_files(resolve)

    def served_by(self, redirectors: Sequence[str]) -> Fileset:
        """Return the fileset with redirectors as further places of files below ``/store``.

        Parameters
        ----------
        redirectors
            URLs such as ``root://xrootd-cms.infn.it//``, tried in this order after the places that
            the fileset gives. The first one is the place of files that have only a logical name,
            ``/store/…``.
        """

        def place(_: str, path: str, entry: FileEntry) -> tuple[str, FileEntry]:
            start = path.find("/store/")
            if not redirectors or start < 0 or (start > 0 and "://" not in path):
                return path, entry
            # a token is valid only for the server that it was issued for
            name = path[start + 1 :].partition("?")[0] if start else path[1:]
            redirected = [f"{redirector}{name}" for redirector in redirectors]
            places = list(dict.fromkeys([path] * (start > 0) + [*entry.replicas, *redirected]))
            return places[0], entry.model_copy(update={"replicas": tuple(places[1:])})

        return self._with_files(place)

    def updated(self, key: str, values: Mapping[tuple[str, str], object]) -> Fileset:
        """Return the fileset with other values of one field of its files.

        Parameters
        ----------
        key
            Name of the field of :class:`~bphcoffea.datasets.dataset.FileEntry`.
        values
            New values by dataset and path; other files keep theirs.
        """

        def update(name: str, path: str, entry: FileEntry) -> tuple[str, FileEntry]:
            value = values.get((name, path), getattr(entry, key))
            return path, entry.model_copy(update={key: value})

        return self._with_files(update)

    def _with_files(
        self, change: Callable[[str, str, FileEntry], tuple[str, FileEntry]]
    ) -> Fileset:
        """Return the fileset with changed files.

        `change` takes dataset, path and entry, and returns path and entry.
        """
        return Fileset(
            {
                name: dataset.model_copy(
                    update={"files": dict(change(name, *item) for item in dataset.files.items())}
                )
                for name, dataset in self.root.items()
            }
        )

    def sha256(self) -> str:
        """Return a hash of the content without passwords and tokens, equal in all interpreters."""
        content = json.dumps(redacted_data(self.model_dump(mode="json")), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def save(self, path: str | Path) -> Path:
        """Write the fileset as JSON, see :func:`write_fileset`."""
        return write_fileset(Path(path), self.as_json())

    def as_json(self) -> Mapping[str, object]:
        """Return the content of the JSON file, without default values."""
        content: dict[str, Any] = self.model_dump(mode="json", exclude_defaults=True)
        for dataset in content.values():
            dataset["files"] = {
                name: entry["object_path"] if set(entry) == {"object_path"} else entry
                for name, entry in dataset["files"].items()
            }
        return content


def write_fileset(path: Path, content: Mapping[str, object]) -> Path:
    """Write the JSON of a fileset, whole or not at all; compressed if the name ends in .gz.

    Only the owner may read the file if it contains passwords or tokens.

    Raises
    ------
    FilesetError
        If the file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    written = f"{text}\n".encode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            # without a time stamp: equal filesets give equal files
            written = gzip.compress(written, mtime=0)
        return write_whole(path, written, 0o600 if has_secrets(content) else 0o666)
    except OSError as error:
        raise FilesetError(f"{path}: cannot write the fileset ({error.strerror})") from None


def path_fault(path: str) -> str | None:
    """Return why a path or URL cannot be opened by its name; None if it can."""
    if "\0" in path:
        return f"{path!r} contains a NUL character, which a path cannot"
    last = path.rpartition("::")[2]
    if "::" not in path or "://" in last:
        fault = scheme_fault(last)
        return f"'{path}' cannot be opened: {fault}" if fault else None
    return (
        f"'{path}' cannot be opened, because '::' separates the parts of a chain of URLs "
        "(simplecache::file:///data/a.root); rename the file or folder, or use a link to it"
    )


def _resolve(path: str, folder: Path) -> str:
    return path if "://" in path else os.path.normpath(folder / path)
