"""Progress of long tasks: a bar in terminals and notebooks, lines in logs.

``BPHCOFFEA_PROGRESS_S``
    Time between two lines in a log, s (default 60). The first line is written after this time.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
)
from rich.table import Column
from rich.text import Text

from bphcoffea.errors import InputError
from bphcoffea.periodic import repeating

INTERVAL_S = "BPHCOFFEA_PROGRESS_S"
#: Time over which the rate is averaged, s. Checkpoints that are read at once, and workers that
#: join, would distort the average over a whole run.
_AVERAGED_S = 600.0

T = TypeVar("T")


class Bar:
    """Count of finished units of work.

    Parameters
    ----------
    display
        Display of the count; it shows nothing unless it was started.
    task
        Task of the display.
    """

    def __init__(self, display: Progress, task: Task) -> None:
        self._display = display
        self._task = task

    def advance(self, number: int = 1) -> None:
        """Count further units as finished."""
        self._display.advance(self._task.id, number)

    def extend(self, number: int) -> None:
        """Count further units as to be done."""
        self._task.total = (self._task.total or 0) + number

    def update(self, done: int, total: int) -> None:
        """Set the count and the total; library functions take this method as `progress`."""
        task = self._task
        if task.total != total:
            # rich's own update of the total would reset the rate
            task.total, task.finished_time, task.finished_speed = total, None, None
        self._display.update(task.id, completed=done)

    def track(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, and count each one as finished when the next is requested."""
        for item in items:
            yield item
            self.advance()


@contextlib.contextmanager
def progress(total: int | None, description: str, unit: str) -> Iterator[Bar]:
    """Show the progress of a block, on the standard error stream, unless the log is quiet.

    Parameters
    ----------
    total
        Number of units; None if :meth:`Bar.update` sets it.
    description
        Name of the task, such as ``Processing``.
    unit
        Name of a unit in the singular, such as ``chunk``.

    Raises
    ------
    InputError
        If ``BPHCOFFEA_PROGRESS_S`` is not a positive number.
    """
    interval = _interval()
    console = Console(stderr=True)
    if _is_live(console) and not _is_quiet():
        display = Progress(
            TextColumn("{task.description}", markup=False),
            # the outputs of a notebook are narrower than most terminals
            BarColumn(20 if console.is_jupyter else 40),
            # in narrow terminals, count and remaining time matter more
            *([TaskProgressColumn()] if console.width >= 80 else []),
            _Summary(Column(no_wrap=True)),
            console=console,
            refresh_per_second=2,
            speed_estimate_period=_AVERAGED_S,
            # rich would redirect output for a file to the terminal
            redirect_stdout=sys.stdout.isatty(),
        )
        with display:
            yield Bar(display, _task(display, total, description, unit))
            display.refresh()  # rich does not do so at the end in a notebook
        return
    display = Progress(console=console, disable=True, speed_estimate_period=_AVERAGED_S)
    task = _task(display, total, description, unit)
    with contextlib.nullcontext() if _is_quiet() else _lines(task, interval):
        yield Bar(display, task)


def _task(display: Progress, total: int | None, description: str, unit: str) -> Task:
    number = display.add_task(description, total=total, unit=unit)
    return next(task for task in display.tasks if task.id == number)


def _interval() -> float:
    text = os.environ.get(INTERVAL_S, "60")
    try:
        interval = float(text)
    except ValueError:
        interval = 0.0
    if not interval > 0:
        raise InputError(f"{INTERVAL_S} is '{text}': give the time between two lines in s")
    return interval


def _is_quiet() -> bool:
    """Return whether the log of this package shows warnings alone; by default it does not."""
    return logging.getLogger("bphcoffea").level > logging.INFO


def _is_live(console: Console) -> bool:
    """Return whether a bar can be redrawn; with FORCE_COLOR, rich takes a log for a terminal."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return sys.stderr.isatty() and not console.is_dumb_terminal


@contextlib.contextmanager
def _lines(task: Task, interval: float) -> Iterator[None]:
    """Write a line after each interval, also if no unit was finished, and one at the end."""
    console = Console(stderr=True, force_jupyter=False)

    def write() -> None:
        console.out(line(task), highlight=False)

    began = time.monotonic()
    with repeating(write, interval, "progress"):
        yield
    if time.monotonic() - began > interval:
        write()


class _Summary(ProgressColumn):
    """Count, rate and remaining time."""

    def render(self, task: Task) -> Text:
        return Text(", ".join(_parts(task)))


def line(task: Task) -> str:
    """Return a line for a log: ``12:01 Opening files: 1,240 of 9,300 files (13%), 21.3/s``."""
    counts, *rest = _parts(task)
    share = f"{counts} ({task.percentage:.0f}%)" if task.total else counts
    return f"{time.strftime('%H:%M')} {task.description}: {', '.join((share, *rest))}"


def _parts(task: Task) -> Iterator[str]:
    done, unit = f"{task.completed:,.0f}", task.fields["unit"]
    if task.total is None:
        yield f"{done} {unit}s"
    else:
        yield f"{done} of {task.total:,.0f} {unit}{'' if task.total == 1 else 's'}"
    speed = task.finished_speed or task.speed
    if speed:
        yield _rate(speed)
    if task.finished:
        yield f"done in {_duration(task.finished_time or 0)}"
    elif task.time_remaining is not None:
        yield f"{_duration(task.time_remaining)} left"


def _rate(per_second: float) -> str:
    for unit, seconds in (("s", 1), ("min", 60)):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.3g}/{unit}"
    return f"{per_second * 3600:.3g}/h"


def _duration(seconds: float) -> str:
    """Return a time in at most two units."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"
