"""How often Python searches for cyclic garbage.

While packages are imported, there are more and more objects to search, and no garbage among them.
"""

import contextlib
import gc
from collections.abc import Iterator
from typing import Final

#: Number of new objects after which Python searches, and how often it searches among older ones.
_USUAL: Final = gc.get_threshold()
_RARE: Final = (50_000, *_USUAL[1:])
#: Number of objects that are made before all are searched; 1500 branches are 75 000.
_MOST_MADE: Final = 400_000
_made = 0


def search_rarely() -> None:
    """Let Python search rarely, in a process that belongs to this package."""
    if gc.get_threshold() == _USUAL:
        gc.set_threshold(*_RARE)


def search_as_usual() -> None:
    """Let Python search as usual, but not among what was imported.

    From then on, garbage may keep large arrays alive.
    """
    if gc.get_threshold() == _RARE:
        gc.freeze()
        gc.set_threshold(*_USUAL)


@contextlib.contextmanager
def unsearched() -> Iterator[None]:
    """Do not search for garbage while a block makes many objects that are kept for a while.

    While a file with 1500 branches is opened, Python would spend more time on searching than on
    opening it. These objects become garbage when the file is closed; after many of them were made,
    all objects are searched.
    """
    global _made
    before, searched = gc.get_count()[0], gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        _made += max(gc.get_count()[0] - before, 0)
        if searched:
            gc.enable()
        if _made > _MOST_MADE:
            _made = 0
            gc.collect()


def exempt_all() -> None:
    """Exempt all objects from the search that Python makes when the process ends."""
    gc.freeze()
