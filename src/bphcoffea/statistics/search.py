"""Interface of a search, and its lookup for a run.

General packages import no search. They find searches through the entry points of the group
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
from bphcoffea.statistics.records import JsonObject

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

#: Group of the entry points.
GROUP: Final = "bphcoffea.searches"


class LimitRecord(Protocol):
    """Content of ``limit.json``: the limit of a search, and all inputs of its workspaces."""

    @property
    def partial(self) -> bool:
        """Whether the limit is preliminary, since it comes from partial runs."""
        ...

    def as_json(self) -> JsonObject:
        """Return the content of ``limit.json``."""
        ...


class Search(Protocol):
    """Interface of a search for the command line and figures.

    Attributes
    ----------
    title
        Title above the options of the search.
    options
        Further parameters of :meth:`limit` by name: annotations with :func:`typer.Option`.
    toy_options
        Values of these parameters that match the toys of the search.
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
    ) -> LimitRecord:
        """Return the limit of a run.

        Parameters
        ----------
        run
            Run of the search.
        normalisation
            Fitted run of the normalisation channel.
        options
            Values of some of :attr:`options`; the others keep their defaults.
        unblind
            Use the data in the signal windows.
        same_data
            Assert that both runs are of the same data, so that nothing is scaled.
        progress
            Called with the number of finished points and of all points.
        """
        ...

    def report(self, limit: LimitRecord) -> Iterator[str | Table]:
        """Yield the lines and tables that the command line shows of a limit."""
        ...

    def export(self, run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
        """Write datacards or workspaces of the limit of a run, and return their paths."""
        ...

    def figures(self, run: RunFolder, *, unblind: bool) -> Iterator[tuple[str, Figure]]:
        """Yield the names and figures of the limit of a run."""
        ...


@functools.cache
def searches() -> dict[str, Search]:
    """Return all installed searches by name."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: entry.load() for entry in found}


def search_of(run: RunFolder) -> Search:
    """Return the search of a run.

    Raises
    ------
    RunError
        If its analysis declares no search, or one that is not installed.
    """
    name = run.analysis.search
    if name is None:
        raise RunError(f"the analysis '{run.analysis.name}' is no search: it has no limit")
    if name not in searches():
        raise RunError(f"the search '{name}' is not installed; there are: {', '.join(searches())}")
    return searches()[name]
