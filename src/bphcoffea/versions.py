"""Versions of packages, recorded with results and compared between client and workers."""

from __future__ import annotations

import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

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
    return {name: _version(name) for name in PACKAGES}


# looked up several times in each run, from files of metadata
_version = cache(importlib.metadata.version)


@cache
def source_sha256() -> str:
    """Return a hash of the code of this package."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
