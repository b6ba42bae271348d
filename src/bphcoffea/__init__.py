"""Columnar Coffea analyses of rare flavour decays, from a fileset JSON to a fitted yield.

Names are imported on first use, so that importing the package takes no time.

Examples
--------
>>> from bphcoffea import Options, fit_mass, load_analysis, load_fileset, run
>>> fileset = load_fileset("fileset.json")  # doctest: +SKIP
>>> folder = run(load_analysis("ds_phipi"), fileset, "run", Options())  # doctest: +SKIP
>>> fit_mass(folder)  # doctest: +SKIP
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
