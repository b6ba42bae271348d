"""Schema for analyses whose files may have one of several formats."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import uproot
from coffea.nanoevents import BaseSchema

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.columns import Form


def _first(
    formats: Iterable[type[BaseSchema]], branches: Collection[str]
) -> type[BaseSchema] | None:
    """Return the first schema that knows the format of a file; None if there is none."""
    return next((schema for schema in formats if schema.reads(branches)), None)


@dataclass(unsafe_hash=True)
class BranchesOfFormat:
    """Function that tells whether the schema of a file's format looks at a branch.

    Attributes
    ----------
    formats
        The schemas.
    """

    formats: tuple[type[BaseSchema], ...]
    #: Tree that was asked for last, and the test of its branches' names.
    _last: tuple[object, Callable[[str], bool]] | None = field(
        default=None, compare=False, repr=False
    )

    def __call__(self, branch: Any) -> bool:
        """Return whether to look at one of uproot's branches; an RNTuple's are all looked at."""
        if not isinstance(branch, uproot.TBranch):
            return True
        tree, last = branch.tree, self._last
        if last is None or last[0] is not tree:
            branches = tree.keys(recursive=True, full_paths=False)
            schema = _first(self.formats, branches)
            pattern = None if schema is None else getattr(schema, "filter_name", None)
            test = uproot._util.regularize_filter(pattern)
            last = self._last = (tree, test)
        return last[1](branch.name)

    def __getstate__(self) -> dict[str, object]:
        # a tree cannot be sent to a worker
        return {**vars(self), "_last": None}


class AnyFormat(BaseSchema):  # type: ignore[misc]
    """Base class of schemas that read each file with the first of several that knows its format.

    A schema knows the format if its class method ``reads(branches)`` returns true.
    """

    #: The branches that the schema of a file's format looks at.
    filter_branch: ClassVar[BranchesOfFormat]
    formats: ClassVar[tuple[type[BaseSchema], ...]] = ()

    def __new__(cls, base_form: Form, *args: object, **kwargs: object) -> BaseSchema:
        """Return the schema of the file with these branches."""
        schema = _first(cls.formats, base_form["fields"])
        if schema is not None:
            return schema(base_form, *args, **kwargs)
        names = ", ".join(schema.__name__ for schema in cls.formats)
        raise FilesetError(f"the tree has none of the formats of the analysis: {names}")


def any_format(*schemas: type[BaseSchema]) -> type[AnyFormat]:
    """Return a schema that reads each file with the one of several schemas that knows its format.

    The formats must give the collections that the analysis uses under the same names; all of the
    project's give GeV, cm and radians. Each dataset has files of one format.

    Parameters
    ----------
    schemas
        Schemas of this package, the most specific first.

    Examples
    --------
    >>> from bphcoffea.inputs import FCCSchema, ReducedNanoAODSchema
    >>> any_format(FCCSchema, ReducedNanoAODSchema).__name__
    'FCCSchemaOrReducedNanoAODSchema'
    """
    name = "Or".join(schema.__name__ for schema in schemas)
    contents = {"formats": schemas, "filter_branch": BranchesOfFormat(schemas)}
    return type(name, (AnyFormat,), {**contents, "__module__": __name__})
