"""Loading the analysis that a command line names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bphcoffea.cli.terminal import say

if TYPE_CHECKING:
    from bphcoffea.analysis import Analysis


def load_named(name: str) -> Analysis:
    """Load an analysis by name or path, and print which file it comes from.

    Raises
    ------
    InputError
        If there is no such analysis, or its declaration is wrong.
    """
    from bphcoffea.execution.loading import lines_about, load_analysis

    for line in lines_about(name):
        say(line)
    return load_analysis(name)
