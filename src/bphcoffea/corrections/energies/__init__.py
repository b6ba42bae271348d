"""Energies and momenta: sections of the TOML, and their payloads."""
