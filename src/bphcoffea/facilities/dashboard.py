"""HTTP servers of a Dask cluster: closed, or a dashboard at an address that cannot be guessed.

The servers ask for no password and show file paths, host names, code and logs. Dask has an option
to switch off the dashboard, but none for the servers, which also show metrics and health.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest.mock import patch

import dask
from tornado.web import HTTPError, RequestHandler

from bphcoffea.facilities.facility import Facility

if TYPE_CHECKING:
    from distributed import Client, Scheduler, Worker

_ROUTES = "distributed.scheduler.http.routes"
_LINK = "distributed.dashboard.link"


class _Hidden(RequestHandler):
    def prepare(self) -> None:
        raise HTTPError(404)


#: Route that hides ``/``, which Dask redirects to the prefix. Dask puts the prefix before each
#: pattern, where the first alternative matches nothing.
routes: list[tuple[str, type[RequestHandler], dict[str, object]]] = [(r"(?!)|/", _Hidden, {})]


@contextlib.contextmanager
def scheduler_http(facility: Facility) -> Iterator[dict[str, object]]:
    """Configure the HTTP server of a new scheduler; yields arguments of `distributed.Scheduler`."""
    if not facility.scheduler.dashboard:
        # the server runs until `close_http` stops it
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


def close_http(client: Client, facility: Facility) -> None:
    """Stop the HTTP servers of present and later workers, and of a scheduler without dashboard."""
    from distributed.diagnostics.plugin import WorkerPlugin

    class NoHttp(WorkerPlugin):  # type: ignore[misc]
        """Stops HTTP servers; sent by value, for workers with another version of bphcoffea."""

        def setup(self, worker: Worker) -> None:
            worker.http_server.stop()

    def stop(dask_scheduler: Scheduler) -> None:
        dask_scheduler.http_server.stop()

    client.register_plugin(NoHttp(), name="bphcoffea-no-http")
    if not facility.scheduler.dashboard:
        client.run_on_scheduler(stop)
