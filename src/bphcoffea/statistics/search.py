"""Interface of a search, and its lookup for a run.

General packages import no search. They find searches through the entry points of the group
``bphcoffea.searches``, whose names are those that analyses declare (``Analysis.search``). Every
command imports this module for the options of the searches, so that it needs no arrays.
"""

from __future__ import annotations

import functools
import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal

import typer

from bphcoffea.errors import FitError, RunError, alternatives

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from bphcoffea.physics import Window
    from bphcoffea.results import RunFolder
    from bphcoffea.statistics.limit_record import LimitRecord

#: Group of the entry points.
GROUP: Final = "bphcoffea.searches"
#: Folder of datacards and workspaces, inside the folder of a run.
DATACARDS: Final = "datacards"
#: Folder of parametric models, inside the folder of a run.
PARAMETRIC: Final = "parametric"
#: File beside exported workspaces that says what a strength of 1 stands for.
STRENGTHS: Final = "strengths.json"


def option(kind: Any, text: str, **settings: Any) -> Any:
    """Return the annotation of an option of a search.

    Parameters
    ----------
    kind
        Type of its values.
    text
        Help of the command line.
    settings
        Further arguments of :func:`typer.Option`.
    """
    return Annotated[kind | None, typer.Option(help=text, **settings)]


class Search(ABC):
    """Base class of a search, through which the command line and figures use it.

    Report and figures come from modules beside that of the subclass, which are imported when they
    are needed: ``report.report(limit, unblind=…)`` and
    ``figures.figures_of_limit(run, limit, unblind=…)``.

    Attributes
    ----------
    title
        Title above the options of the search.
    options
        Further parameters of :meth:`limit` by name: :func:`option`.
    toy_options
        Values of these parameters that match the toys of the search.
    """

    title: ClassVar[str]
    options: ClassVar[Mapping[str, Any]]
    toy_options: ClassVar[Mapping[str, float]]

    @abstractmethod
    def limit(self, run: RunFolder, normalisation: RunFolder, **options: Any) -> LimitRecord:
        """Return the limit of a run.

        Parameters
        ----------
        run
            Run of the search.
        normalisation
            Fitted run of the normalisation channel.
        options
            Values of some of :attr:`options`; the others keep their defaults. Besides,
            ``unblind``: use the data in the signal windows. ``same_data``: assert that both runs
            are of the same data, so that nothing is scaled. ``progress``: called with the number
            of finished points and of all points.
        """

    @abstractmethod
    def record(self, run: RunFolder) -> LimitRecord:
        """Return the limit that a run has; for the errors see :meth:`LimitRecord.of_run`."""

    def report(self, limit: LimitRecord, *, unblind: bool = True) -> Iterator[str | Table]:
        """Yield the lines and tables of a limit; `unblind` shows what was observed, if anything."""
        yield from self._module("report").report(limit, unblind=unblind)

    def export(self, run: RunFolder, to: Literal["combine", "pyhf", "roofit"]) -> list[Path]:
        """Write datacards or workspaces of the limit of a run into its folder ``datacards``.

        Those for RooFit are parametric, in the folder ``parametric``.

        Beside workspaces, ``strengths.json`` says what a strength of 1 stands for, if this is not
        the predicted signal; datacards say so in comments. Files of an earlier limit, which may
        have been unblinded, are removed; those of the same limit in the other format are kept.

        Returns
        -------
        The datacards or workspaces.

        Raises
        ------
        RunError
            If the run has no limit.
        FitError
            If there is no parametric model, or ROOT is not installed.
        """
        from bphcoffea.statistics import counting

        limit, about = self.record(run), {}
        made_from = hashlib.sha256(run.place("limit.json").read_bytes()).hexdigest()
        written = []

        def is_of_another_limit(owner: str) -> bool:
            return owner.startswith(DATACARDS) and not owner.endswith(made_from)

        name = PARAMETRIC if to == "roofit" else DATACARDS
        owner = f"{DATACARDS} {to} {made_from}"
        with run.replacing(owner, also=is_of_another_limit) as temporary:
            folder = temporary / name
            folder.mkdir()
            for export in limit.exports():
                path = folder / f"{export.name}.{'json' if to == 'pyhf' else 'txt'}"
                if to == "combine":
                    export.write_datacard(path)
                elif to == "roofit":
                    if export.write_roofit is None:
                        raise FitError(
                            f"{run.path}: a limit of counts has no parametric model; export it for "
                            "combine or pyhf"
                        )
                    export.write_roofit(path)
                else:
                    workspace = export.workspace()
                    # not in each step of a limit, where it would take a third of the time
                    counting.validate(workspace)
                    path.write_text(json.dumps(workspace, indent=1) + "\n")
                    about[export.name] = dict(export.about)
                written.append(run.output / name / path.name)
            if any(about.values()):
                (folder / STRENGTHS).write_text(json.dumps(about, indent=1) + "\n")
        return written

    def figures(
        self, run: RunFolder, *, unblind: bool
    ) -> Iterator[tuple[str, Callable[[], Figure]]]:
        """Yield the names of the figures of the limit of a run, and functions that draw them.

        The functions are sent to other processes.
        """
        figures = self._module("figures")
        yield from figures.figures_of_limit(run, self.record(run), unblind=unblind)

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
        raise RunError(f"the search '{name}' is not installed{alternatives(name, searches())}")
    return searches()[name]
