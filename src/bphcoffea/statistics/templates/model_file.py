"""Template models from a TOML file, or from the analysis of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import ValidationError

from bphcoffea.analysis import TemplateFit as TemplateFit
from bphcoffea.documents import faults, read_toml
from bphcoffea.errors import FitError, alternatives
from bphcoffea.results import RunFolder

#: Key of the run folders in a model file.
RUNS: Final = "runs"
#: Messages that are clearer than those of pydantic, by the type of the fault.
_MEANINGS: Final = {
    "extra_forbidden": "unknown key",
    "string_type": "expected text in quotes",
    "tuple_type": "expected a list, in [ ]",
    "model_type": "expected a table",
}


def load_model_file(path: Path) -> tuple[TemplateFit, list[RunFolder]]:
    """Return the declaration of a model file, and its runs.

    Parameters
    ----------
    path
        TOML with the fields of :class:`TemplateFit` as keys, and ``runs``: folders relative to the
        file.

    Raises
    ------
    FitError
        If the file is not a valid model: one line per fault.
    RunError
        If a folder has no finished run.
    """
    content = read_toml(path, "model file", FitError)
    runs = content.pop(RUNS, None)
    folders = [runs] if isinstance(runs, str) else runs
    if not (isinstance(folders, list) and folders and all(isinstance(f, str) for f in folders)):
        raise FitError(f'{path}: runs: must list the folders of runs, such as runs = ["results"]')
    try:
        fit = TemplateFit.model_validate({"name": path.stem, **content})
    except ValidationError as error:
        raise FitError(
            "\n".join(
                ": ".join((str(path), *([".".join(place)] if place else []), text))
                for place, text, _ in faults(error, _MEANINGS)
            )
        ) from None
    return fit, [RunFolder(path.parent / folder) for folder in folders]


def declared_model(run: RunFolder, name: str | None = None) -> TemplateFit:
    """Return a template fit that the analysis of a run declares.

    Parameters
    ----------
    run
        The run.
    name
        Name of the measurement; not needed if there is one only.

    Raises
    ------
    FitError
        If there is none, or none of this name.
    """
    analysis = run.analysis
    names = [fit.name for fit in analysis.measurements]
    if not names:
        raise FitError(
            f"{run.path}: the analysis '{analysis.name}' declares no template fit; give the TOML "
            "of a model"
        )
    if name is None and len(names) > 1:
        raise FitError(f"{run.path}: choose one of the template fits {', '.join(names)}")
    if name is not None and name not in names:
        raise FitError(f"{run.path}: no template fit '{name}'{alternatives(name, names)}")
    return analysis.measurements[0 if name is None else names.index(name)]
