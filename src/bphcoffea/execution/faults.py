"""Telling a fault of the input, or of the machine, from a bug."""

from __future__ import annotations

import uproot

from bphcoffea.analysis.models import MissingExtraError
from bphcoffea.errors import DeclarationError, InputError
from bphcoffea.size_limits import LimitExceededError
from bphcoffea.storage.servers import reason, shortened


class ShortFileError(Exception):
    """A file holds fewer entries than it did when the run began."""


class ReplacedFileError(Exception):
    """A file has another UUID than it had when the run began."""


#: Exceptions whose message is the fault.
_TOLD = (InputError, ShortFileError, ReplacedFileError, LimitExceededError)


def input_fault(error: BaseException) -> str | None:
    """The fault of the input behind an exception, in one line; None when there is none: a bug.

    Memory that ran out is one, too: the chunk was too large for its worker.
    """
    for cause in _chain(error):
        if isinstance(cause, DeclarationError):
            return None  # the analysis is wrong, whatever it reads
        if isinstance(cause, MemoryError):
            return shortened(f"out of memory; try a smaller --chunksize ({cause})")
        if isinstance(cause, _TOLD):
            return str(cause)
        if "__len__() should return >= 0" in str(cause):
            return "the file ends before the entries begin; was it replaced?"  # so says coffea
        if _raised_in_reading(cause):
            return reason(cause) or f"{type(cause).__name__}: {shortened(str(cause))}"
    return None


def missing_package(error: BaseException) -> str | None:
    """What a worker lacks to evaluate a model, in one line; None if that is not the cause."""
    causes = (cause for cause in _chain(error) if isinstance(cause, MissingExtraError))
    return next((str(cause) for cause in causes), None)


def is_lasting(error: BaseException) -> bool:
    """Whether trying again is of no use: the input was read, and is not what it should be."""
    return any(isinstance(cause, InputError) for cause in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    chain = []
    cause: BaseException | None = error
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or cause.__context__
    return chain


def _raised_in_reading(error: BaseException) -> bool:
    if isinstance(error, uproot.DeserializationError | uproot.KeyInFileError):
        return True
    # an OSError, or garbage in a basket, is the input's fault only if uproot or fsspec met it
    trace = error.__traceback__
    modules = []
    while trace is not None:
        modules.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return any(module.startswith(("uproot.", "fsspec")) for module in modules)
