"""Model of a mass spectrum, which an analysis declares and a mass fit reads from the run."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: A mass or a width, GeV.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: Sides of a peak with a power-law tail.
Tails = Literal["low", "both"]


class Peak(BaseModel):
    """A resonance, described by a Crystal Ball function.

    Attributes
    ----------
    name
        Name of the peak; its yield is the parameter ``n_<name>``.
    label
        Label in figures, in mathtext.
    mass
        Initial value of the mean, GeV.
    width
        Initial value of the resolution, GeV.
    mass_window
        Largest distance of the mean from `mass`, GeV.
    process
        ``process`` in the metadata of the simulated datasets of this peak, which constrain its tail
        and give its efficiency; empty if there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str
    mass: Positive
    width: Positive
    mass_window: Positive = 0.02
    process: str = ""


class MassModel(BaseModel):
    """One or more Crystal Ball functions on an exponential background.

    Attributes
    ----------
    histogram
        Name of the mass histogram.
    peaks
        The resonances, which share the shape of the tail.
    range
        Fit range, GeV; None for the range of the histogram.
    tails
        ``low`` for a tail at low masses; ``both`` for double-sided functions. The difference
        between the two gives the uncertainty of the model.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    histogram: str
    peaks: tuple[Peak, ...]
    range: tuple[float, float] | None = None
    tails: Tails = "low"

    @property
    def alternative(self) -> MassModel:
        """The model with tails on both sides instead of one, or on one side instead of both."""
        return self.model_copy(update={"tails": "both" if self.tails == "low" else "low"})

    @model_validator(mode="after")
    def _consistent(self) -> MassModel:
        names = [peak.name for peak in self.peaks]
        if not names or len(set(names)) < len(names):
            raise ValueError("a mass model needs peaks with different names")
        if "background" in names:
            raise ValueError("no peak may be named 'background': n_background is what lies below")
        if self.range is not None:
            low, high = self.range
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise ValueError(
                    f"the range {low:g} to {high:g} GeV is empty: "
                    "give its lower end first, then a higher one"
                )
            outside = [f"'{peak.name}'" for peak in self.peaks if not low < peak.mass < high]
            if outside:
                raise ValueError(
                    f"the mass of {', '.join(outside)} lies outside the range "
                    f"{low:g} to {high:g} GeV"
                )
        return self
