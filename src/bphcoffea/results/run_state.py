"""Words on the state of a run: whether it is partial, and which data it hides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bphcoffea.physics import in_words
from bphcoffea.results.folder import RunFolder


def processed_share(ledger: Mapping[str, Any]) -> str:
    """Return which share of the events of its datasets a run was asked to process, in words.

    Parameters
    ----------
    ledger
        Content of ``ledger.json``.
    """
    counts = ledger["datasets"].values()
    lengths = [count["dataset_events"] for count in counts]
    if None in lengths or not sum(lengths):
        return "an unknown part of the events"
    share = sum(count["expected_events"] for count in counts) / sum(lengths)
    return f"{share:.3%} of the events" if share < 0.01 else f"{share:.1%} of the events"


def blinding_in_words(run: RunFolder) -> str:
    """Return whether a run with data is blind, and in which windows; empty if nothing is blind."""
    blind = run.analysis.blind
    if blind is None or all(metadata.is_mc for metadata in run.fileset_metadata.values()):
        return ""
    if not run.hidden:
        return f"NOT BLIND: the results include data at all values of {blind.variable}"
    windows = in_words(run.hidden, blind.unit)
    if blind.by_category:
        by_category = blind.by_category.items()
        parts = (f"{in_words(hidden)} ({category})" for category, hidden in by_category)
        windows = f"{', '.join(parts)} {blind.unit}"
    masses = f" (masses {', '.join(f'{m:g}' for m in blind.masses)})" if blind.masses else ""
    return f"BLIND: data with {blind.variable} in {windows} are left out of the results{masses}"
