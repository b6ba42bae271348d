"""Versions of what results are made with: recorded with each, and compared with the workers'."""

from __future__ import annotations

import importlib.metadata

#: Packages that a result depends on.
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
    """Versions of the packages that a result depends on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}
