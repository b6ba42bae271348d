"""Types of a HistFactory workspace: pyhf's JSON, of which this package writes and reads a part."""

from __future__ import annotations

from typing import Final, Literal, TypedDict

#: The signal strength, the parameter of interest.
STRENGTH: Final = "mu"
#: Names of the measurement of a workspace; HistFactory's JSON has no other place for blinding.
OBSERVED, BLINDED = "observed", "blinded"


class Factors(TypedDict):
    """Factors of a yield one standard deviation up and down."""

    hi: float
    lo: float


class Templates(TypedDict):
    """Contents of all bins one standard deviation up and down."""

    hi_data: list[float]
    lo_data: list[float]


class NormFactor(TypedDict):
    """Modifier that multiplies a sample by a free parameter."""

    name: str
    type: Literal["normfactor"]
    data: None


class NormSys(TypedDict):
    """Modifier that multiplies a sample by a constrained factor."""

    name: str
    type: Literal["normsys"]
    data: Factors


class HistoSys(TypedDict):
    """Modifier that moves the bins of a sample between two templates."""

    name: str
    type: Literal["histosys"]
    data: Templates


Modifier = NormFactor | NormSys | HistoSys


class SampleSpec(TypedDict):
    """Expected events of one process in the bins of a channel."""

    name: str
    data: list[float]
    modifiers: list[Modifier]


class ChannelSpec(TypedDict):
    """Processes of one channel."""

    name: str
    samples: list[SampleSpec]


class Observation(TypedDict):
    """Observed events in the bins of a channel."""

    name: str
    data: list[float]


class ParameterSpec(TypedDict):
    """Start value and limits of a parameter."""

    name: str
    inits: list[float]
    bounds: list[list[float]]


class MeasurementConfig(TypedDict):
    """Parameter of interest, and settings of other parameters."""

    poi: str
    parameters: list[ParameterSpec]


class Measurement(TypedDict):
    """Name and parameters of a measurement."""

    name: str
    config: MeasurementConfig


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
