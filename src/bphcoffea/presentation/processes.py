"""Simulated processes as figures show them: label, datasets and colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from bphcoffea.presentation.colors import palette
from bphcoffea.presentation.figure_style import FigureStyle
from bphcoffea.results import Datasets


@dataclass(frozen=True)
class Process:
    """A simulated process, or a group of processes.

    Attributes
    ----------
    datasets
        Names of the datasets.
    color
        Colour in all figures of the run.
    is_line
        Whether it is drawn as a line over the stack, instead of in it.
    scale
        Factor of a line, which its label says.
    """

    datasets: tuple[str, ...]
    color: str
    is_line: bool = False
    scale: float = 1.0


#: Processes by label.
Processes: TypeAlias = Mapping[str, Process]


def processes_of(
    datasets: Datasets,
    style: FigureStyle,
    *,
    overlay_signal: bool = False,
    scale_signal: float | None = None,
) -> dict[str, Process]:
    """Return the simulated processes by label, in the order of the datasets.

    Each process has a colour of its own. Those of the stack come first, so that they have the
    colours that can be told apart best.

    Parameters
    ----------
    datasets
        All datasets of a run, also those that are not drawn.
    style
        Groups, labels and colours.
    overlay_signal
        Draw each simulated signal as a line.
    scale_signal
        Factor of all signals, which are then lines; None draws them as they are.
    """
    members: dict[tuple[bool, str], list[str]] = {}
    for name in datasets.simulated:
        record = datasets[name]
        is_line = record.kind == "signal" and (overlay_signal or scale_signal is not None)
        members.setdefault((is_line, style.label_of(name, record, alone=is_line)), []).append(name)
    ordered = sorted(members, key=lambda key: key[0])
    processes = {}
    for (is_line, label), color in zip(ordered, palette(len(ordered)), strict=True):
        names = members[is_line, label]
        aliases = [label, *names, *(datasets[name].process or "" for name in names)]
        aliases += [datasets[name].label or "" for name in names]
        given = [style.colors[alias] for alias in aliases if alias in style.colors]
        scale = (scale_signal or 1.0) if is_line else 1.0
        shown = label if scale == 1 else f"{label} × {scale:g}"
        processes[shown] = Process(tuple(names), given[0] if given else color, is_line, scale)
    return processes
