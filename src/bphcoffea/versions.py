"""Versions of packages, recorded with results and compared between client and workers."""

from __future__ import annotations

import importlib.metadata

#: Packages that results depend on.
PACKAGES = (
    "awkward",
    "bphcoffea",
    "coffea",
    "dask",
    "distributed",
    "hist",
    "numpy",
    "uproot",
    "vector",
)


def versions() -> dict[str, str]:
    """Return the installed versions of the packages that results depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
