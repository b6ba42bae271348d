"""Distinction between faults of the input or of a machine, and bugs."""

from __future__ import annotations

import traceback

import uproot

from bphcoffea.analysis import MissingExtraError
from bphcoffea.errors import DeclarationError, InputError, causes
from bphcoffea.size_limits import LimitExceededError
from bphcoffea.storage import reason, shortened


class ShortFileError(Exception):
    """A file has fewer entries than at the beginning of the run."""


class ReplacedFileError(Exception):
    """A file has another UUID than at the beginning of the run."""


#: Exceptions whose message describes the fault.
_DESCRIBED = (InputError, ShortFileError, ReplacedFileError, LimitExceededError)

#: Beginnings of the names of modules that read files.
_READERS = (
    *("uproot.", "fsspec", "bphcoffea.reading.opened_files"),
    "bphcoffea.storage.webdav_reading",
)


def input_fault(error: BaseException) -> str | None:
    """Return in one line the fault of the input that caused an exception; None if it is a bug.

    Lack of memory is also a fault of the input: the chunk was too large for its worker.
    """
    for cause in causes(error):
        if isinstance(cause, DeclarationError):
            return None  # the analysis is wrong, whatever it reads
        if isinstance(cause, MemoryError):
            return shortened(f"out of memory; use smaller chunks ({cause})")
        if isinstance(cause, _DESCRIBED):
            return str(cause)
        if _raised_in_reading(cause):
            return reason(cause) or f"{type(cause).__name__}: {shortened(str(cause))}"
    return None


def ran_out_of_memory(error: BaseException) -> bool:
    """Return whether lack of memory caused an exception."""
    return any(isinstance(cause, MemoryError) for cause in causes(error))


def missing_package(error: BaseException) -> str | None:
    """Return in one line which package a worker lacks for a model; None for other errors."""
    found = (cause for cause in causes(error) if isinstance(cause, MissingExtraError))
    return next((str(cause) for cause in found), None)


def is_lasting(error: BaseException) -> bool:
    """Return whether another attempt would fail as well, because the input itself is wrong."""
    return any(isinstance(cause, InputError) for cause in causes(error))


def _raised_in_reading(error: BaseException) -> bool:
    if isinstance(error, uproot.DeserializationError | uproot.KeyInFileError):
        return True
    # an OSError, or garbage in a basket, is a fault of the input only if uproot or fsspec raised it
    frames = traceback.walk_tb(error.__traceback__)
    modules = [frame.f_globals.get("__name__", "") for frame, _ in frames]
    return any(module.startswith(_READERS) for module in modules)
