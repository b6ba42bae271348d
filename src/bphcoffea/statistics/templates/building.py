"""Building a template model: from runs to a folder with workspace, datacard and records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from bphcoffea.analysis import TemplateFit
from bphcoffea.documents import read_json
from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder, write_json
from bphcoffea.statistics.counting import validate
from bphcoffea.statistics.records import JsonObject
from bphcoffea.statistics.templates.collection import Collection, collect
from bphcoffea.statistics.templates.exports import template_workspace, write_template_datacard
from bphcoffea.statistics.templates.lint import Finding, lint
from bphcoffea.statistics.templates.model import TemplateModel
from bphcoffea.statistics.templates.preparation import NO_EVENTS, Prepared, Step, prepare
from bphcoffea.statistics.workspace import WORKSPACE_FILE
from bphcoffea.storage import make_folder, replacing

#: Files of a built model.
PREPARATION: Final = "preparation.json"
DATACARD: Final = "combine/datacard.txt"
#: Owner of the files in ``written.json``.
OWNER: Final = "template"


@dataclass(frozen=True)
class BuiltModel:
    """A template model made of runs.

    Attributes
    ----------
    fit
        The declaration.
    runs
        Paths of the runs.
    collection
        Templates of the runs.
    prepared
        The model, and the steps of its preparation.
    findings
        What is probably wrong with the templates.
    """

    fit: TemplateFit
    runs: tuple[Path, ...]
    collection: Collection
    prepared: Prepared
    findings: tuple[Finding, ...]

    @property
    def model(self) -> TemplateModel:
        """The prepared model."""
        return self.prepared.model

    def write(self, folder: Path) -> Path:
        """Write the model into a folder, all files or none, and return the folder.

        What was made of an earlier model in the folder, such as its fits, is removed.

        Raises
        ------
        UnwritableError
            If the disk is full or read-only, or permission is denied.
        """
        make_folder(folder)
        with replacing(folder, OWNER, also=_is_result, last=WORKSPACE_FILE) as temporary:
            self.write_files(temporary)
        return folder

    def write_into_run(self, run: RunFolder) -> Path:
        """Write the model into the folder of its run, so that a new run removes it; see `write`."""
        place = Path("templates") / self.fit.name
        folder = run.output / place
        with run.replacing(f"{OWNER} {self.fit.name}") as temporary:
            (temporary / place).mkdir(parents=True)
            self.write_files(temporary / place)
        with replacing(folder, OWNER, also=_is_result):
            pass  # only the results of an earlier model are removed
        return folder

    def write_files(self, folder: Path) -> None:
        """Write the files into an existing folder."""
        workspace = template_workspace(self.model)
        validate(workspace)
        card = folder / DATACARD
        card.parent.mkdir()
        write_template_datacard(self.model, card)
        write_json(folder / PREPARATION, self.record())
        (folder / WORKSPACE_FILE).write_text(json.dumps(workspace, indent=1) + "\n")

    def record(self) -> JsonObject:
        """Return the content of ``preparation.json``."""
        model = self.model
        affected: dict[str, list[list[str]]] = {name: [] for name in model.nuisances}
        for channel in model.channels:
            for sample in channel.samples:
                for name, effect in sample.effects.items():
                    parts = [p for p in ("factors", "shapes") if getattr(effect, p) is not None]
                    affected[name].append([channel.name, sample.name, *parts])
        return {
            "declaration": self.fit.model_dump(mode="json"),
            "runs": [str(path.absolute()) for path in self.runs],
            "blinded": model.blinded,
            "processes": {name: list(of) for name, of in self.collection.processes.items()},
            "signal": list(self.collection.signal),
            "unused": list(self.collection.unused),
            "channels": {
                channel.name: {
                    "region": channel.region,
                    "era": channel.era,
                    "variable": channel.label,
                    "edges": channel.edges.tolist(),
                    "hidden_bins": np.flatnonzero(channel.hidden).tolist(),
                }
                for channel in model.channels
            },
            "nuisances": affected,
            "steps": [_as_json(step) for step in self.prepared.steps],
            "findings": [finding.as_json() for finding in self.findings],
        }

    def yields(self) -> list[tuple[str, dict[str, tuple[float, float]], float | None]]:
        """Return the name of each channel, its expected events and their errors, and the data.

        The errors are statistical. The data are None if the expectation takes their place in a bin.
        """
        return [
            (
                channel.name,
                {
                    process: (
                        float(np.sum(template.nominal)),
                        float(np.sqrt(np.sum(template.variance))),
                    )
                    for process, template in channel.templates.items()
                },
                None if np.any(channel.hidden) else float(np.sum(channel.data)),
            )
            for channel in self.collection.channels
        ]


def build_model(
    fit: TemplateFit, runs: Sequence[RunFolder], *, unblind: bool = False
) -> BuiltModel:
    """Make a template model of runs; parameters and errors are those of :func:`collect`."""
    collection = collect(fit, runs, unblind=unblind)
    paths = tuple(run.path for run in runs)
    prepared = prepare(fit, collection)
    lost = (
        Finding("large", f"{step.done}; symmetrise, smooth or exclude it", *step.place)
        for step in prepared.steps
        if step.done == NO_EVENTS
    )
    return BuiltModel(fit, paths, collection, prepared, (*lint(fit, collection), *lost))


def findings_of(folder: Path) -> list[Finding]:
    """Return the findings that a built model has recorded.

    Raises
    ------
    FitError
        If the folder has no built model.
    """
    path = folder / PREPARATION
    if not path.is_file():
        raise FitError(f"{folder}: neither a run, nor a template model (it has no {PREPARATION})")
    content: Any = read_json(path, "record of a template model", FitError)
    return [Finding.from_json(finding) for finding in content["findings"]]


@dataclass(frozen=True)
class TemplateAxis:
    """Horizontal axis of a channel.

    Attributes
    ----------
    label
        Label of the variable with its unit, in mathtext.
    edges
        Edges of the bins, shape (bins + 1,).
    """

    label: str
    edges: tuple[float, ...]


def axes_of(folder: Path) -> dict[str, TemplateAxis]:
    """Return the axes of the channels of a built model; none of another folder."""
    path = folder / PREPARATION
    if not path.is_file():
        return {}
    content: Any = read_json(path, "record of a template model", FitError)
    return {
        name: TemplateAxis(channel["variable"], tuple(channel["edges"]))
        for name, channel in content["channels"].items()
    }


def _is_result(owner: str) -> bool:
    """Return whether an owner of files has made them of a model."""
    return owner.startswith(f"{OWNER}-")


def _as_json(step: Step) -> JsonObject:
    return {name: text for name, text in vars(step).items() if text}
