"""Calibrations: corrected energies and momenta, and their uncertainties."""
