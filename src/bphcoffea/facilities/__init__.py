"""Places where analyses run: how each starts its Dask workers, in one TOML file."""

from bphcoffea.facilities.clusters import cluster
from bphcoffea.facilities.facility import Facility
from bphcoffea.facilities.reading import facilities_there_are, load_facility

__all__ = ["Facility", "cluster", "facilities_there_are", "load_facility"]
