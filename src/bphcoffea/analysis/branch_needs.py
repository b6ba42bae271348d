"""Branches that an analysis needs, including those that some files of a dataset may lack."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BranchNeeds:
    """Branches that an analysis reads from the files of a dataset.

    Files of one dataset may differ: a NanoAOD file has branches only for the trigger paths in its
    own menu, and some files lack the scale weights. Files without entries need no branches.

    Attributes
    ----------
    required
        Branches that every file must have.
    in_some_file
        Branches that at least one file must have. A trigger path counts as not fired in files
        without it.
    in_all_or_none
        Branches that all files must have or none, such as the generator weight: otherwise results
        of two files would not add up.
    optional
        Branches of weights that are 1 in files without them.
    """

    required: tuple[str, ...] = ()
    in_some_file: tuple[str, ...] = ()
    in_all_or_none: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def looked_for(self) -> tuple[str, ...]:
        """The branches that a file may lack."""
        return (*self.in_some_file, *self.in_all_or_none, *self.optional)
