"""Pure functions on arrays and numbers: constants, kinematics, matching, triggers."""
