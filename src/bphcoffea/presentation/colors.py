"""Colours of processes, the same in all figures of a run."""

from __future__ import annotations

from typing import Final

from matplotlib.colors import to_hex, to_rgb

#: Colours that can be told apart with any common colour vision [M. A. Petroff, arXiv:2107.02270].
BLUE, ORANGE, RED = "#5790fc", "#f89c20", "#e42536"
PURPLE, GREY, VIOLET = "#964a8b", "#9c9ca1", "#7a21dd"
#: Colours of the same six for processes; a fit and the bounds of a cut are red.
PALETTE: Final = (BLUE, ORANGE, PURPLE, VIOLET, GREY)
#: Ten colours from the same reference, for more processes.
WIDE_PALETTE: Final = (
    *("#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6"),
    *("#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"),
)


def palette(number: int) -> tuple[str, ...]:
    """Return different colours, from the smallest palette that has as many.

    After the ten of the largest palette come darker and lighter shades of these.

    >>> len(set(palette(5))), len(set(palette(10))), len(set(palette(75)))
    (5, 10, 75)
    """
    if number <= len(PALETTE):
        return PALETTE[:number]
    rounds = -(-number // len(WIDE_PALETTE))
    shades = [_shade(color, turn, rounds) for turn in range(rounds) for color in WIDE_PALETTE]
    return tuple(shades[:number])


def _shade(color: str, turn: int, rounds: int) -> str:
    """Return a colour nearer to black in odd turns, and nearer to white in even ones."""
    if not turn:
        return color
    towards = 0.0 if turn % 2 else 1.0
    part = 0.7 * ((turn + 1) // 2) / ((rounds + 1) // 2 + 0.5)
    return to_hex([(1 - part) * channel + part * towards for channel in to_rgb(color)])
