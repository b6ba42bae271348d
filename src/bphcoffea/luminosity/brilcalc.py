"""Recorded luminosity of each luminosity section, from the csv output of ``brilcalc``.

``brilcalc lumi --byls --output-style csv`` writes lines of

``#run:fill,ls,time,beamstatus,E(GeV),delivered(/ub),recorded(/ub),avgpu,source``

and with ``--hltpath`` the path instead of beam status and energy. ``-u`` sets the unit. ``ls``
gives the section of the luminometers and the section of CMS, which is 0 if CMS took no data.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bphcoffea.arrays import Floats, Integers
from bphcoffea.documents import read_bytes
from bphcoffea.errors import CorrectionsError
from bphcoffea.luminosity.sections import LIMIT, packed

#: Units of ``brilcalc lumi -u`` in fb⁻¹; 10³⁹/cm² is 1/fb.
_UNITS = {
    "/kb": 1e-18,
    "/b": 1e-15,
    "/mb": 1e-12,
    "/ub": 1e-9,
    "/nb": 1e-6,
    "/pb": 1e-3,
    "/fb": 1.0,
    "/ab": 1e3,
    "1e21/cm2": 1e-18,
    "1e24/cm2": 1e-15,
    "1e27/cm2": 1e-12,
    "1e30/cm2": 1e-9,
    "1e33/cm2": 1e-6,
    "1e36/cm2": 1e-3,
    "1e39/cm2": 1.0,
    "1e42/cm2": 1e3,
}
_MAKE = "make it with: brilcalc lumi --byls --output-style csv"
#: Relative tolerance: the same luminosity in two units may differ by rounding.
_SAME = 1e-12


@dataclass(frozen=True)
class Recorded:
    """Recorded luminosity of a set of luminosity sections.

    Attributes
    ----------
    luminosity
        Luminosity of the sections in the table, fb⁻¹.
    unknown
        Sections that are not in the table: sorted rows of run and section, shape (sections, 2).
    """

    luminosity: float
    unknown: Integers


@dataclass(frozen=True)
class LuminosityTable:
    """Recorded luminosity by luminosity section.

    Two are equal if the content of their files is.

    Attributes
    ----------
    path
        The file.
    sha256
        Hash of the file's content, as it lies there (compressed or not).
    sections
        Distinct sections of the table: sorted rows of run and section, shape (sections, 2).
    luminosity
        Recorded luminosity of each section, fb⁻¹, shape (sections,).
    """

    path: Path = field(compare=False)
    sha256: str
    sections: Integers = field(repr=False, compare=False)
    luminosity: Floats = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path) -> LuminosityTable:
        """Read the csv output of ``brilcalc lumi --byls``, which may be compressed with gzip.

        The file may be a concatenation of several outputs. A section that occurs several times, as
        with several ``--hltpath``, must have the same luminosity each time.

        Raises
        ------
        CorrectionsError
            If the file cannot be read, is not such a csv, has an unknown unit, or gives a section
            two luminosities. The message names the line.
        """
        found: dict[tuple[int, int], tuple[float, int]] = {}
        header: _Header | None = None
        for number, line in enumerate(_text(path).splitlines(), start=1):
            where = f"{path}, line {number}"
            if line.startswith("#"):
                header = _header(line, where) or header
            elif line.strip():
                if header is None:
                    raise CorrectionsError(
                        f"{where}: data before a header '#run:fill,ls,…'; {_MAKE}"
                    )
                section, luminosity = _row(line, header, where)
                if section[1] == 0:
                    continue  # not recorded by CMS
                earlier, other_line = found.setdefault(section, (luminosity, number))
                if not math.isclose(earlier, luminosity, rel_tol=_SAME):
                    raise CorrectionsError(
                        f"{where}: run {section[0]}, section {section[1]} has {luminosity:g}/fb, "
                        f"but {earlier:g}/fb in line {other_line}; make one csv for each HLT path"
                    )
        if not found:
            raise CorrectionsError(f"{path}: holds no luminosity section; {_MAKE}")
        sections = np.array(list(found), dtype=np.int64)
        luminosities = np.array([luminosity for luminosity, _ in found.values()])
        order = np.lexsort(sections.T[::-1])
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return cls(Path(path), digest, sections[order], luminosities[order])

    def recorded(self, sections: Integers) -> Recorded:
        """Return the luminosity that was recorded in a set of luminosity sections.

        Parameters
        ----------
        sections
            Rows of run and section, shape (n, 2); a repeated one counts once.
        """
        distinct = np.unique(np.asarray(sections, dtype=np.int64).reshape(-1, 2), axis=0)
        table_keys, keys = packed(*self.sections.T), packed(*distinct.T)
        index = np.minimum(np.searchsorted(table_keys, keys), len(table_keys) - 1)
        is_valid = ((distinct >= 0) & (distinct < LIMIT)).all(axis=1)
        in_table = is_valid & (table_keys[index] == keys)
        return Recorded(math.fsum(self.luminosity[index[in_table]]), distinct[~in_table])


@dataclass(frozen=True)
class _Header:
    """Positions of the columns, their number, and the unit of the luminosity in fb⁻¹."""

    run: int
    section: int
    recorded: int
    columns: int
    scale: float


def _header(line: str, where: str) -> _Header | None:
    """Return the header in a comment; None for other comments."""
    names = [name.strip() for name in line.lstrip("#").split(",")]
    if "run:fill" not in names:
        return None
    if "ls" not in names:
        raise CorrectionsError(f"{where}: the luminosity is not given by section; {_MAKE}")
    units = {
        index: match[1]
        for index, name in enumerate(names)
        if (match := re.fullmatch(r"recorded\((.*)\)", name))
    }
    if len(units) != 1:
        raise CorrectionsError(
            f"{where}: the header has {len(units)} columns 'recorded(unit)'; {_MAKE}"
        )
    ((recorded, unit),) = units.items()
    if unit not in _UNITS:
        fault = "instantaneous" if unit.startswith("hz") or unit.endswith("s") else "not known"
        raise CorrectionsError(
            f"{where}: the unit '{unit}' of recorded is {fault}; give brilcalc lumi one of -u /ub, "
            "/nb, /pb, /fb"
        )
    return _Header(names.index("run:fill"), names.index("ls"), recorded, len(names), _UNITS[unit])


def _row(line: str, header: _Header, where: str) -> tuple[tuple[int, int], float]:
    """Return run and section of CMS, and the recorded luminosity (fb⁻¹), of a line."""
    values = [value.strip() for value in line.split(",")]
    if len(values) != header.columns:
        raise CorrectionsError(
            f"{where}: {len(values)} columns, but {header.columns} in the header; "
            "is the file cut off?"
        )
    run = _pair(values[header.run], "run:fill", where)[0]
    section = _pair(values[header.section], "ls", where)[1]
    try:
        luminosity = float(values[header.recorded]) * header.scale
    except ValueError:
        luminosity = math.nan
    if not (math.isfinite(luminosity) and luminosity >= 0):
        text = values[header.recorded]
        raise CorrectionsError(f"{where}: '{text}' is not a recorded luminosity; {_MAKE}")
    return (run, section), luminosity


def _pair(value: str, name: str, where: str) -> tuple[int, int]:
    """Return two numbers that are separated by a colon."""
    match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", value)
    if not match or int(match[1]) >= LIMIT or int(match[2]) >= LIMIT:
        raise CorrectionsError(
            f"{where}: '{value}' is not {name}, two numbers with a colon; {_MAKE}"
        )
    return int(match[1]), int(match[2])


def _text(path: str | Path) -> str:
    try:
        return read_bytes(path, f"file; {_MAKE}", CorrectionsError).decode("utf-8-sig")
    except UnicodeError as error:
        raise CorrectionsError(f"{path}: not a csv ({error}); {_MAKE}") from None
