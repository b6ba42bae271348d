"""Drawing of many figures in several processes."""

from __future__ import annotations

import contextlib
import gc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from bphcoffea.cores import cores
from bphcoffea.interrupts import shielded

if TYPE_CHECKING:
    import loky
    from matplotlib.figure import Figure

#: Name of a figure, and the function that draws it.
Drawing: TypeAlias = "tuple[str, Callable[[], Figure]]"
#: Figures per process from which on a process is worth its start.
WORTH: Final = 8
#: Jobs per process that are drawn or wait for it.
QUEUED: Final = 2


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
            with shielded():
                for _ in range(others):
                    self._pool.submit(_start)

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
            Called with the number of drawn figures, and of all figures.
        """
        work = (folder, formats, label)
        todo = deque(enumerate(jobs))
        found: dict[int, list[Path]] = {}
        begun: dict[int, Future[list[Path]]] = {}

        def report() -> None:
            done = {*found, *(place for place, future in begun.items() if future.done())}
            progress(sum(len(jobs[place]) for place in done), sum(map(len, jobs)))

        while todo:
            waiting = sum(not future.done() for future in begun.values())
            # the other processes take jobs from the beginning, this one from the end
            while self._pool is not None and todo and waiting < QUEUED * self._others:
                place, job = todo.popleft()
                begun[place] = self._pool.submit(draw_all, job, *work)
                waiting += 1
            if todo:
                place, job = todo.pop()
                found[place] = draw_all(job, *work)
            report()
        for _ in as_completed(begun.values()):
            report()
        found |= {place: future.result() for place, future in begun.items()}
        return [path for place in sorted(found) for path in found[place]]

    def close(self) -> None:
        """End the processes."""
        if self._pool is not None:
            self._pool.shutdown(kill_workers=True)


@contextlib.contextmanager
def drawing_pool(figures: int, processes: int | None = None) -> Iterator[Pool]:
    """Yield processes for about so many figures; none beside this one for a few figures."""
    wanted = min(cores(), max(figures // WORTH, 1)) if processes is None else processes
    pool = Pool(wanted - 1)
    try:
        yield pool
    finally:
        pool.close()


def draw_all(
    drawings: Iterable[Drawing], folder: Path, formats: Sequence[str], label: tuple[str, str]
) -> list[Path]:
    """Write some figures into a folder, and return their paths."""
    from bphcoffea.presentation.style import cms_style, experiment, save

    paths = []
    with cms_style(), experiment(*label):
        for name, draw in drawings:
            with _without_garbage_collection():
                paths += save(draw(), folder, name, formats)
    return paths


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Search for no garbage meanwhile: a figure is made of so many objects that it takes time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _start() -> None:
    """Import what most figures need; fits take longer to import than to draw."""
    from bphcoffea.presentation import cutflow, distributions, stacks  # noqa: F401

    gc.freeze()
