"""Drawing of many figures in several processes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from matplotlib.figure import Figure

from bphcoffea.presentation.style import cms_style, experiment, save

if TYPE_CHECKING:
    import loky

#: Name of a figure, and the function that draws it.
Drawing: TypeAlias = tuple[str, Callable[[], Figure]]
#: Figures per process from which on a process is worth its start.
WORTH: Final = 8


class Pool:
    """Processes that draw beside this one.

    Parameters
    ----------
    others
        Number of other processes; they start at once, since they take a second to import what they
        need.
    """

    def __init__(self, others: int) -> None:
        self._pool: loky.ProcessPoolExecutor | None = None
        self._others = others
        if others:
            import loky

            # loky never forks: XRootD does not survive a fork
            self._pool = loky.ProcessPoolExecutor(others)
            self._started = [self._pool.submit(_start) for _ in range(others)]

    def draw(
        self,
        jobs: Sequence[Sequence[Drawing]],
        folder: Path,
        formats: Sequence[str],
        label: tuple[str, str],
        progress: Callable[[int, int], None],
    ) -> list[Path]:
        """Write all figures into a folder, and return their paths in order.

        Parameters
        ----------
        jobs
            Figures that are drawn one after the other in one process, by the name of their files.
        folder, formats
            Folder and formats of the files.
        label
            Experiment and status above the figures.
        progress
            Called with the number of finished jobs, and of all jobs.
        """
        work = (folder, formats, label)
        found: list[list[Path] | None] = [None] * len(jobs)
        futures: list[Future[list[Path]] | None] = [None] * len(jobs)
        if self._pool is not None:
            futures = [self._pool.submit(draw_all, job, *work) for job in jobs]
        done = 0
        # this process takes the jobs from the end that no other one has begun
        for place in reversed(range(len(jobs))):
            future = futures[place]
            if future is None or future.cancel():
                found[place] = draw_all(jobs[place], *work)
                done += 1
                progress(done, len(jobs))
        rest = {future: i for i, future in enumerate(futures) if future and found[i] is None}
        for future in as_completed(rest):
            found[rest[future]] = future.result()
            done += 1
            progress(done, len(jobs))
        return [path for paths in found for path in paths or ()]

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(kill_workers=True)


@contextlib.contextmanager
def drawing_pool(figures: int, processes: int | None = None) -> Iterator[Pool]:
    """Yield processes for about so many figures; none beside this one for a few figures."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    wanted = min(cores or 1, max(figures // WORTH, 1)) if processes is None else processes
    pool = Pool(wanted - 1)
    try:
        yield pool
    finally:
        pool.close()


def draw_all(
    drawings: Iterable[Drawing], folder: Path, formats: Sequence[str], label: tuple[str, str]
) -> list[Path]:
    """Write some figures into a folder, and return their paths."""
    paths = []
    with cms_style(), experiment(*label):
        for name, draw in drawings:
            paths += save(draw(), folder, name, formats)
    return paths


def _start() -> None:
    """Import what figures of a run need."""
    from bphcoffea.presentation import run_figures  # noqa: F401
