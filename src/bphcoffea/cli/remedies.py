"""Options of the command line that remedy errors of the library."""

from __future__ import annotations

from bphcoffea import execution, facilities, storage
from bphcoffea.errors import InputError


def options_of_run() -> dict[type[InputError], str]:
    """Return what to append to the errors of a run: the option that remedies each of them."""
    return {
        execution.ClusterLostError: " (--resume)",
        facilities.NoSchedulerError: " (--scheduler)",
        facilities.NoWorkerCountError: " (--workers)",
        storage.OccupiedError: " (--overwrite)",
        facilities.ShortProxyError: " (--min-proxy-lifetime)",
        execution.WrongExecutorError: " (--executor dask)",
    }


def with_option(error: InputError) -> str:
    """Return the message of an error and the option that remedies it, if there is one."""
    option = next((text for kind, text in options_of_run().items() if isinstance(error, kind)), "")
    return f"{error}{option}"
