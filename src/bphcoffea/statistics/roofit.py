"""Objects of RooFit, made in a workspace.

ROOT is imported when a model is written; only Linux has it as a package.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError

#: Name of a workspace.
WORKSPACE: Final = "w"
#: Range of constrained parameters, in standard deviations.
SIGMAS: Final = 5.0


class RooFitObjects:
    """Makes the objects of a workspace.

    Parameters
    ----------
    workspace
        A `RooWorkspace`.
    """

    def __init__(self, workspace: Any) -> None:
        self.workspace = workspace

    def make(self, text: str) -> None:
        """Make an object as RooFit's factory language describes it."""
        if not self.workspace.factory(text):
            raise RuntimeError(f"RooFit does not make {text}")

    def add_data(self, mass: str, name: str, edges: Sequence[float], counts: Floats) -> None:
        """Add counts as `RooDataHist`, and give a mass their bins."""
        root, at = load_root(), np.array(edges, dtype=np.float64)
        variable = self.workspace.var(mass)
        variable.setBinning(root.RooBinning(len(counts), at))
        histogram = root.TH1D(name, "", len(counts), at)
        histogram.SetDirectory(root.nullptr)
        for index, count in enumerate(counts):
            histogram.SetBinContent(index + 1, float(count))
        data = root.RooDataHist(name, "", root.RooArgList(variable), histogram)
        # `import` is a word of Python
        getattr(self.workspace, "import")(data)


def digits(number: float) -> str:
    """Return all digits of a number, with a decimal point."""
    return repr(float(number))


def identifier(name: str) -> str:
    """Return a name that RooFit and datacards accept."""
    text = re.sub(r"\W", "_", name)
    return f"c_{text}" if text[0].isdigit() else text


@contextmanager
def quiet(root: Any) -> Iterator[None]:
    """Silence the messages of RooFit about each object."""
    service = root.RooMsgService.instance()
    before = service.globalKillBelow()
    service.setGlobalKillBelow(root.RooFit.WARNING)
    try:
        yield
    finally:
        service.setGlobalKillBelow(before)


def load_root() -> Any:
    """Return the module ROOT.

    Raises
    ------
    FitError
        If ROOT is not installed.
    """
    try:
        with warnings.catch_warnings():
            # the package warns that it is a pre-release
            warnings.simplefilter("ignore")
            return import_module("ROOT")
    except ModuleNotFoundError as error:
        if error.name != "ROOT":
            raise
        raise FitError(
            "ROOT is not installed, which writes parametric models; install it (on Linux) with: "
            "pip install 'bphcoffea[root]'"
        ) from None
