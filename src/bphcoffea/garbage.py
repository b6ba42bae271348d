"""How often Python searches for cyclic garbage.

While packages are imported, there are more and more objects to search, and no garbage among them.
"""

import gc
from typing import Final

#: Number of new objects after which Python searches, and how often it searches among older ones.
_USUAL: Final = gc.get_threshold()
_RARE: Final = (50_000, *_USUAL[1:])


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


def exempt_all() -> None:
    """Exempt all objects from the search that Python makes when the process ends."""
    gc.freeze()
