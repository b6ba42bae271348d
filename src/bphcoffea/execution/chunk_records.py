"""Typed dictionaries for the metadata and the output of a chunk."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from bphcoffea.processing import DatasetResult
from bphcoffea.results import Failure, Recovery, Timing


class ChunkMetadata(TypedDict):
    """Metadata of a chunk: these keys, and those of its dataset."""

    dataset: str
    filename: str
    treename: str
    entrystart: int
    entrystop: int
    fileuuid: str
    file: NotRequired[str]


class ChunkOutput(TypedDict, total=False):
    """Output of one chunk, or of several that were merged.

    :func:`.process_chunk` sets ``out`` (results by dataset), ``metrics`` and ``unkept`` (why the
    columns of chunks were not kept), checkpoints set ``resumed`` and ``not_kept`` (numbers of
    chunks), and the runner sets the others.
    """

    out: dict[str, DatasetResult]
    metrics: dict[str, Any]
    failed: list[Failure]
    recoveries: list[Recovery]
    timings: list[Timing]
    resumed: int
    not_kept: int
    unkept: list[str]
