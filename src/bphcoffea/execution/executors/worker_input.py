"""Input that all tasks of a Dask cluster share, and that is sent only once to each worker.

It is sent as a plugin, also to workers that join later. If it were a task, Dask could blame that
task, and give it up, when its workers die.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from functools import partial

from distributed import Client, get_worker
from distributed.diagnostics.plugin import WorkerPlugin


class WorkerInput(WorkerPlugin):  # type: ignore[misc]
    """Plugin that holds an input on each worker."""

    def __init__(self, value: object) -> None:
        self.value = value


@contextlib.contextmanager
def shared(
    client: Client, value: object, function: Callable[[object], object]
) -> Iterator[Callable[[object], object]]:
    """Send an input to all workers, and remove it at the end.

    Parameters
    ----------
    client
        Client of the cluster.
    value
        The input.
    function
        Function of a pair of item and input.

    Yields
    ------
    Function of an item, for tasks of this cluster.
    """
    name = f"bphcoffea-input-{uuid.uuid4().hex}"
    client.register_plugin(WorkerInput(value), name=name)
    yield partial(_with_input, name, function)
    # not after an error: the cluster may be gone, or busy
    client.unregister_worker_plugin(name)


def _with_input(name: str, function: Callable[[object], object], item: object) -> object:
    return function((item, get_worker().plugins[name].value))
