"""What a mass fit fits: declared by an analysis, kept in the run's folder, read by the fit."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: A mass or a width, GeV.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
#: On which sides of a peak its power-law tails are.
Tails = Literal["low", "both"]


class Peak(BaseModel):
    """A resonance, drawn as a Crystal Ball.

    Attributes
    ----------
    name
        Identifier: its yield is the parameter ``n_<name>``.
    label
        What figures show, in mathtext.
    mass
        Where the mean starts, GeV.
    width
        Where the resolution starts, GeV.
    mass_window
        How far the mean may move from ``mass``, GeV.
    process
        ``process`` in the metadata of the simulated datasets of this peak, which constrain the tail
        and tell the efficiency when a run has them; empty when there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str
    mass: Positive
    width: Positive
    mass_window: Positive = 0.02
    process: str = ""


class MassModel(BaseModel):
    """One or more Crystal Balls on an exponential.

    Attributes
    ----------
    histogram
        Name of the mass histogram.
    peaks
        The resonances; they share the shape of the tail.
    range
        Where it is fitted, GeV; the range of the histogram when not given.
    tails
        ``low`` for Crystal Balls, whose tail reaches to low masses; ``both`` for double-sided ones.
        The other one is the alternative, from which the uncertainty of the model is taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    histogram: str
    peaks: tuple[Peak, ...]
    range: tuple[float, float] | None = None
    tails: Tails = "low"

    @property
    def alternative(self) -> MassModel:
        """The same with tails on both sides instead of one, or the other way round."""
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
