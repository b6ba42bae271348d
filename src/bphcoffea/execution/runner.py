"""Coffea's Runner, with faults of the input told apart from bugs, on the worker that meets them."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uproot
from coffea.processor import Runner
from coffea.processor.executor import WorkItem

from bphcoffea.errors import InputError


@dataclass(frozen=True)
class Failure:
    """A chunk that could not be read.

    Attributes
    ----------
    item
        The chunk.
    error
        Why, in one line.
    """

    item: WorkItem
    error: str

    def line(self) -> str:
        """The failure in one line, with its place."""
        item = self.item
        return (
            f"dataset '{item.dataset}', {item.filename}, tree '{item.treename}', "
            f"entries {item.entrystart}-{item.entrystop}: {self.error}"
        )


@dataclass(frozen=True)
class Maximum:
    """A number of which the largest counts when results add up."""

    value: float

    def __add__(self, other: Maximum) -> Maximum:
        return max(self, other, key=lambda number: number.value)


class FaultTolerantRunner(Runner):  # type: ignore[misc]
    """A Runner in which a fault of the input is a part of the result.

    Under every executor, Dask included, a chunk that can't be read gives a :class:`Failure`, and
    the rest of the run goes on. Any other exception is a bug and ends the run.
    """

    @staticmethod
    def automatic_retries(
        retries: int,  # noqa: ARG004
        skipbadfiles: object,  # noqa: ARG004
        func: Callable[..., Any],
        *args: Any,
        use_result_type: bool = False,  # noqa: ARG004
        **kwargs: Any,
    ) -> Any:
        """Work on a chunk, on the worker.

        Coffea wraps every chunk in this function; its arguments are coffea's.
        """
        decompress_quickly()
        item = args[0]
        started = time.process_time()
        try:
            result = func(*args, **kwargs)
        except Exception as error:
            fault = input_fault(error)
            if fault is None:
                raise
            chunk = item[0] if isinstance(item, tuple) else item
            return {"out": {}, "processed": set(), "failed": [Failure(chunk, fault)]}
        result["metrics"]["cpu_s"] = time.process_time() - started
        result["metrics"]["peak_rss_mb"] = Maximum(
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        )
        return result


def input_fault(error: BaseException) -> str | None:
    """The fault of the input behind an exception, in one line; None when there is none: a bug."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        if _raised_in_reading(cause):
            text = " ".join(str(cause).split())
            return f"{type(cause).__name__}: {text}"
        cause = cause.__cause__ or cause.__context__
    return None


def _raised_in_reading(error: BaseException) -> bool:
    if isinstance(error, uproot.DeserializationError | uproot.KeyInFileError):
        return True
    # an OSError, or garbage in a basket, is the input's fault only if uproot or fsspec met it
    trace = error.__traceback__
    modules = []
    while trace is not None:
        modules.append(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return any(m.startswith(("uproot.", "fsspec")) for m in modules)


def decompress_quickly() -> None:
    """Let uproot use ISA-L, which decompresses zlib twice as fast as the standard library.

    The documented ``uproot.ZLIB`` is not what uproot 5.7 decompresses with, that object is.
    """
    decompressor = getattr(uproot.compression, "_decompress_ZLIB", uproot.ZLIB)
    decompressor.library = "isal"
