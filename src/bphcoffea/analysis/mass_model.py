"""Model of a mass spectrum, which an analysis declares and a mass fit reads from the run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bphcoffea.analysis.mass_functions import BackgroundShape, PeakShape

#: A mass or a width, GeV.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Peak(BaseModel):
    """A resonance.

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
    natural_width
        Full natural width to which a Voigtian is fixed, GeV; 0 to fit it.
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
    natural_width: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    process: str = ""


class MassModel(BaseModel):
    """One or more peaks on a smooth background.

    Attributes
    ----------
    histogram
        Name of the mass histogram.
    peaks
        The resonances, which share the shape of the tails.
    range
        Fit range, GeV; None for the range of the histogram.
    shape
        Function of each peak: a Crystal Ball, which is Gaussian with a power-law tail at low
        masses or on both sides, a Gaussian, or a Voigtian, which is a Breit-Wigner function
        smeared by the resolution.
    background
        ``exponential``, or a positive polynomial (a Bernstein polynomial of degree 1 to 4).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    histogram: str
    peaks: tuple[Peak, ...]
    range: tuple[float, float] | None = None
    shape: PeakShape = "crystal_ball"
    background: BackgroundShape = "exponential"

    @property
    def alternative(self) -> MassModel:
        """The model with another shape, of which the difference is an uncertainty.

        It is the Crystal Ball with one tail or, if that is the model, with two.
        """
        other = "double_crystal_ball" if self.shape == "crystal_ball" else "crystal_ball"
        return self.model_copy(update={"shape": other})

    @model_validator(mode="before")
    @classmethod
    def _without_tails(cls, content: Any) -> Any:
        """Read the key ``tails`` of older runs and analyses, which only had Crystal Balls."""
        if not isinstance(content, Mapping) or "tails" not in content:
            return content
        tails = content["tails"]
        shape = {"low": "crystal_ball", "both": "double_crystal_ball"}.get(tails, tails)
        return {**{key: content[key] for key in content if key != "tails"}, "shape": shape}

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
