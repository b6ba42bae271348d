"""Filters of NanoAOD against events with wrong missing momentum."""

from __future__ import annotations

from functools import reduce
from operator import and_

from bphcoffea.analysis.variables import Condition


def filters_passed(*names: str) -> Condition:
    """Require that an event passes filters of NanoAOD's ``Flag``, such as ``goodVertices``."""
    return Condition(
        f"passes {', '.join(names)}",
        lambda events: reduce(and_, (events.Flag[name] for name in names)),
    )
