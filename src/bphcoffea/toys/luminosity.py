"""Luminosity sections of the toys: drawing them, and the files that list them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from bphcoffea.toys.calibration import DATA_INTERACTIONS
from bphcoffea.toys.decay import Floats, Integers

#: Maximum number of runs per file, and of luminosity sections per run.
_RUNS_PER_FILE, _SECTIONS_PER_RUN = 8, 900
#: Minimum of the mean number of events per section, so that no section is empty: reading would miss
#: it. (A file of fewer events has one section.)
EVENTS_PER_SECTION: Final = 40
#: Maximum relative deviation of a section from the mean luminosity.
_UNEVEN = 0.20
#: Mean fraction of the delivered luminosity that is recorded.
_RECORDED = 0.95
_SECTION_LENGTH = timedelta(seconds=23.31)
#: Run, fill and time at the edges of the eras of data; fills and times between are interpolated.
_CALENDAR: Final = (
    (302_031, 6160, datetime(2017, 9, 1, 10)),
    (302_663, 6193, datetime(2017, 9, 20, 10)),
    (320_500, 6961, datetime(2018, 7, 24, 10)),
    (325_175, 7334, datetime(2018, 10, 24, 10)),
)
_PER_MICROBARN = 1e9  #: inverse microbarns per inverse femtobarn

#: ``run``, ``lumi`` and ``evt`` of events, shape (events,).
EventNumbers: TypeAlias = dict[str, npt.NDArray[np.uint32]]


@dataclass(frozen=True)
class Sections:
    """Luminosity sections of a file, in time order.

    Attributes
    ----------
    run, section
        Run and section numbers, shape (sections,).
    recorded, delivered
        Luminosities, whole µb⁻¹, shape (sections,).
    interactions
        Mean number of interactions, shape (sections,).
    """

    run: Integers
    section: Integers
    recorded: Integers
    delivered: Integers
    interactions: Floats

    def __len__(self) -> int:
        return len(self.run)


def luminosity_sections(
    n: int,
    luminosity: float,
    runs: tuple[int, int],
    part: int,
    parts: int,
    rng: np.random.Generator,
) -> Sections:
    """Draw the luminosity sections of one file of a dataset.

    Parameters
    ----------
    n
        Number of events of the file.
    luminosity
        Total recorded luminosity, fb⁻¹.
    runs
        First and last run of the dataset.
    part, parts
        Number of the file, and number of files of the dataset. Each file has runs of its own, if
        there are enough.
    rng
        Source of randomness.
    """
    edges = np.linspace(runs[0], runs[1] + 1, parts + 1).astype(np.int64)
    available = np.arange(edges[part], max(edges[part + 1], edges[part] + 1))
    number = min(len(available), _RUNS_PER_FILE, -(-n // EVENTS_PER_SECTION))
    chosen = np.sort(rng.choice(available, number, replace=False))
    # a file without events has no run and no section
    length = int(np.clip(n // (EVENTS_PER_SECTION * max(number, 1)), 1, _SECTIONS_PER_RUN))
    total = number * length
    shares = rng.uniform(1 - _UNEVEN, 1 + _UNEVEN, total)
    # rounding the cumulative sum keeps the total exact
    ends = np.round(np.cumsum(shares) / np.sum(shares) * round(luminosity * _PER_MICROBARN))
    recorded = np.diff(ends, prepend=0.0).astype(np.int64)
    lost = rng.uniform(0.8, 1.2, total) * (1 / _RECORDED - 1)
    return Sections(
        run=np.repeat(chosen, length),
        section=np.tile(np.arange(1, length + 1), number),
        recorded=recorded,
        delivered=np.round(recorded * (1 + lost)).astype(np.int64),
        interactions=rng.normal(DATA_INTERACTIONS[0], 2.0, total),
    )


def event_numbers(
    n: int, sections: Sections, part: int, parts: int, rng: np.random.Generator
) -> EventNumbers:
    """Draw the run, section and event numbers of one file, in time order.

    Parameters
    ----------
    n
        Number of events.
    sections
        Luminosity sections of the file; events are distributed according to luminosity.
    part, parts
        Number of the file, and number of files of the dataset. Event numbers are unique in the
        dataset.
    rng
        Source of randomness.
    """
    counts = np.zeros(0, dtype=np.int64)
    if n:
        counts = rng.multinomial(n, sections.recorded / np.sum(sections.recorded))
    # one number out of each of n slots of the file's share of the 32 bits, so that none repeats
    share = 2**32 // parts
    slot = share // max(n, 1)
    number = part * share + slot * np.arange(n) + rng.integers(0, slot, n)
    return {
        "run": np.repeat(sections.run, counts).astype(np.uint32),
        "lumi": np.repeat(sections.section, counts).astype(np.uint32),
        "evt": number.astype(np.uint32),
    }


def brilcalc_csv(files: Sequence[Sections]) -> str:
    """Return the output of ``brilcalc lumi --byls -u /fb --output-style csv`` for the sections.

    The files share no run.
    """
    lines = [
        "#Data tag : toys , Norm tag: toys",
        "#run:fill,ls,time,beamstatus,E(GeV),delivered(/fb),recorded(/fb),avgpu,source",
    ]
    runs, fills = set(), set()
    delivered = recorded = 0
    for sections in sorted(files, key=lambda s: s.run[0] if len(s) else 0):
        for i in range(len(sections)):
            run, section = int(sections.run[i]), int(sections.section[i])
            fill, begin = _fill(run)
            time = begin + (section - 1) * _SECTION_LENGTH
            amounts = int(sections.delivered[i]), int(sections.recorded[i])
            lines.append(
                f"{run}:{fill},{section}:{section},{time:%m/%d/%y %H:%M:%S},STABLE BEAMS,6500,"
                f"{_in_fb(amounts[0])},{_in_fb(amounts[1])},{sections.interactions[i]:.1f},HFOC"
            )
            runs.add(run)
            fills.add(fill)
            delivered += amounts[0]
            recorded += amounts[1]
    number = sum(map(len, files))
    lines += [
        "#Summary:",
        "#nfill,nrun,nls,ncms,totdelivered(/fb),totrecorded(/fb)",
        f"#{len(fills)},{len(runs)},{number},{number},{_in_fb(delivered)},{_in_fb(recorded)}",
    ]
    return "\n".join(lines) + "\n"


def golden_json(files: Sequence[Sections]) -> str:
    """Return a CMS JSON that certifies all sections, which begin with 1 in each run."""
    last = {
        int(run): int(section)
        for sections in files
        for run, section in zip(sections.run, sections.section, strict=True)
    }
    return json.dumps({str(run): [[1, last[run]]] for run in sorted(last)}) + "\n"


def _fill(run: int) -> tuple[int, datetime]:
    """Return the fill and the begin of a run, interpolated between the edges of the eras."""
    runs = [edge for edge, _, _ in _CALENDAR]
    fills = [fill for _, fill, _ in _CALENDAR]
    first = _CALENDAR[0][2]
    hours = [(time - first) / timedelta(hours=1) for _, _, time in _CALENDAR]
    begin = first + timedelta(hours=round(float(np.interp(run, runs, hours))))
    return round(float(np.interp(run, runs, fills))), begin


def _in_fb(microbarns: int) -> str:
    return f"{microbarns // 10**9}.{microbarns % 10**9:09d}"
