"""Reading filesets from JSON, and explaining what is wrong with them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from bphcoffea.datasets.dataset import Dataset
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.documents import faults, read_json
from bphcoffea.errors import FilesetError

#: Messages for faults that pydantic finds, where its own are unclear.
_MEANINGS: Final = {
    "extra_forbidden": "is not known here",
    "dict_type": "expected an object",
    "model_type": "expected an object",
    "tuple_type": "expected a list",
    "string_pattern_mismatch": "expected a checksum such as adler32:0123abcd",
}


def load_fileset(path: str | Path) -> Fileset:
    """Read a fileset; relative paths of files are relative to the folder of the fileset.

    Parameters
    ----------
    path
        JSON file ``{dataset: {"files": {path: tree}, "metadata": {…}}}``, plain or compressed with
        gzip. A file may have ``{"object_path": tree, "num_entries": …, "uuid": …, "replicas":
        [path, …]}`` in place of the name of its tree; coffea's older ``{"treename": tree,
        "files": [path, …]}`` is read as well.

    Raises
    ------
    FilesetError
        If the file cannot be read, is not JSON, or is not a fileset: one line per fault.
    """
    content = read_json(path, error=FilesetError, pipe=True)
    if not isinstance(content, dict):
        raise FilesetError(f"{path}: expected an object, {{dataset: {{files, metadata}}}}")
    if not content:
        raise FilesetError(f"{path}: the fileset is empty; it needs at least one dataset")
    return fileset_of(content, path)


def fileset_of(content: object, path: str | Path) -> Fileset:
    """Return the fileset of the content of a JSON file; raise FilesetError, one line per fault."""
    try:
        return Fileset.model_validate(content).resolved(Path(path).absolute().parent)
    except ValidationError as error:
        lines = dataset_faults(error)
    except FilesetError as error:
        lines = str(error).splitlines()
    raise FilesetError("\n".join(f"{path}: {line}" for line in lines))


def load_filesets(paths: Iterable[str | Path]) -> Fileset:
    """Read several filesets into one.

    Raises
    ------
    FilesetError
        If one cannot be read, see :func:`load_fileset`, or two have a dataset of the same name.
    """
    datasets: dict[str, Dataset] = {}
    sources: dict[str, str | Path] = {}
    for path in paths:
        fileset = load_fileset(path)
        FilesetError.raise_for(
            f"dataset '{name}': is in {sources[name]} and {path}"
            for name in fileset.names
            if name in datasets
        )
        datasets |= fileset.root
        sources |= dict.fromkeys(fileset.names, path)
    return Fileset(datasets)


def dataset_faults(error: ValidationError, dataset: str | None = None) -> list[str]:
    """Return one line per fault that pydantic found in a fileset, or in one named dataset."""
    lines = []
    for place, text, _ in faults(error, _MEANINGS):
        name, *inner = place if dataset is None else (dataset, *place)
        where = f"dataset '{name}'" + (f", {'.'.join(inner)}" if inner else "")
        # names may contain line breaks
        lines.append(" ".join(f"{where}: {text}".split()))
    return lines
