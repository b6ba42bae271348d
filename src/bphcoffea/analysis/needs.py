"""What an analysis needs of the files of a dataset, beside the branches that each must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Key of a chunk's metadata: the branches of :attr:`BranchNeeds.looked_for` that some file of its
#: dataset has.
HELD: Final = "held"


@dataclass(frozen=True)
class BranchNeeds:
    """Branches that an analysis reads of a dataset.

    Files of one dataset may differ: NanoAOD has branches only of the trigger paths of a file's own
    menu, and not all have the weights of other scales. Files without entries need no branches.

    Attributes
    ----------
    required
        Every file must have them.
    in_some_file
        Each must be in some file, such as trigger paths, which have not fired where there is none.
    in_all_or_none
        Numbers without which results of two files would not mean the same, such as the generator's
        weight.
    optional
        Weights that are 1 in a file without them.
    """

    required: tuple[str, ...] = ()
    in_some_file: tuple[str, ...] = ()
    in_all_or_none: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def looked_for(self) -> tuple[str, ...]:
        """The branches that a file may lack."""
        return (*self.in_some_file, *self.in_all_or_none, *self.optional)
