"""Memory of this process and of this machine."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
from functools import cache
from pathlib import Path
from typing import Final

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
#: What to write to forget the peak of the resident memory (Linux, ``man 5 proc``).
_FORGET_PEAK: Final = "5"
_LIBRARY: Final = "libc.so.6"
#: Options of ``mallopt``, and their values in bytes: from which size the system is asked for each
#: array (M_MMAP_THRESHOLD, 32 MiB are the maximum), and how much free memory is kept
#: (M_TRIM_THRESHOLD).
_KEPT: Final = {-3: 32 * 2**20, -1: 256 * 2**20}
#: Limits of the memory of a container, in version 2 and 1 of Linux's control groups.
_LIMITS: Final = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def resident() -> int | None:
    """Return the resident memory of this process, bytes; None if the system does not say."""
    return _status("VmRSS")


def forget_peak() -> bool:
    """Restart the measurement of :func:`peak`, and return whether the system supports that."""
    try:
        _CLEAR.write_text(_FORGET_PEAK)
    except OSError:
        return False
    return True


def peak() -> int:
    """Return the peak of the resident memory since :func:`forget_peak`, or ever, bytes."""
    return _status("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@cache
def keep_freed() -> None:
    """Let this process keep memory that it frees, if the C library supports that.

    The system clears each page that it gives, which takes a tenth of the time of a chunk.
    """
    with contextlib.suppress(OSError, AttributeError):
        for option, size in _KEPT.items():
            ctypes.CDLL(_LIBRARY).mallopt(option, size)


def release() -> None:
    """Return unused memory to the system, if the C library supports that."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(_LIBRARY).malloc_trim(0)


def machine_memory() -> int:
    """Return the memory of this machine, or of the container on it, bytes."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such limit, or "max"
            limits.append(int(Path(path).read_text()))
    return min(limits)


def worker_memory() -> int | None:
    """Return the memory for one task of this Dask worker, bytes; None without a limit."""
    from distributed import get_worker

    worker = get_worker()
    limit: int | None = worker.memory_manager.memory_limit
    return limit // worker.state.nthreads if limit else None


def _status(key: str) -> int | None:
    """Return a size of ``/proc/self/status``, bytes; None if there is none."""
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * 1024
    return None
