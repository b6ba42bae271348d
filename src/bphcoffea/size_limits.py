"""Limits on the memory that a small file may expand to.

Each limit is an environment variable, in MB (10⁶ bytes). The client reads it and sends it to the
workers.

``BPHCOFFEA_MAX_BASKET_MB``
    Size of a decompressed basket of a ROOT file (default 200). Baskets that ROOT writes have less
    than 30 MB.
``BPHCOFFEA_MAX_JSON_MB``
    Size of a decompressed JSON or csv file (default 256): corrections, luminosity, filesets.
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
    """Return the largest allowed size of a decompressed basket, bytes.

    Raises
    ------
    InputError
        If the environment variable is not a number of MB.
    """
    return _bytes(MAX_BASKET_MB)


def basket_remedy(limit: int) -> str:
    """Return the end of a message about a basket that exceeds a limit in bytes."""
    return (
        f"the limit is {limit / _MB:g} MB: make the file again with smaller baskets, or set "
        f"{MAX_BASKET_MB}"
    )


def read_json_bytes(path: str | Path) -> bytes:
    """Return the content of a JSON or csv file, without reading more than the limit.

    Raises
    ------
    InputError
        If the file is larger than the limit.
    OSError
        If the file cannot be read.
    """
    limit = _bytes(MAX_JSON_MB)
    with Path(path).open("rb") as file:
        return _within(limit, file.read(limit + 1), path)


def decompressed(content: bytes, path: str | Path) -> bytes:
    """Return the content of a file, decompressed if it is gzip, whatever the name of the file.

    Parameters
    ----------
    content
        Content of the file.
    path
        The file, for the message.

    Raises
    ------
    InputError
        If the decompressed content is larger than the limit.
    OSError, EOFError, zlib.error
        If the content is damaged, see :func:`gzip.decompress`.
    """
    if not content.startswith(_GZIP):
        return content
    limit = _bytes(MAX_JSON_MB)
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        return _within(limit, file.read(limit + 1), path)


def _within(limit: int, content: bytes, path: str | Path) -> bytes:
    if len(content) > limit:
        raise InputError(
            f"{path}: holds more than {limit / _MB:g} MB; is it the right file? "
            f"If so, raise {MAX_JSON_MB}"
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
