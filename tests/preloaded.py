"""Processes that are forked from one that has imported the package already.

A new interpreter takes seconds to import it, and the tests start hundreds of workers. Commands that
the tests run as programs start interpreters as ever.
"""

import contextlib
import multiprocessing
import os
import pkgutil
import signal
import subprocess
from multiprocessing import forkserver, spawn
from pathlib import Path

import dask
import distributed.utils
import pytest
from loky.backend import context as loky_context

import bphcoffea
from bphcoffea.execution.executors import processes

#: What a worker imports: packages import nothing before a name is asked for, so modules are listed.
#: Nothing that starts threads, and not XRootD, which does not survive a fork.
MODULES = [
    module.name
    for package in ("analysis", "corrections", "datasets", "execution", "inputs", "processing")
    for module in pkgutil.walk_packages(
        [f"{bphcoffea.__path__[0]}/{package}"], f"bphcoffea.{package}."
    )
    if not module.ispkg and ".making." not in module.name
]
MODULES += [
    "bphcoffea.physics.triggers",
    "bphcoffea.storage.file_identity",
    "coffea.processor",
    "distributed",
    "distributed.cli.dask_scheduler",
    "distributed.cli.dask_worker",
    "pyarrow.parquet",
    *(f"vector._compute.{kind}" for kind in ("lorentz", "planar", "spatial")),
    "preloaded",
    "preloaded_last",
]
METHOD = {"distributed.worker.multiprocessing-method": "forkserver"}
_begin = processes.begin
_preparation_data = spawn.get_preparation_data
_ensure_running = forkserver._forkserver.ensure_running


class _Environment:
    """The environment of this process, which the process that unpickles it takes over."""

    def __reduce__(self):
        take = "import os; os.environ.clear(); os.environ.update(environment)"
        return exec, (take, {"environment": dict(os.environ)})


def _with_environment(name):
    # else a worker has the environment of when the first one was started
    return _preparation_data(name) | {"environment": _Environment()}


def _ensure_running_here():
    """Start the process that forks, where it finds the modules of this folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        _ensure_running()


def _begin_forked(parent):
    """Begin as a worker of a pool whose parent is the process that forks."""
    _begin(os.getppid())


@contextlib.contextmanager
def forked_workers():
    """Fork the workers of pools and of local Dask clusters."""
    multiprocessing.set_forkserver_preload(MODULES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forkserver._forkserver, "ensure_running", _ensure_running_here)
        patch.setattr(distributed.utils, "_forkserver_preload_set", True)
        patch.setattr(spawn, "get_preparation_data", _with_environment)
        patch.setattr(processes, "begin", _begin_forked)
        patch.setattr(loky_context, "_DEFAULT_START_METHOD", "forkserver")
        with dask.config.set(METHOD):
            yield


@contextlib.contextmanager
def spawned_workers():
    """Start an interpreter for each worker of pools and local clusters, as for a user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "begin", _begin)
        patch.setattr(loky_context, "_DEFAULT_START_METHOD", "loky")
        with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
            yield


class ForkedProcess:
    """A process that works as :class:`subprocess.Popen` does, in a session of its own.

    Parameters
    ----------
    function, arguments
        What it runs.
    folder
        Where it runs.
    log
        File to which it appends what it prints.
    environment
        All variables of its environment.
    """

    def __init__(self, function, arguments, folder, log, environment):
        begin = (function, arguments, str(folder), str(log), environment)
        self._process = multiprocessing.get_context("forkserver").Process(target=_run, args=begin)
        self._process.start()
        self.pid = self._process.pid

    def send_signal(self, number):
        """Send it a signal, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def terminate(self):
        """End it kindly."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=None):
        """Wait until it has ended."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)


def _run(function, arguments, folder, log, environment):
    os.setsid()
    os.chdir(folder)
    multiprocessing.process.ORIGINAL_DIR = folder
    for name, flags, descriptors in (
        (os.devnull, os.O_RDONLY, (0,)),
        (log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, (1, 2)),
    ):
        opened = os.open(name, flags)
        for descriptor in descriptors:
            os.dup2(opened, descriptor)
    os.environ.clear()
    os.environ.update(environment)
    dask.config.refresh()
    dask.config.set(METHOD)
    # the process that forked this one forks its children as well
    forkserver._forkserver.ensure_running = lambda: None
    spawn.get_preparation_data = _with_environment
    function(*arguments)
