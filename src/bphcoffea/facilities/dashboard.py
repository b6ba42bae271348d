"""HTTP servers of a Dask cluster: closed, or a dashboard behind an address that nobody guesses.

They know no passwords and show paths of files, names of hosts, code and logs. Dask has an option
to leave out the dashboard, but none to leave out the servers, which also show metrics and health.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import dask
from tornado.web import HTTPError, RequestHandler

from bphcoffea.facilities.facility import Facility

_ROUTES = "distributed.scheduler.http.routes"
_LINK = "distributed.dashboard.link"


class _Hidden(RequestHandler):
    def prepare(self) -> None:
        raise HTTPError(404)


#: Hides ``/``, which Dask redirects to the prefix. Dask puts the prefix before each pattern, where
#: the first alternative matches nothing.
routes: list[tuple[str, type[RequestHandler], dict[str, Any]]] = [(r"(?!)|/", _Hidden, {})]


@contextlib.contextmanager
def scheduler_http(facility: Facility) -> Iterator[dict[str, Any]]:
    """Configure the HTTP server of a scheduler that is started in this process.

    Parameters
    ----------
    facility
        Its ``scheduler.dashboard`` asks for a dashboard.

    Yields
    ------
    dict
        Keyword arguments of ``distributed.Scheduler``.
    """
    if not facility.scheduler.dashboard:
        # what the server shows until `close_http` stops it
        with dask.config.set({_ROUTES: []}):
            yield {"dashboard": False}
        return
    prefix = secrets.token_hex(16)
    shown = [name for name in dask.config.get(_ROUTES) if name != "distributed.http.proxy"]
    link = dask.config.get(_LINK).replace("/status", f"/{prefix}/status")
    settings = dask.config.set({_ROUTES: [*shown, __name__], _LINK: link})
    # /sitemap.json, which lists all paths, comes before all routes
    with settings, patch("distributed.http.routing.DirectoryHandler", _Hidden):
        yield {"dashboard": True, "http_prefix": prefix}


def close_http(client: Any, facility: Facility) -> None:
    """Stop the HTTP servers of workers, also later ones, and of a scheduler without a dashboard.

    Parameters
    ----------
    client
        Connected to a scheduler that was started for it.
    facility
        Where it runs.
    """
    from distributed.diagnostics.plugin import WorkerPlugin

    class NoHttp(WorkerPlugin):  # type: ignore[misc]
        """Sent by value: a worker with another bphcoffea can say that it is another."""

        def setup(self, worker: Any) -> None:
            worker.http_server.stop()

    def stop(dask_scheduler: Any) -> None:
        dask_scheduler.http_server.stop()

    client.register_plugin(NoHttp(), name="bphcoffea-no-http")
    if not facility.scheduler.dashboard:
        client.run_on_scheduler(stop)
