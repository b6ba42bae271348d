"""Fits of masses, counting experiments, limits and datacards, for any analysis."""
