"""Processing one chunk: its events, the processor, and what it took."""

from __future__ import annotations

import time
from functools import lru_cache, partial
from typing import Any
from uuid import UUID

import awkward as ak
import cloudpickle
import lz4.frame
from coffea.nanoevents import BaseSchema
from coffea.processor.executor import WorkItem

from bphcoffea import reading
from bphcoffea.execution.chunk_records import ChunkMetadata, ChunkOutput
from bphcoffea.execution.faults import ReplacedFileError, ShortFileError
from bphcoffea.processing import Processor
from bphcoffea.results import IDENTITY, file_of
from bphcoffea.size_limits import basket_limit


def process_chunk(
    _format: str,
    timeout_s: int,
    schema: type[BaseSchema],
    _use_dataframes: bool,
    _save_metrics: bool,
    item: WorkItem | tuple[WorkItem, bytes],
    processor_instance: Processor | bytes | str,
    *,
    max_basket: int | None = None,
    threads: int = 1,
    keeping: reading.Keeping | None = None,
    **_options: object,
) -> ChunkOutput:
    """Process a chunk; coffea's Runner calls this on the worker, in place of its own function.

    Files stay open between chunks, and columns are read by :mod:`bphcoffea.reading`.

    Parameters
    ----------
    timeout_s
        Timeout for an answer of a server, s.
    schema
        Schema of the events.
    item
        The chunk; with Dask, the chunk and the pickled processor.
    processor_instance
        The processor, pickled unless it runs in this process; with Dask, a placeholder.
    max_basket
        Maximum size of a decompressed basket, bytes.
    threads
        Number of threads that decompress.
    keeping
        Folder in which columns are kept for later runs; None to keep none.

    Returns
    -------
    ``out``, the result of the dataset, and ``metrics``; ``unkept``, if columns cannot be kept.

    Raises
    ------
    ReplacedFileError, ShortFileError
        If the file is not the one that was checked before the run.
    """
    chunk, given = item if isinstance(item, tuple) else (item, processor_instance)
    processor = unpickled(given) if isinstance(given, bytes) else given
    kept = None if keeping is None else _kept(chunk, keeping)
    try:
        columns = _columns(chunk, timeout_s, max_basket, threads, kept)
        events = columns.events(schema, metadata_of(chunk))
        began = time.time()
        out = processor.process(events)
    except BaseException:
        reading.forget(chunk.filename)
        raise
    metrics: dict[str, Any] = {
        "bytesread": columns.bytes_read,
        "columns": columns.used,
        "entries": len(chunk),
        "processtime": time.time() - began,
        "reading_s": columns.reading_s,
    }
    reason = None if kept is None else kept.save()
    unkept: ChunkOutput = {"unkept": [reason]} if reason else {}
    return {"out": out, "metrics": metrics, **unkept}


def _kept(chunk: WorkItem, keeping: reading.Keeping) -> reading.KeptColumns | None:
    """Return the kept columns of a chunk; None if its file could be replaced unnoticed."""
    identity = (chunk.usermeta or {}).get(IDENTITY)
    if not (identity and chunk.fileuuid):
        return None
    entries = (chunk.treename, chunk.entrystart, chunk.entrystop)
    return keeping.columns(file_of(chunk), identity, chunk.fileuuid.hex(), *entries)


def events_of(
    chunk: WorkItem, schema: type[BaseSchema], timeout_s: int, max_basket: int | None = None
) -> ak.Array:
    """Return the events of a chunk, whose columns are read when they are used.

    Raises
    ------
    ReplacedFileError, ShortFileError
        If the file is not the one that was checked before.
    """
    return _columns(chunk, timeout_s, max_basket).events(schema, metadata_of(chunk))


def _columns(
    chunk: WorkItem,
    timeout_s: int,
    max_basket: int | None,
    threads: int = 1,
    kept: reading.KeptColumns | None = None,
) -> reading.Columns:
    return reading.Columns(
        partial(_opened, chunk, timeout_s),
        *(chunk.treename, chunk.entrystart, chunk.entrystop),
        *(max_basket or basket_limit(), chunk.preload or ()),
        kept=kept,
        threads=threads,
    )


def _opened(chunk: WorkItem, timeout_s: int) -> reading.OpenedFile:
    """Return the open file of a chunk, and check that it is still the same."""
    expected = UUID(bytes=chunk.fileuuid) if chunk.fileuuid else None
    file = reading.opened(chunk.filename, timeout_s)
    if expected not in (None, file.root.file.uuid):
        reading.forget(chunk.filename)  # it may have been replaced since it was opened
        file = reading.opened(chunk.filename, timeout_s)
    if expected not in (None, file.root.file.uuid):
        raise ReplacedFileError(
            "the file differs from the one that was checked before (another UUID); "
            "was it replaced during the run?"
        )
    entries = file.root[chunk.treename].num_entries
    if entries < chunk.entrystop:
        found = max(entries - chunk.entrystart, 0)
        raise ShortFileError(
            f"the file ends early, after {found} of {len(chunk)} entries; was it replaced?"
        )
    return file


def metadata_of(chunk: WorkItem) -> ChunkMetadata:
    """Return the metadata of the events of a chunk."""
    metadata: ChunkMetadata = {
        "dataset": chunk.dataset,
        "filename": chunk.filename,
        "treename": chunk.treename,
        "entrystart": chunk.entrystart,
        "entrystop": chunk.entrystop,
        "fileuuid": str(UUID(bytes=chunk.fileuuid)) if chunk.fileuuid else "",
    }
    return {**metadata, **(chunk.usermeta or {})}


@lru_cache(maxsize=1)
def unpickled(compressed: bytes) -> Processor:
    """Return a processor, the same for all chunks that this process works on."""
    processor: Processor = cloudpickle.loads(lz4.frame.decompress(compressed))
    return processor
