"""Functions that a mass model is made of, for the command line, which starts without pydantic."""

from typing import Literal

#: Functions that describe a peak. A Crystal Ball has a tail at low masses, or on both sides if it
#: is double-sided.
PeakShape = Literal["crystal_ball", "double_crystal_ball", "gaussian", "voigtian"]
#: Functions that describe the background; the digit is the degree of a Bernstein polynomial.
BackgroundShape = Literal["exponential", "bernstein1", "bernstein2", "bernstein3", "bernstein4"]
