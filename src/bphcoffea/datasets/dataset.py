"""One dataset of a fileset: its files and its metadata."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bphcoffea.datasets.metadata import Metadata, Name

NonNegative = Annotated[int, Field(ge=0)]
#: Keys that coffea's preprocessing adds to a dataset and that are not needed here.
_IGNORED = {"format", "form", "compressed_form", "did"}


class FileEntry(BaseModel):
    """One file of a dataset.

    Attributes
    ----------
    object_path
        Path of the tree in the file.
    num_entries
        Number of entries of the tree; None if not known.
    uuid
        UUID of the ROOT file; None if not known.
    checksum
        Checksum of the content, such as ``adler32:0123abcd``; None if not known.
    replicas
        Paths or URLs of copies of the file.
    steps
        Ranges of entries, [start, stop), that belong to the dataset; None for all entries.
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    object_path: Name
    num_entries: NonNegative | None = None
    uuid: str | None = None
    checksum: Annotated[str, Field(pattern="^adler32:[0-9a-f]{8}$")] | None = None
    replicas: tuple[str, ...] = ()
    steps: tuple[tuple[NonNegative, NonNegative], ...] | None = None

    @model_validator(mode="after")
    def _check_steps(self) -> FileEntry:
        edges = [edge for step in self.steps or () for edge in step]
        if edges != sorted(edges):
            raise ValueError("steps must ascend and not overlap")
        return self


def _file_entry(value: object) -> object:
    return {"object_path": value} if isinstance(value, str) else value


class Dataset(BaseModel):
    """Files, by path or URL, and metadata of a dataset."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    files: Annotated[
        dict[Name, Annotated[FileEntry, BeforeValidator(_file_entry)]], Field(min_length=1)
    ]
    metadata: Metadata

    @model_validator(mode="before")
    @classmethod
    def _from_list_of_files(cls, content: object) -> object:
        if not isinstance(content, Mapping):
            return content
        content = {key: value for key, value in content.items() if key not in _IGNORED}
        paths = content.get("files")
        if isinstance(paths, list):
            tree = content.pop("treename", None)
            if tree is None:
                raise ValueError("files are a list, so 'treename' must name their tree")
            odd = [path for path in paths if not isinstance(path, str)]
            if odd:
                raise ValueError(f"the list of files holds {odd[0]!r}, which is not a path")
            repeated = [path for path, times in Counter(paths).items() if times > 1]
            if repeated:
                raise ValueError(f"'{repeated[0]}' is listed twice")
            content["files"] = dict.fromkeys(paths, tree)
        return content
