"""Schema for analyses whose files may have one of several formats."""

from __future__ import annotations

from typing import ClassVar

from coffea.nanoevents import BaseSchema

from bphcoffea.errors import FilesetError
from bphcoffea.inputs.columns import Form


class AnyFormat(BaseSchema):  # type: ignore[misc]
    """Base class of schemas that read each file with the first of several that knows its format.

    A schema knows the format if its class method ``reads(branches)`` returns true.
    """

    formats: ClassVar[tuple[type[BaseSchema], ...]] = ()

    def __new__(cls, base_form: Form, *args: object, **kwargs: object) -> BaseSchema:
        """Return the schema of the file with these branches."""
        for schema in cls.formats:
            if schema.reads(base_form["fields"]):
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
    return type(name, (AnyFormat,), {"formats": schemas, "__module__": __name__})
