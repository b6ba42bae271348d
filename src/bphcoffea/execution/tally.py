"""What was done and what it cost: numbers that add up over chunks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tally:
    """The work of some chunks.

    Attributes
    ----------
    chunks, events
        How many.
    bytes_read
        Bytes that were asked of the files.
    wall_s, cpu_s
        Time from the opening of the files to the result, and processor time of the worker in it, s.
    peak_rss_mb
        Largest memory of a worker, MB.
    """

    chunks: int = 0
    events: int = 0
    bytes_read: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.chunks + other.chunks,
            self.events + other.events,
            self.bytes_read + other.bytes_read,
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            max(self.peak_rss_mb, other.peak_rss_mb),
        )

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``metrics.json``."""
        return {
            "chunks": self.chunks,
            "events": self.events,
            "bytes_read": self.bytes_read,
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "events_per_s": self.events / self.wall_s if self.wall_s else 0.0,
            "bytes_per_s": self.bytes_read / self.wall_s if self.wall_s else 0.0,
            "cpu_fraction": self.cpu_s / self.wall_s if self.wall_s else 0.0,
            "peak_rss_mb": self.peak_rss_mb,
        }
