"""Calls of functions in several processes, if that saves time."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Final, TypeVar

from bphcoffea.cores import cores
from bphcoffea.interrupts import shielded

T = TypeVar("T")

#: Expected seconds of work that are worth starting processes, which takes seconds itself.
WORTH: Final = 10.0
#: Seconds for which processes without work are kept for the next calls.
KEPT_S: Final = 30


def computed(
    calls: Sequence[Callable[[], T]],
    costs: Sequence[float] | None = None,
    processes: int | None = None,
) -> Iterator[T]:
    """Yield the results of functions, in order.

    Parameters
    ----------
    calls
        Functions without arguments that can be sent to another process.
    costs
        Relative times that the functions take; equal ones by default.
    processes
        Number of processes; by default one per core if the first calls take so long that this saves
        time.
    """
    wanted = processes or cores()
    sums = list(accumulate(costs or [1.0] * len(calls), operator.add))
    begin, done = time.monotonic(), 0
    for call in calls:
        rest = (time.monotonic() - begin) * (sums[-1] / sums[done - 1] - 1) if done else 0.0
        if wanted > 1 and (processes or rest > WORTH):
            break
        yield call()
        done += 1
    else:
        return
    import loky

    # loky never forks: XRootD does not survive a fork. Threads of BLAS would compete for the cores.
    with shielded():
        pool = loky.get_reusable_executor(wanted, timeout=KEPT_S, env={"OPENBLAS_NUM_THREADS": "1"})
        results = pool.map(_called, calls[done:])
    try:
        yield from results
    except BaseException:
        pool.shutdown(kill_workers=True)
        raise


def _called(call: Callable[[], T]) -> T:
    return call()
