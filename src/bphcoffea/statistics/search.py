"""Interface of a search, and how the search that a run belongs to is found.

A search is a guest: general packages reach it through the entry points of the group
``bphcoffea.searches``, whose names are those that analyses declare (``Analysis.search``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from bphcoffea.errors import RunError
from bphcoffea.results import RunFolder

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

#: Group of the entry points.
GROUP: Final = "bphcoffea.searches"


class Search(Protocol):
    """What a search offers to the command line and to figures.

    Attributes
    ----------
    title
        Name for people, above the options of the search.
    options
        Parameters of :meth:`limit` that belong to this search: annotations with
        :func:`typer.Option`, by name.
    toy_options
        Values of these parameters with which the toys of the search are made.
    """

    title: str
    options: Mapping[str, Any]
    toy_options: Mapping[str, Any]

    def limit(
        self,
        run: RunFolder,
        normalisation: RunFolder,
        options: Mapping[str, Any],
        *,
        unblind: bool,
        same_data: bool,
        progress: Callable[[int, int], None],
    ) -> dict[str, Any]:
        """Return the content of ``limit.json``.

        Parameters
        ----------
        run
            Run of the search.
        normalisation
            Fitted run of the normalisation channel.
        options
            Values of some of :attr:`options`; the others have their defaults.
        unblind
            Use the data in the signal windows.
        same_data
            Assert that both runs are of the same data, so that nothing is scaled.
        progress
            Called with the number of points that are done, and of all.
        """
        ...

    def report(self, limit: Mapping[str, Any]) -> Iterator[str | Table]:
        """Yield lines and tables that show the content of ``limit.json``."""
        ...

    def export(self, run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
        """Write the limit of a run as datacards or workspaces, and return their paths."""
        ...

    def figures(self, run: RunFolder, *, unblind: bool) -> Iterator[tuple[str, Figure]]:
        """Yield the figures of the limit of a run with their names."""
        ...


@functools.cache
def searches() -> dict[str, Search]:
    """Return all installed searches by name."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: entry.load() for entry in found}


def search_of(run: RunFolder) -> Search:
    """Return the search that a run belongs to.

    Raises
    ------
    RunError
        If its analysis declares no search, or one that is not installed.
    """
    name = run.analysis.search
    if name is None:
        raise RunError(f"the analysis '{run.analysis.name}' is no search: it has no limit")
    if name not in searches():
        raise RunError(f"the search '{name}' is not known; there are: {', '.join(searches())}")
    return searches()[name]
