"""A fileset of ROOT files alone, for a first look: what a fileset would say is found in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

import awkward as ak
import uproot
from coffea.nanoevents.schemas.base import BaseSchema

from bphcoffea.datasets.build import build_fileset
from bphcoffea.datasets.dataset import UNKNOWN_ERA, Dataset
from bphcoffea.datasets.file_check import explain
from bphcoffea.datasets.fileset import Fileset, path_fault
from bphcoffea.errors import FilesetError
from bphcoffea.local_files import regular

_TREES: Final = ("TTree", "ROOT::RNTuple")
#: Events in which generated objects are looked for.
_LOOKED_AT: Final = 100


def fileset_of_files(
    paths: Sequence[str], schema: type[BaseSchema], era: str = UNKNOWN_ERA
) -> Fileset:
    """Return a fileset of ROOT files, a dataset for each file.

    The tree is the one whose format the schema reads. A file with generated events is simulation.

    Parameters
    ----------
    paths
        Paths or URLs of the files.
    schema
        Schema of the analysis.
    era
        Era of all files.

    Raises
    ------
    FilesetError
        If a file cannot be read, has no tree of the format or several, or is named twice.
    """
    FilesetError.raise_for(fault for path in paths if (fault := path_fault(path)))
    stems = [PurePosixPath(path.partition("?")[0]).stem for path in paths]
    FilesetError.raise_for(
        f"{stem}.root: {times} files of this name; write a fileset, with a name for each"
        for stem, times in Counter(stems).items()
        if times > 1
    )
    datasets: dict[str, Dataset] = {}
    for stem, path in zip(stems, paths, strict=True):
        tree, simulated = _looked_into(path, schema)
        metadata = {"is_mc": simulated, "era": era}
        datasets |= build_fileset(stem, [path], tree, metadata).root
    return Fileset(datasets)


def _looked_into(path: str, schema: type[BaseSchema]) -> tuple[str, bool]:
    """Return the path of the tree of a file, and whether it holds generated events."""
    formats = getattr(schema, "formats", ()) or (schema,)
    try:
        with uproot.open({regular(path): None}) as file:
            known = file.keys(filter_classname=list(_TREES), cycle=False)
            trees = [
                tree
                for tree in dict.fromkeys(known)
                if any(
                    not hasattr(format_, "reads") or format_.reads(file[tree].keys())
                    for format_ in formats
                )
            ]
            if len(trees) == 1:
                return trees[0], _is_simulated(file[trees[0]], formats)
    except (OSError, ValueError) as error:
        raise FilesetError(f"{path}: cannot be read: {explain(error, path)}") from None
    if trees:
        raise FilesetError(f"{path}: has several such trees: {', '.join(trees)}; write a fileset")
    names = ", ".join(format_.__name__ for format_ in formats)
    raise FilesetError(
        f"{path}: no tree is of the format of the analysis ({names}); "
        f"its trees: {', '.join(known) or 'none'}"
    )


def _is_simulated(tree: uproot.TTree, formats: Sequence[type[BaseSchema]]) -> bool:
    """Return whether a tree has generated events; one of a format without data always has."""
    branches = set(tree.keys())
    for format_ in formats:
        if hasattr(format_, "reads") and format_.reads(branches):
            generated = getattr(format_, "generated", None)
            found = branches.intersection(generated or ())
            return generated is None or any(_filled(tree[branch]) for branch in found)
    return "genWeight" in branches


def _filled(branch: uproot.TBranch) -> bool:
    values = branch.array(entry_stop=_LOOKED_AT)
    return values.ndim == 1 or bool(ak.any(ak.num(values) > 0))
