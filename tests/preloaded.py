"""Worker processes that are forked from one that has imported the package already.

A new interpreter takes seconds to import it, and the tests start hundreds of workers. Commands that
the tests run as programs, and clusters of :mod:`services`, start interpreters as ever.
"""

import contextlib
import multiprocessing
import os
from multiprocessing import spawn

import dask
import distributed.utils
import pytest
from loky.backend import context as loky_context

from bphcoffea.execution.executors import processes

#: Nothing that starts threads, and not XRootD, which does not survive a fork.
MODULES = ("bphcoffea.execution", "coffea.processor", "distributed", "pyarrow.parquet")
_begin = processes._begin
_preparation_data = spawn.get_preparation_data


class _Environment:
    """The environment of this process, which the process that unpickles it takes over."""

    def __reduce__(self):
        take = "import os; os.environ.clear(); os.environ.update(environment)"
        return exec, (take, {"environment": dict(os.environ)})


def _with_environment(name):
    # else a worker has the environment of when the first one was started
    return _preparation_data(name) | {"environment": _Environment()}


def _begin_forked(parent):
    """Begin as a worker of a pool whose parent is the process that forks."""
    _begin(os.getppid())


@contextlib.contextmanager
def forked_workers():
    """Fork the workers of pools and of local Dask clusters."""
    multiprocessing.set_forkserver_preload(list(MODULES))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed.utils, "_forkserver_preload_set", True)
        patch.setattr(spawn, "get_preparation_data", _with_environment)
        patch.setattr(processes, "_begin", _begin_forked)
        patch.setattr(loky_context, "_DEFAULT_START_METHOD", "forkserver")
        with dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"}):
            yield
