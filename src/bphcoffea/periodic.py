"""Work that a thread repeats in the background."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def repeating(work: Callable[[], object], every_s: float, name: str) -> Iterator[None]:
    """Call a function every so many seconds in a thread of its own, for the duration of the block.

    The first call comes after the first interval.
    """
    finished = threading.Event()

    def repeat() -> None:
        while not finished.wait(every_s):
            work()

    thread = threading.Thread(target=repeat, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
