"""Interface of a search, and its lookup for a run.

General packages import no search. They find searches through the entry points of the group
``bphcoffea.searches``, whose names are those that analyses declare (``Analysis.search``).
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Protocol

from bphcoffea.errors import RunError
from bphcoffea.physics import Window
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


class Search(ABC):
    """Base class of a search, through which the command line and figures use it.

    Report, export and figures come from modules beside that of the subclass, which are imported
    when they are needed: ``report.report(limit)``, ``export.export_limit(run, to)`` and
    ``figures.figures_of_run(run, unblind=…)``.

    Attributes
    ----------
    title
        Title above the options of the search.
    options
        Further parameters of :meth:`limit` by name: annotations with :func:`typer.Option`.
    toy_options
        Values of these parameters that match the toys of the search.
    """

    title: ClassVar[str]
    options: ClassVar[Mapping[str, Any]]
    toy_options: ClassVar[Mapping[str, float]]

    @abstractmethod
    def limit(
        self,
        run: RunFolder,
        normalisation: RunFolder,
        options: Mapping[str, Any],
        **settings: Any,
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
        settings
            ``unblind``: use the data in the signal windows. ``same_data``: assert that both runs
            are of the same data, so that nothing is scaled. ``progress``: called with the number
            of finished points and of all points.
        """

    def report(self, limit: LimitRecord) -> Iterator[str | Table]:
        """Yield the lines and tables that the command line shows of a limit."""
        yield from self._module("report").report(limit)

    def export(self, run: RunFolder, to: Literal["combine", "pyhf"]) -> list[Path]:
        """Write datacards or workspaces of the limit of a run, and return their paths."""
        paths: list[Path] = self._module("export").export_limit(run, to)
        return paths

    def figures(self, run: RunFolder, *, unblind: bool) -> Iterator[tuple[str, Figure]]:
        """Yield the names and figures of the limit of a run."""
        yield from self._module("figures").figures_of_run(run, unblind=unblind)

    def windows(self, run: RunFolder) -> list[Window]:  # noqa: ARG002
        """Return the windows of the blind variable that the limit of a run is about, if any."""
        return []

    def _module(self, name: str) -> ModuleType:
        return import_module(f"{type(self).__module__.rpartition('.')[0]}.{name}")


@functools.cache
def searches() -> dict[str, Search]:
    """Return all installed searches by name."""
    found = sorted(entry_points(group=GROUP), key=lambda entry: entry.name)
    return {entry.name: entry.load()() for entry in found}


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
