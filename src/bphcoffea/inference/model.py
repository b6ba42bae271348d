"""What a mass fit fits: declared by an analysis, kept in the run's folder, read by the fit."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator


class Peak(BaseModel):
    """A resonance, drawn as a Crystal Ball whose tail reaches to low masses.

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
        ``process`` in the metadata of the simulated datasets of this peak, from which the tail is
        taken when a run has them; empty when there are none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    label: str
    mass: float
    width: float
    mass_window: float = 0.02
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
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    histogram: str
    peaks: tuple[Peak, ...]
    range: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> MassModel:
        names = [peak.name for peak in self.peaks]
        if not names or len(set(names)) < len(names):
            raise ValueError("a mass model needs peaks with different names")
        if "background" in names:
            raise ValueError("no peak may be named 'background': n_background is what lies below")
        return self
