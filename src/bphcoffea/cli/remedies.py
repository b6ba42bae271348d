"""Options of the command line that remedy errors of the library."""

from __future__ import annotations

from bphcoffea.errors import InputError


def with_option(error: InputError) -> InputError:
    """Return an error whose message also names the option that remedies it, if there is one."""
    from bphcoffea.execution import ClusterLostError, WrongExecutorError
    from bphcoffea.facilities import NoSchedulerError, NoWorkerCountError, ShortProxyError
    from bphcoffea.storage.manifest import OccupiedError

    options: dict[type[InputError], str] = {
        ClusterLostError: "--resume",
        NoSchedulerError: "--scheduler",
        NoWorkerCountError: "--workers",
        OccupiedError: "--overwrite",
        ShortProxyError: "--min-proxy-lifetime",
        WrongExecutorError: "--executor dask",
    }
    option = next((text for kind, text in options.items() if isinstance(error, kind)), None)
    return InputError(f"{error} ({option})") if option else error
