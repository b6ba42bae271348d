"""Real services on this machine, for the time of a test."""

from services.chromium import Tab, chromium, why_no_chromium
from services.dask import DaskCluster, Tls, dask_cluster
from services.disks import SmallDisk, small_disk
from services.grid import CertificateAuthority, MacaroonServer, gsi_server, jwt, tls_lines
from services.installation import installed
from services.processes import free_port
from services.slurm import Slurm, slurm, why_no_slurm
from services.xrootd import (
    RestartableServer,
    XRootDServer,
    server_folders,
    why_no_xrootd,
    xrootd_server,
)

__all__ = [
    "CertificateAuthority",
    "DaskCluster",
    "MacaroonServer",
    "RestartableServer",
    "Slurm",
    "SmallDisk",
    "Tab",
    "Tls",
    "XRootDServer",
    "chromium",
    "dask_cluster",
    "free_port",
    "gsi_server",
    "installed",
    "jwt",
    "server_folders",
    "slurm",
    "small_disk",
    "tls_lines",
    "why_no_chromium",
    "why_no_slurm",
    "why_no_xrootd",
    "xrootd_server",
]
