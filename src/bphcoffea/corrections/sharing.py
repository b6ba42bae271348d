"""Objects that are pickled by value, but restored only once in each process.

coffea unpickles the processor for every chunk, and compiling a large correction takes longer than a
chunk.
"""

from __future__ import annotations

import hashlib
import pickle
from typing import Any, Final

#: Number of restored objects that a process keeps.
_MOST: Final = 512
_restored: dict[tuple[type, str], Shared] = {}


class Shared:
    """Base class of immutable objects; equal pickles become the same object in a process.

    A subclass may define ``__getstate__`` to leave out what is made again when needed. What its
    objects make is thus kept from chunk to chunk.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        state = pickle.dumps(self.__getstate__())
        return _restore, (type(self), hashlib.sha256(state).hexdigest(), state)


def _restore(kind: type[Shared], digest: str, state: bytes) -> Shared:
    key = kind, digest
    if key not in _restored:
        made = kind.__new__(kind)
        # pickles of this session's own objects, inside the pickle that is being read
        vars(made).update(pickle.loads(state))  # noqa: S301
        while len(_restored) >= _MOST:
            del _restored[next(iter(_restored))]
        _restored[key] = made
    return _restored[key]
