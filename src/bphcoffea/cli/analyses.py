"""The analysis that a command is given by its name or path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bphcoffea.cli.terminal import say

if TYPE_CHECKING:
    from bphcoffea.analysis import Analysis


def load_named(name: str) -> Analysis:
    """Load an analysis, and say which file that is.

    Raises
    ------
    InputError
        When there is no such analysis, or it declares something wrong.
    """
    from bphcoffea.execution.loading import load_analysis, source_notes

    for line in source_notes(name):
        say(line)
    return load_analysis(name)
