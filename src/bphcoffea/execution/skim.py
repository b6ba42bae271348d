"""Skims: selected events or candidates, which workers write as Parquet files to a storage."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq

from bphcoffea.execution.chunk_records import ChunkMetadata
from bphcoffea.processing import DatasetResult, Selected
from bphcoffea.redaction import redacted
from bphcoffea.results import file_name
from bphcoffea.storage import Retries, stage_out

SkimOf = Literal["events", "candidates"]


@dataclass(frozen=True)
class Skim:
    """Writer of one Parquet file per chunk with what was selected, if anything was.

    The file is named after the chunk, so that a chunk that is processed again overwrites it.

    Attributes
    ----------
    url
        Folder or URL; the files are ``url/dataset/file-start-stop.parquet``.
    of
        ``events``: events with a candidate that passes every cut, with all collections of the
        schema, but without hidden ones. ``candidates``: rows of the analysis's table.
    retries
        Number of attempts to transfer a file, and pauses between them.
    datasets
        Names of all datasets of the run, which make the names of their folders unique.
    """

    url: str
    of: SkimOf = "events"
    retries: Retries = field(default_factory=Retries)
    datasets: tuple[str, ...] = ()

    def __call__(self, events: ak.Array, selected: Selected, result: DatasetResult) -> None:
        """Write the selection of a chunk; the processor calls this on the worker.

        Raises
        ------
        InputError
            If the file cannot be written.
        """
        table = _table_of(events, selected, result, self.of)
        if table is None or not table.num_rows:
            return
        metadata: ChunkMetadata = events.metadata
        with tempfile.TemporaryDirectory(prefix="bphcoffea-") as scratch:
            local = Path(scratch, "part.parquet")
            pq.write_table(table, local, compression="zstd")
            folder = file_name(metadata["dataset"], self.datasets)
            target = f"{self.url.rstrip('/')}/{folder}/{_name(metadata)}"
            stage_out(local, target, self.retries)


def _table_of(
    events: ak.Array, selected: Selected, result: DatasetResult, of: SkimOf
) -> pa.Table | None:
    if of == "candidates":
        return result.candidates.table() if result.candidates else None
    chosen = selected.events
    # names and behaviours of coffea's records mean nothing to readers of the file
    columns = {
        name: ak.without_parameters(ak.materialize(events[name][chosen])) for name in events.fields
    }
    return pa.table(
        {
            name: ak.to_arrow(ak.to_packed(column), extensionarray=False)
            for name, column in columns.items()
        }
    )


def _name(metadata: ChunkMetadata) -> str:
    """Return the name of a chunk's file, with a hash that distinguishes files of the same name."""
    file = redacted(metadata.get("file", metadata["filename"]))
    stem = file_name(Path(urlsplit(file).path).stem)
    digest = hashlib.sha256(f"{file}:{metadata['treename']}".encode()).hexdigest()[:8]
    return f"{stem}-{digest}-{metadata['entrystart']}-{metadata['entrystop']}.parquet"
