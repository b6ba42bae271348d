"""Real services on this machine, for the time of a test."""

from services.dask import dask_cluster
from services.processes import free_port
from services.xrootd import (
    RestartableServer,
    XRootDServer,
    server_folders,
    why_no_xrootd,
    xrootd_server,
)

__all__ = [
    "RestartableServer",
    "XRootDServer",
    "dask_cluster",
    "free_port",
    "server_folders",
    "why_no_xrootd",
    "xrootd_server",
]
