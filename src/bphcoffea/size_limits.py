"""Limits on what a small file may expand to in memory, and how they are set.

Each is an environment variable, in MB (10⁶ bytes), read on the client: workers are sent its value.

``BPHCOFFEA_MAX_BASKET_MB``
    A decompressed basket of a ROOT file (200). ROOT's own hold less than 30 MB.
``BPHCOFFEA_MAX_JSON_MB``
    A JSON or csv file, decompressed (256): corrections, luminosity, filesets.
"""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

from bphcoffea.errors import InputError

MAX_BASKET_MB = "BPHCOFFEA_MAX_BASKET_MB"
MAX_JSON_MB = "BPHCOFFEA_MAX_JSON_MB"
_DEFAULTS = {MAX_BASKET_MB: 200.0, MAX_JSON_MB: 256.0}
_MB = 1_000_000
#: First bytes of a gzip file.
_GZIP = b"\x1f\x8b"


class LimitExceededError(Exception):
    """Part of a ROOT file would expand to more than the limit."""


def basket_limit() -> int:
    """Bytes that a basket may have once it is decompressed.

    Raises
    ------
    InputError
        If the environment variable is no number of MB.
    """
    return _bytes(MAX_BASKET_MB)


def basket_remedy(limit: int) -> str:
    """What to do about a basket that is larger than a limit, for the end of a message."""
    return (
        f"the limit is {limit / _MB:g} MB: make the file again with smaller baskets, or set "
        f"{MAX_BASKET_MB}"
    )


def read_json_bytes(path: str | Path) -> bytes:
    """Read a JSON or csv file, of which no more than the limit is held in memory.

    Raises
    ------
    InputError
        If it is larger than the limit.
    OSError
        If it can't be read.
    """
    limit = _bytes(MAX_JSON_MB)
    with Path(path).open("rb") as file:
        return _within(limit, file.read(limit + 1), path)


def decompressed(content: bytes, path: str | Path) -> bytes:
    """Return the content of a file, decompressed if it begins as gzip does, whatever its name.

    Parameters and errors are those of :func:`gunzip`.
    """
    return gunzip(content, path) if content.startswith(_GZIP) else content


def gunzip(content: bytes, path: str | Path) -> bytes:
    """Decompress the content of a gzip file, of which no more than the limit is held in memory.

    Parameters
    ----------
    content
        What the file holds.
    path
        The file, for the message.

    Raises
    ------
    InputError
        If it is larger than the limit once it is decompressed.
    OSError, EOFError, zlib.error
        If it is damaged, as :func:`gzip.decompress` has it.
    """
    limit = _bytes(MAX_JSON_MB)
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        return _within(limit, file.read(limit + 1), path)


def _within(limit: int, content: bytes, path: str | Path) -> bytes:
    if len(content) > limit:
        raise InputError(
            f"{path}: holds more than {limit / _MB:g} MB; is it the right file? "
            f"If so, set {MAX_JSON_MB} to more"
        )
    return content


def _bytes(variable: str) -> int:
    text = os.environ.get(variable) or str(_DEFAULTS[variable])
    try:
        megabytes = float(text)
        if not 0 < megabytes < 1e9:
            raise ValueError
    except ValueError:
        raise InputError(f"{variable}={text}: expected a number of MB above 0") from None
    return int(megabytes * _MB)
