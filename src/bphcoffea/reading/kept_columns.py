"""Columns of chunks that are kept on a disk, so that a later run need not read them again.

A file holds the columns that were read of one chunk: a line of JSON, and the arrays as they are in
memory. Its name is a hash of everything that the columns depend on: the identity of the input file,
the entries of the chunk, and the code that decodes them. What is computed from columns is never
kept. If a later run reads further columns of the chunk, they are kept in a second file.

``BPHCOFFEA_KEPT_GB``
    Total size of the kept files in a folder, GB (default 20). Those that were not used for the
    longest time are removed first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import awkward as ak
import deflate
import numpy as np
import numpy.typing as npt

from bphcoffea.errors import InputError
from bphcoffea.inputs import Form
from bphcoffea.storage import make_folder, write_whole, writing_to
from bphcoffea.versions import source_sha256, versions

KEPT_GB: Final = "BPHCOFFEA_KEPT_GB"
_DEFAULT_GB: Final = 20.0
_GB: Final = 1e9
_NAME: Final = re.compile(r"[0-9a-f]{64}\.\d+\.columns")

#: Description of an array in JSON: its kind, its parameters, and what it consists of.
_Description: TypeAlias = list[Any]
_Buffer: TypeAlias = npt.NDArray[np.generic]


class _UnknownKindError(Exception):
    """An array of a kind that is not kept."""


@dataclass(frozen=True)
class Keeping:
    """Folder in which the workers of a run keep columns.

    Attributes
    ----------
    folder
        The folder.
    limit
        Total size of the kept files, bytes.
    began
        Time when the run began, s since 1970: files that it used are not removed.
    """

    folder: Path
    limit: int = int(_DEFAULT_GB * _GB)
    began: float = field(default_factory=time.time)

    @classmethod
    def prepared(cls, folder: str | Path) -> Keeping:
        """Create the folder, which only the user can read, and return how it is used.

        Raises
        ------
        UnwritableError
            If the folder cannot be written.
        InputError
            If it is a file, or the environment variable of the limit is not a number of GB.
        """
        path = Path(folder).absolute()
        if path.is_file():
            raise InputError(f"{folder}: is a file; choose a folder for kept columns")
        make_folder(path, 0o700)
        with writing_to(path):
            write_whole(path / ".writable", b"").unlink()
        text = os.environ.get(KEPT_GB) or str(_DEFAULT_GB)
        with contextlib.suppress(ValueError):
            if 0 < float(text) < 1e9:
                return cls(path, int(float(text) * _GB))
        raise InputError(f"{KEPT_GB}={text}: expected a number of GB above 0")

    def columns(self, *identity: object) -> KeptColumns:
        """Return the kept columns of a chunk.

        Parameters
        ----------
        identity
            Whatever tells the entries of this chunk from all others.
        """
        content = json.dumps([identity, _code()], default=str)
        return KeptColumns(self, hashlib.sha256(content.encode()).hexdigest())


@cache
def _code() -> str:
    """Return a text that changes with the code that decodes columns."""
    return json.dumps([source_sha256(), versions()])


def kept_files(folder: str | Path) -> list[Path]:
    """Return the files with kept columns in a folder.

    Raises
    ------
    InputError
        If the folder cannot be read.
    """
    try:
        return sorted(path for path in Path(folder).iterdir() if _NAME.fullmatch(path.name))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror})") from None


class KeptColumns:
    """The kept columns of one chunk.

    Parameters
    ----------
    keeping
        Folder and limits.
    key
        Beginning of the names of the files.
    """

    def __init__(self, keeping: Keeping, key: str) -> None:
        self._keeping = keeping
        self._key = key
        self._files: list[_KeptFile] = []
        while (file := _KeptFile.opened(self._path(len(self._files)))) is not None:
            self._files.append(file)
        self._added: dict[str, ak.contents.Content] = {}
        self._forms: dict[str, str] = {}

    def _path(self, number: int) -> Path:
        return self._keeping.folder / f"{self._key}.{number}.columns"

    def __contains__(self, name: str) -> bool:
        return any(name in file.columns for file in self._files)

    def column(self, name: str) -> ak.contents.Content | None:
        """Return a column; None if it is not kept, or damaged."""
        # a column that was damaged is kept again in a later file
        for file in reversed(self._files):
            if (column := file.column(name)) is not None:
                return column
        return None

    def form(self, name: str) -> Form | None:
        """Return a copy of a form; None if it is not kept."""
        text = next((file.forms[name] for file in self._files if name in file.forms), None)
        return None if text is None else json.loads(text)

    def add(self, name: str, column: ak.contents.Content) -> None:
        """Keep a column when the chunk is saved."""
        self._added[name] = column

    def add_form(self, name: str, form: Form) -> None:
        """Keep a form, as it is now, when the chunk is saved, unless JSON cannot express it."""
        with contextlib.suppress(TypeError):
            text = json.dumps(form)
            if json.loads(text) == form:
                self._forms[name] = text

    def save(self) -> str | None:
        """Write what was added, completely or not at all.

        Returns
        -------
        Why it was not written, in a few words; None if it was, or nothing was added.
        """
        if not self._added and not self._forms:
            return None
        content = _packed(self._added, self._forms)
        try:
            if not self._make_room(len(content)):
                return f"the limit of {self._keeping.limit / _GB:g} GB is reached"
            write_whole(self._path(len(self._files)), content, 0o600)
        except OSError as error:
            return (error.strerror or str(error)).lower()
        return None

    def _make_room(self, size: int) -> bool:
        """Remove the files that were not used for the longest time, if the limit requires it."""
        files = []
        for path in kept_files(self._keeping.folder):
            with contextlib.suppress(FileNotFoundError):  # removed by another worker
                status = path.stat()
                files.append((status.st_mtime, status.st_size, path))
        excess = sum(of_file for _, of_file, _ in files) + size - self._keeping.limit
        for used, of_file, path in sorted(files):
            if excess <= 0 or used >= self._keeping.began:
                break
            path.unlink(missing_ok=True)
            excess -= of_file
        return excess <= 0


class _KeptFile:
    """A file with kept columns, of which each array is read when it is needed."""

    def __init__(self, path: Path, content: Mapping[str, Any], begin: int) -> None:
        self._path = path
        self._begin = begin
        self.columns: Mapping[str, _Description] = content["columns"]
        self._places: Sequence[tuple[int, int, str, int]] = content["buffers"]
        self.forms: Mapping[str, str] = content["forms"]
        self._buffers: dict[int, _Buffer] = {}

    @classmethod
    def opened(cls, path: Path) -> _KeptFile | None:
        """Return a file, and record that it is used; None if it is missing or damaged."""
        try:
            with path.open("rb") as file:
                checksum, content = file.readline(), file.readline()
                if int(checksum, 16) != deflate.crc32(content):
                    return None
                os.utime(path)
                return cls(path, json.loads(content), file.tell())
        except (OSError, ValueError):
            return None

    def column(self, name: str) -> ak.contents.Content | None:
        """Return a column; None if it is not in the file, or damaged."""
        if name not in self.columns:
            return None
        try:
            return self._content(self.columns[name])
        except (OSError, ValueError):
            return None

    def _content(self, description: _Description) -> ak.contents.Content:
        kind, parameters, number, *inner = description
        if kind == "records":
            fields, contents = inner
            return ak.contents.RecordArray(
                [self._content(content) for content in contents],
                fields,
                number,
                parameters=parameters,
            )
        data = self._buffer(number)
        if kind == "numbers":
            return ak.contents.NumpyArray(data, parameters=parameters)
        content = self._content(inner[0])
        if kind == "lists":
            offsets = ak.index.Index(data)
            return ak.contents.ListOffsetArray(offsets, content, parameters=parameters)
        return ak.contents.IndexedArray(ak.index.Index(data), content, parameters=parameters)

    def _buffer(self, number: int) -> _Buffer:
        """Return an array, the same for all columns that share it."""
        if number not in self._buffers:
            begin, size, dtype, checksum = self._places[number]
            content = bytearray(size)
            with self._path.open("rb", buffering=0) as file:
                file.seek(self._begin + begin)
                if file.readinto(content) != size or deflate.crc32(content) != checksum:
                    raise ValueError("damaged")
            self._buffers[number] = np.frombuffer(content, dtype)
        return self._buffers[number]


def _packed(columns: Mapping[str, ak.contents.Content], forms: Mapping[str, str]) -> bytes:
    """Return the content of a file."""
    buffers: dict[int, tuple[int, _Buffer]] = {}

    def place(buffer: _Buffer) -> int:
        return buffers.setdefault(id(buffer), (len(buffers), buffer))[0]

    described: dict[str, _Description] = {}
    for name, column in columns.items():
        with contextlib.suppress(_UnknownKindError):
            described[name] = _described(column, place)
    parts: list[bytes] = []
    places: list[tuple[int, int, str, int]] = []
    begin = 0
    for _, buffer in buffers.values():
        part = buffer.tobytes()
        places.append((begin, len(part), buffer.dtype.str, deflate.crc32(part)))
        parts.append(part)
        begin += len(part)
    content = {
        "columns": described,
        "buffers": places,
        "forms": forms,
    }
    line = json.dumps(content).encode() + b"\n"
    return b"".join((b"%08x\n" % deflate.crc32(line), line, *parts))


def _described(content: ak.contents.Content, place: Callable[[_Buffer], int]) -> _Description:
    """Return the description of an array whose buffers get places in the file."""
    parameters = dict(content.parameters)
    if isinstance(content, ak.contents.NumpyArray) and content.data.ndim == 1:
        return ["numbers", parameters, place(content.data)]
    if isinstance(content, ak.contents.ListOffsetArray):
        inner = _described(content.content, place)
        return ["lists", parameters, place(content.offsets.data), inner]
    if isinstance(content, ak.contents.IndexedArray):
        inner = _described(content.content, place)
        return ["indices", parameters, place(content.index.data), inner]
    if isinstance(content, ak.contents.RecordArray) and not content.is_tuple:
        of_fields = [_described(part, place) for part in content.contents]
        return ["records", parameters, content.length, content.fields, of_fields]
    raise _UnknownKindError
