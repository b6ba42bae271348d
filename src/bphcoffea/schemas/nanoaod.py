"""NanoAOD, whole or reduced to a few collections."""

import warnings
from typing import Any, ClassVar

from coffea.nanoevents import NanoAODSchema


class ReducedNanoAODSchema(NanoAODSchema):  # type: ignore[misc]
    """NanoAOD of which some branches were dropped, such as CMS's reduced open-data files.

    As coffea's own schema, but a file without event numbers, or with indices to collections that it
    does not hold, is read without complaint.
    """

    warn_missing_crossrefs: ClassVar[bool] = False
    event_ids: ClassVar[list[str]] = []

    def __init__(self, base_form: Any, *args: Any, **kwargs: Any) -> None:
        with warnings.catch_warnings():
            # photons and missing energy are massless by definition, whatever a file says
            warnings.filterwarnings("ignore", r"Branch \w+ already exists", RuntimeWarning)
            super().__init__(base_form, *args, **kwargs)
