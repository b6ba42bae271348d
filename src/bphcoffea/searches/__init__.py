"""Code that belongs to a single search; only the command line and figures look it up here.

``analysis.json`` names the search of a run by its key ``search``. Runs without that key were made
before there was a second search, that for heavy neutral leptons, whose limits are in
:mod:`bphcoffea.statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from bphcoffea.errors import InputError

Search = Literal["hnl", "tau3mu"]
HNL: Final = "hnl"
TAU3MU: Final = "tau3mu"


def search_of(analysis: Mapping[str, Any]) -> Search:
    """Return the search that an analysis belongs to.

    Parameters
    ----------
    analysis
        Content of ``analysis.json``.

    Raises
    ------
    InputError
        When no limit is known for it.
    """
    name = analysis.get("search", HNL)
    if name is None:
        raise InputError(f"the analysis '{analysis['name']}' is no search: it has no limit")
    if name == HNL:
        return "hnl"
    if name == TAU3MU:
        return "tau3mu"
    raise InputError(f"the search '{name}' is not known; there are: {HNL}, {TAU3MU}")
