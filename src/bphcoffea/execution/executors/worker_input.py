"""Input that all tasks of a Dask cluster share, sent to each worker once.

It is no task of its own: Dask would blame and give up such a task if its workers died. Workers
that join later get it as well.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from distributed import get_worker
from distributed.diagnostics.plugin import WorkerPlugin


class WorkerInput(WorkerPlugin):  # type: ignore[misc]
    """Input that a worker keeps for its tasks.

    Parameters
    ----------
    value
        The input.
    """

    def __init__(self, value: Any) -> None:
        self.value = value


@contextlib.contextmanager
def shared(
    client: Any, value: Any, function: Callable[[Any], Any]
) -> Iterator[Callable[[Any], Any]]:
    """Send an input to all workers; they forget it at the end.

    Parameters
    ----------
    client
        Client of Dask.
    value
        The input.
    function
        Function of a pair of an item and the input.

    Yields
    ------
    The function of an item alone, for tasks of this cluster.
    """
    name = f"bphcoffea-input-{uuid.uuid4().hex}"
    client.register_plugin(WorkerInput(value), name=name)
    yield partial(_with_input, name, function)
    # not if the block fails: the cluster may be gone, or busy
    client.unregister_worker_plugin(name)


def _with_input(name: str, function: Callable[[Any], Any], item: Any) -> Any:
    return function((item, get_worker().plugins[name].value))
