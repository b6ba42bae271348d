"""Columnar Coffea analyses of rare flavour decays, from a fileset JSON to a fitted yield."""

__version__ = "0.1.0"
