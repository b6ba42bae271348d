"""Executors that process chunks: in this process, in several, or on a Dask cluster."""

from bphcoffea.execution.executors.engines import engine

__all__ = ["engine"]
