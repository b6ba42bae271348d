"""Facilities: the places where analyses run, each described by one TOML file."""

from bphcoffea.facilities.clusters import cluster
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.reading import available_facilities, load_facility

__all__ = ["Facility", "available_facilities", "cluster", "load_facility"]
