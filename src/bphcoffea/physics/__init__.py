"""Pure functions on arrays and numbers: constants, kinematics, matching, lifetimes, triggers."""

from bphcoffea.physics.generator import scale_envelope, scales_without_envelope
from bphcoffea.physics.kinematics import delta_r, invariant_mass
from bphcoffea.physics.matching import equal_pairs, first_match
from bphcoffea.physics.resolution import mass_resolution
from bphcoffea.physics.topology import pointing_angle, surroundings
from bphcoffea.physics.triggers import fired

__all__ = [
    "delta_r",
    "equal_pairs",
    "fired",
    "first_match",
    "invariant_mass",
    "mass_resolution",
    "pointing_angle",
    "scale_envelope",
    "scales_without_envelope",
    "surroundings",
]
