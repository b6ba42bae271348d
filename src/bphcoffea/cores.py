"""Cores of this machine, and threads that share the work of one process."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Number of threads of OpenBLAS, which numpy and scipy contain.
_ALGEBRA: Final = "OPENBLAS_NUM_THREADS"
#: Fewest items for each thread.
_FEWEST: Final = 4


def cores() -> int:
    """Return the number of cores that this process may use, or of all if that is unknown."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def one_algebra_thread() -> dict[str, str]:
    """Return environment variables with which numpy starts no threads for linear algebra.

    No matrix here is large enough for threads, and idle threads keep a core busy for a while. numpy
    reads the variable when it is imported.
    """
    return {_ALGEBRA: os.environ.get(_ALGEBRA, "1")}


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> list[Result]:
    """Return the results of a function for all items, in their order.

    Threads help if the function spends its time outside Python, such as in decompression.

    Parameters
    ----------
    function
        The function.
    items
        Its arguments.
    threads
        Number of threads that work, of which this is one.
    """
    threads = min(threads, len(items) // _FEWEST)
    if threads < 2:
        return [function(item) for item in items]

    def work(part: Sequence[Item]) -> list[Result]:
        return [function(item) for item in part]

    # in turns, because the last baskets of a file are often the largest
    first, *others = (items[number::threads] for number in range(threads))
    begun = [_pool().submit(work, part) for part in others]
    parts = [work(first), *(future.result() for future in begun)]
    return [parts[number % threads][number // threads] for number in range(len(items))]


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores())
