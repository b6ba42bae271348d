"""Selected events, or candidates, as Parquet: from the workers straight to a storage."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq

from bphcoffea.processing.result import DatasetResult
from bphcoffea.processing.selected import Selected
from bphcoffea.redaction import redacted
from bphcoffea.results.folder import file_name
from bphcoffea.storage.servers import Retries
from bphcoffea.storage.stageout import stage_out

SkimOf = Literal["events", "candidates"]


@dataclass(frozen=True)
class Skim:
    """Writes what was selected of a chunk, into a file of its own; nothing where that is nothing.

    The file's name is that of the chunk: written again, after a fault, it is the same one.

    Attributes
    ----------
    url
        Where: ``url/dataset/file-start-stop.parquet``.
    of
        ``events``: those with a candidate that passes every cut, with all collections of the
        schema; none that the run hides. ``candidates``: the rows of the analysis's table.
    retries
        How often a transfer is tried.
    datasets
        Names of all datasets of the run, whose folders lie beside each other.
    """

    url: str
    of: SkimOf = "events"
    retries: Retries = field(default_factory=Retries)
    datasets: tuple[str, ...] = ()

    def __call__(self, events: Any, selected: Selected, result: DatasetResult) -> None:
        """Write a chunk; an analysis calls it on the worker.

        Raises
        ------
        InputError
            When it can't be written there.
        """
        table = _table_of(events, selected, result, self.of)
        if table is None or not table.num_rows:
            return
        known = events.metadata
        with tempfile.TemporaryDirectory(prefix="bphcoffea-") as scratch:
            local = Path(scratch, "part.parquet")
            pq.write_table(table, local, compression="zstd")
            own = file_name(known["dataset"], self.datasets)
            place = f"{self.url.rstrip('/')}/{own}/{_name(known)}"
            stage_out(local, place, self.retries)


def _table_of(
    events: Any, selected: Selected, result: DatasetResult, of: SkimOf
) -> pa.Table | None:
    if of == "candidates":
        return result.candidates.table() if result.candidates else None
    chosen = selected.events
    # names and behaviours of coffea's records mean nothing to who reads the file
    columns = {
        name: ak.without_parameters(ak.materialize(events[name][chosen])) for name in events.fields
    }
    return pa.table(
        {
            name: ak.to_arrow(ak.to_packed(column), extensionarray=False)
            for name, column in columns.items()
        }
    )


def _name(known: dict[str, Any]) -> str:
    """Name of a chunk's file: files of one name in several folders are told apart."""
    file = redacted(known.get("file", known["filename"]))
    stem = file_name(Path(urlsplit(file).path).stem)
    mark = hashlib.sha256(f"{file}:{known['treename']}".encode()).hexdigest()[:8]
    return f"{stem}-{mark}-{known['entrystart']}-{known['entrystop']}.parquet"
