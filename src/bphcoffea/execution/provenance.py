"""Provenance of a run: code, versions, input and options."""

from __future__ import annotations

import hashlib
import inspect
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bphcoffea.analysis import Analysis
from bphcoffea.datasets import Dataset, Fileset
from bphcoffea.execution.loading import SOURCE_SHA256, SOURCES
from bphcoffea.redaction import redacted
from bphcoffea.versions import versions


def provenance(
    analysis: Analysis, fileset: Fileset, options: Mapping[str, object]
) -> dict[str, object]:
    """Return the content of ``provenance.json``, except the times of the run.

    Parameters
    ----------
    analysis, fileset
        Analysis that was run, and its input.
    options
        Options of the run, by name.
    """
    source = _source(analysis)
    module = sys.modules.get(type(analysis).__module__)
    return {
        "command": sys.argv,
        "analysis": {
            "name": analysis.name(),
            "file": str(source) if source else None,
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest() if source else None,
            "with_imported_sha256": getattr(module, SOURCE_SHA256, None),
            "class": type(analysis).__name__,
            "sources": getattr(module, SOURCES, {}),
            "git_commit": _git_commit(source.parent) if source else None,
        },
        "fileset_sha256": fileset.sha256(),
        "trees": {name: _trees(dataset) for name, dataset in fileset.root.items()},
        "datasets": {
            name: dataset.metadata.model_dump(mode="json", exclude_none=True)
            for name, dataset in fileset.root.items()
        },
        "corrections": [corrections.describe() for corrections in analysis.era_corrections],
        "classifier": analysis.classifier.describe().model_dump(mode="json")
        if analysis.classifier
        else None,
        "options": options,
        "python": platform.python_version(),
        "packages": versions(),
    }


def _trees(dataset: Dataset) -> str | dict[str, str]:
    """Return the path of the tree in the files of a dataset, or in each file if they differ."""
    trees = {redacted(file): entry.object_path for file, entry in dataset.files.items()}
    return next(iter(trees.values())) if len(set(trees.values())) == 1 else trees


def _source(analysis: Analysis) -> Path | None:
    """Return the file of an analysis; None if a notebook defines it, or its file is gone."""
    try:
        path = Path(inspect.getfile(type(analysis)))
    except (OSError, TypeError):
        return None
    return path if path.is_file() else None


def _git_commit(folder: Path) -> str | None:
    """Return the commit of a git checkout, with ``-dirty`` if it was changed; None if unknown."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"],  # noqa: S607
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return described.stdout.strip() or None
