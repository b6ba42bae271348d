"""What a run leaves behind: its folder, ledger, cutflow and normalisation."""

from bphcoffea.results.folder import RunFolder

__all__ = ["RunFolder"]
