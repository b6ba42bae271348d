"""Types of a HistFactory workspace: pyhf's JSON, of which this package writes and reads a part."""

# a line per type reads better than a class
# ruff: noqa: UP013
from __future__ import annotations

from typing import Final, Literal, NotRequired, TypeAlias, TypedDict

#: Name of the file of a workspace in a folder.
WORKSPACE_FILE: Final = "workspace.json"
#: The signal strength, the parameter of interest.
STRENGTH: Final = "mu"
#: Names of the measurement of a workspace; HistFactory's JSON has no other place for blinding.
OBSERVED, BLINDED = "observed", "blinded"


#: Factors of a yield one standard deviation up and down.
Factors = TypedDict("Factors", {"hi": float, "lo": float})
#: Contents of all bins one standard deviation up and down.
Templates = TypedDict("Templates", {"hi_data": list[float], "lo_data": list[float]})
#: Modifier that multiplies a sample by a free parameter.
NormFactor = TypedDict("NormFactor", {"name": str, "type": Literal["normfactor"], "data": None})
#: Modifier that multiplies a sample by a constrained factor.
NormSys = TypedDict("NormSys", {"name": str, "type": Literal["normsys"], "data": Factors})
#: Modifier that moves the bins of a sample between two templates.
HistoSys = TypedDict("HistoSys", {"name": str, "type": Literal["histosys"], "data": Templates})
#: Modifier that multiplies each bin by a free parameter.
ShapeFactor = TypedDict("ShapeFactor", {"name": str, "type": Literal["shapefactor"], "data": None})
#: Modifier that multiplies a sample by the luminosity, whose uncertainty the measurement states.
Lumi = TypedDict("Lumi", {"name": str, "type": Literal["lumi"], "data": None})
#: Modifier that multiplies each bin by a factor with a Poisson constraint; absolute uncertainties.
ShapeSys = TypedDict("ShapeSys", {"name": str, "type": Literal["shapesys"], "data": list[float]})
#: The same with a Gaussian constraint, for the sum of all samples of a channel that have it.
StatError = TypedDict("StatError", {"name": str, "type": Literal["staterror"], "data": list[float]})
Modifier: TypeAlias = NormFactor | NormSys | HistoSys | ShapeFactor | Lumi | ShapeSys | StatError


class ParameterSpec(TypedDict):
    """Settings of a parameter; lists have one entry per bin for parameters of bins."""

    name: str
    inits: NotRequired[list[float]]
    bounds: NotRequired[list[list[float]]]
    auxdata: NotRequired[list[float]]
    sigmas: NotRequired[list[float]]
    fixed: NotRequired[bool]


#: Observed events in the bins of a channel.
Observation = TypedDict("Observation", {"name": str, "data": list[float]})
#: Expected events of one process in the bins of a channel.
SampleSpec = TypedDict(
    "SampleSpec", {"name": str, "data": list[float], "modifiers": list[Modifier]}
)
#: Processes of one channel.
ChannelSpec = TypedDict("ChannelSpec", {"name": str, "samples": list[SampleSpec]})
#: Parameter of interest, and settings of other parameters.
Config = TypedDict("Config", {"poi": str, "parameters": list[ParameterSpec]})
Measurement = TypedDict("Measurement", {"name": str, "config": Config})


class Workspace(TypedDict):
    """A HistFactory workspace with one measurement."""

    channels: list[ChannelSpec]
    observations: list[Observation]
    measurements: list[Measurement]
    version: str


def is_blinded(spec: Workspace) -> bool:
    """Return whether a workspace holds expectations in place of observed counts."""
    return spec["measurements"][0]["name"] == BLINDED


def has_spectra(spec: Workspace) -> bool:
    """Return whether a channel of a workspace has more than one bin."""
    return any(len(observation["data"]) > 1 for observation in spec["observations"])
