"""Toy samples with known truth: ntuples of the real formats that hold real decays, in seconds.

A toy is called with a folder, the number of data-like events and the seed, and returns the path of
the fileset that it wrote. Beside the fileset lie ``truth.json``, which holds the expected results,
and the corrections of the simulation, which differs from the data in a known way.

Each subpackage is the toy of one analysis and offers a dictionary ``TOYS`` of its variants.
"""

import pkgutil
from importlib import import_module
from typing import Any, Final

from bphcoffea.toys.toy import Toy

__all__ = ["TOYS", "Toy"]

#: The toys by name of the analysis; ``…_signal`` is the same toy with signal in the data.
TOYS: Final[dict[str, Toy[Any, Any]]] = {}
for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    if _module.ispkg:
        TOYS.update(import_module(_module.name).TOYS)
