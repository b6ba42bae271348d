"""Facilities: the places where analyses run, each described by one TOML file."""

from bphcoffea.facilities.clusters import NoSchedulerError, NoWorkerCountError, cluster
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.proxy import ShortProxyError
from bphcoffea.facilities.reading import available_facilities, load_facility

__all__ = [
    "Facility",
    "NoSchedulerError",
    "NoWorkerCountError",
    "ShortProxyError",
    "available_facilities",
    "cluster",
    "load_facility",
]
