"""Read JSON, TOML and gzip files, and explain what is wrong with their content."""

from __future__ import annotations

import gzip
import json
import tomllib
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bphcoffea.errors import InputError
from bphcoffea.local_files import regular
from bphcoffea.size_limits import decompressed, read_json_bytes

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

#: Messages that replace pydantic's, by type of the fault.
_MEANINGS: Final = {
    "missing": "is missing",
    "too_short": "is empty",
    "string_too_short": "is empty",
}


def read_bytes(
    path: str | Path,
    what: str = "file",
    error: type[InputError] = InputError,
    *,
    pipe: bool = False,
) -> bytes:
    """Return the content of a file, decompressed if it is gzip, whatever the name of the file.

    Parameters
    ----------
    path
        The file.
    what
        Kind of the file, for the message: ``facility file``.
    error
        Type of the exception.
    pipe
        Whether a shell may also pass a pipe: ``/dev/stdin``, ``<(command)``.

    Raises
    ------
    InputError
        If the file is missing, unreadable, damaged, or larger than the limit of
        :mod:`bphcoffea.size_limits`. The exception is of the type `error`.
    """
    try:
        # a shell's pipe ends, but cannot be read twice
        is_open = pipe and str(path).startswith("/dev/")
        return decompressed(read_json_bytes(path if is_open else regular(path)), path)
    except InputError as too_large:
        raise error(str(too_large)) from None
    except FileNotFoundError:
        raise error(f"{path}: no such {what}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as fault:
        raise error(f"{path}: truncated or corrupt gzip ({fault}); copy or make it again") from None
    except OSError as fault:
        raise error(f"{path}: cannot be read ({fault.strerror})") from None


def read_json(
    path: str | Path,
    what: str = "file",
    error: type[InputError] = InputError,
    *,
    pipe: bool = False,
) -> Any:
    """Return the content of a JSON file, which may be compressed with gzip.

    Parameters and errors are those of :func:`read_bytes`; JSON that :func:`parse_json` rejects is
    an error as well.
    """
    content = read_bytes(path, what, error, pipe=pipe)
    try:
        return parse_json(content)
    except UnicodeError as fault:
        raise error(f"{path}: not a JSON file (not UTF-8: {fault})") from None
    except (ValueError, RecursionError) as fault:
        raise error(f"{path}: not a JSON file ({fault}{_after_comma(fault)})") from None


def _after_comma(fault: Exception) -> str:
    """Return a hint if JSON ends, or a list or object in it, after a comma; else nothing."""
    if isinstance(fault, json.JSONDecodeError) and fault.doc[: fault.pos].rstrip().endswith(","):
        return "; is there a comma too many?"
    return ""


def parse_json(content: bytes) -> Any:
    """Parse JSON strictly: keys are unique and numbers finite.

    Raises
    ------
    ValueError
        If the content is invalid JSON, or not UTF-8.
    RecursionError
        If the content is nested too deeply.
    """
    parsed = json.loads(content.decode("utf-8-sig"), object_pairs_hook=unique_keys)
    # json.loads also accepts NaN, numbers that overflow, and unpaired surrogates
    json.dumps(parsed, allow_nan=False, ensure_ascii=False).encode()
    return parsed


def unique_keys(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return a dictionary of key-value pairs; for the ``object_pairs_hook`` of :mod:`json`.

    Raises
    ------
    ValueError
        If a key occurs twice; Python would silently keep the last value.
    """
    content: dict[str, object] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"key '{key}' occurs twice")
        content[key] = value
    return content


def read_toml(
    path: str | Path, what: str = "file", error: type[InputError] = InputError
) -> dict[str, Any]:
    """Return the content of a TOML file.

    Parameters and errors are those of :func:`read_bytes`; invalid TOML is an error as well.
    """
    content = read_bytes(path, what, error)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as fault:
        reason = " ".join(str(fault).split())
        hint = "a key given twice" if reason.startswith("Cannot") else "all text in quotes"
        raise error(f"{path}: not a TOML file ({reason}); is {hint}?") from None


def faults(
    error: ValidationError, meanings: Mapping[str, str] = _MEANINGS
) -> Iterator[tuple[tuple[str, ...], str, ErrorDetails]]:
    """Yield the place, the message in one line, and pydantic's details of each fault.

    Parameters
    ----------
    error
        Exception of pydantic.
    meanings
        Messages that replace pydantic's, by type of the fault.

    Examples
    --------
    >>> from pydantic import BaseModel, ValidationError
    >>> class Sample(BaseModel):
    ...     name: str
    >>> try:
    ...     Sample.model_validate({})
    ... except ValidationError as error:
    ...     print([(place, text) for place, text, _ in faults(error)])
    [(('name',), 'is missing')]
    """
    messages = {**_MEANINGS, **meanings}
    for fault in error.errors():
        place = tuple(str(part) for part in fault["loc"] if part != "[key]")
        text = messages.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
        # names in a message may contain line breaks
        yield place, " ".join(text.split()), fault
