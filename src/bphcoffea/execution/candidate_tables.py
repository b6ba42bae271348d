"""Tables of candidates, which grow on a disk while the results of a run arrive."""

from __future__ import annotations

import logging
import mmap
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bphcoffea.arrays import Numbers
from bphcoffea.execution import memory
from bphcoffea.execution.chunk_records import ChunkOutput
from bphcoffea.processing import Columns, sorted_tables

#: Size from which on rows are moved from memory to the disk, bytes.
_LARGE = 8 * 2**20
#: Arrays begin at multiples of this, bytes.
_ALIGNED = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Place:
    """Where a file contains an array."""

    start: int
    length: int
    dtype: npt.DTypeLike

    def of(self, content: mmap.mmap) -> Numbers:
        return np.frombuffer(content, self.dtype, self.length, self.start)


_Places: TypeAlias = dict[str, _Place]


class CandidateTables:
    """Tables of candidates of the datasets of a run.

    Large tables are kept in a temporary file without a name, which disappears with this process,
    however that ends. Without space on the disk, they stay in memory.
    """

    def __init__(self) -> None:
        self._tables: dict[str, _Table] = {}
        self._file: IO[bytes] | None = None
        self._can_write = True

    def take(self, output: ChunkOutput) -> ChunkOutput:
        """Add the tables of one result or several, which is returned without them."""
        results = output["out"]
        for name, result in results.items():
            if result.candidates is not None:
                table = self._tables.setdefault(name, _Table())
                table.add(result.candidates)
                if self._can_write and table.size > _LARGE:
                    self._move(table)
        without = {name: replace(result, candidates=None) for name, result in results.items()}
        return {**output, "out": without}

    def write(self, files: Mapping[str, Path]) -> None:
        """Write the table of each dataset, sorted, to a Parquet file.

        The table of a dataset of which nothing was read is empty.

        Parameters
        ----------
        files
            Path of the file of each dataset, in a folder that is made if there are tables.
        """
        if not self._tables:
            return
        content = None
        if self._file is not None and any(table.moved for table in self._tables.values()):
            memory.release()
            content = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
        for name, table in self._tables.items():
            files[name].parent.mkdir(exist_ok=True)
            parts = table.sorted(content)
            first = next(parts)
            # without Arrow's schema, readers see texts, not dictionaries
            with pq.ParquetWriter(files[name], first.schema, store_schema=False) as writer:
                writer.write_table(first)
                for part in parts:
                    writer.write_table(part)
        for name in files.keys() - self._tables.keys():
            pq.write_table(first.schema.empty_table(), files[name], store_schema=False)

    def _move(self, table: _Table) -> None:
        """Move the rows of a table from memory to the disk, if there is space."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="bphcoffea-", buffering=0)  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            table.move(self._file)
        except OSError as error:
            self._can_write = False
            _log.warning(
                "the tables of candidates stay in memory, since temporary files cannot be written "
                "(%s)",
                error.strerror or error,
            )


@dataclass
class _Table:
    """Table of one dataset, of which a part is on the disk.

    Columns of texts contain numbers, for which `texts` has the texts, in the order of the numbers.
    """

    moved: list[_Places] = field(default_factory=list)
    texts: dict[str, dict[str, int]] = field(default_factory=dict)
    columns: Columns | None = None

    @property
    def size(self) -> int:
        """Size of what is in memory, bytes."""
        parts = self.columns.parts if self.columns else ()
        return sum(array.nbytes for part in parts for array in part.values())

    def add(self, columns: Columns) -> None:
        for part in columns.parts:
            new = Columns({name: self._numbers(name, values) for name, values in part.items()})
            self.columns = new if self.columns is None else self.columns + new

    def _numbers(self, name: str, values: Numbers) -> Numbers:
        if values.dtype != object:
            return values
        known = self.texts.setdefault(name, {})
        return np.array([known.setdefault(text, len(known)) for text in values], np.int32)

    def move(self, file: IO[bytes]) -> None:
        if self.columns is None:
            return
        places = {}
        start = file.seek(0, 2)
        for name, values in self.columns.arrays().items():
            content = memoryview(values.tobytes() + bytes(-values.nbytes % _ALIGNED))
            while content:  # a disk that gets full takes a part
                content = content[file.write(content) :]
            places[name] = _Place(start, len(values), values.dtype)
            start = file.tell()
        self.moved.append(places)
        self.columns = None

    def sorted(self, content: mmap.mmap | None) -> Iterator[pa.Table]:
        parts = [*(self.columns.parts if self.columns else ())]
        if content is not None:
            parts += (
                {name: place.of(content) for name, place in places.items()} for places in self.moved
            )
        texts = {name: tuple(known) for name, known in self.texts.items()}
        return sorted_tables(parts, texts)
