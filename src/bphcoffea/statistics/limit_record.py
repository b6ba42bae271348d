"""Limit of a search as it is stored, and its likelihood for other programs."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bphcoffea.errors import RunError
from bphcoffea.statistics.records import Record
from bphcoffea.statistics.workspace import Workspace

if TYPE_CHECKING:
    from bphcoffea.results import RunFolder


@dataclass(frozen=True)
class Export:
    """Likelihood of a limit for other programs.

    Attributes
    ----------
    name
        Name of the files without extension.
    write_datacard
        Function that writes a datacard of Combine to a path.
    workspace
        Function that returns the workspace for pyhf.
    about
        What a strength of 1 stands for, which the schema of workspaces has no place for; written
        into ``strengths.json`` beside the workspaces.
    write_roofit
        Function that writes a datacard of a parametric model, and its workspace beside it; None if
        there is none, as of counts.
    """

    name: str
    write_datacard: Callable[[Path], None]
    workspace: Callable[[], Workspace]
    about: Mapping[str, float | str] = field(default_factory=dict)
    write_roofit: Callable[[Path], object] | None = None


class LimitRecord(Record):
    """Content of ``limit.json``: the limit of a search, and all inputs of its workspaces."""

    @classmethod
    def of_run(cls, run: RunFolder) -> Self:
        """Return the limit of a run.

        Raises
        ------
        RunError
            If the run has no limit.
        FitError
            If its ``limit.json`` is unusable.
        """
        if not run.place("limit.json").is_file():
            path = shlex.quote(str(run.path))
            raise RunError(f"{run.path}: no limit; make one with: bphcoffea limit {path}")
        return cls.from_json(run.read("limit.json"))

    def exports(self) -> Iterator[Export]:
        """Yield the likelihood of each limit or tested point."""
        raise NotImplementedError
