"""The luminosity of each luminosity section, as ``brilcalc`` writes it.

``brilcalc lumi --byls --output-style csv`` gives lines of

``#run:fill,ls,time,beamstatus,E(GeV),delivered(/ub),recorded(/ub),avgpu,source``

and with ``--hltpath`` the path instead of beam status and energy. ``-u`` sets the unit. ``ls`` is
the section of the luminometers and that of CMS, the latter 0 where CMS took no data.
"""

from __future__ import annotations

import hashlib
import math
import re
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bphcoffea.errors import InputError
from bphcoffea.luminosity.sections import LIMIT, packed
from bphcoffea.size_limits import gunzip, read_json_bytes

#: fb⁻¹ in each unit that ``brilcalc lumi -u`` knows; 10³⁹/cm² is 1/fb.
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
#: The same number in two units may differ in its last binary digits.
_SAME = 1e-12


@dataclass(frozen=True)
class Recorded:
    """Luminosity of some luminosity sections.

    Attributes
    ----------
    luminosity
        Recorded in those that the table holds, in fb⁻¹.
    unknown
        Those that the table does not hold: rows of run and section, sorted. Shape (sections, 2).
    """

    luminosity: float
    unknown: npt.NDArray[np.int64]


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
        The sections that it holds: rows of run and section, sorted, each once. Shape (sections, 2).
    luminosity
        Recorded in each of them, in fb⁻¹. Shape (sections,).
    """

    path: Path = field(compare=False)
    sha256: str
    sections: npt.NDArray[np.int64] = field(repr=False, compare=False)
    luminosity: npt.NDArray[np.float64] = field(repr=False, compare=False)

    @classmethod
    def load(cls, path: str | Path) -> LuminosityTable:
        """Read the csv, or ``.csv.gz``, that ``brilcalc lumi --byls --output-style csv`` wrote.

        Several that were written one after another into a file are read too. A section that stands
        there several times, as with several ``--hltpath``, must have one luminosity.

        Raises
        ------
        InputError
            When it can't be read, is not such a csv, has a unit that is none of integrated
            luminosity, or gives a section two luminosities. Names file and line.
        """
        content = _read(path)
        found: dict[tuple[int, int], tuple[float, int]] = {}
        header: _Header | None = None
        for number, line in enumerate(_text(path, content).splitlines(), start=1):
            where = f"{path}, line {number}"
            if line.startswith("#"):
                header = _header(line, where) or header
            elif line.strip():
                if header is None:
                    raise InputError(f"{where}: data before a header '#run:fill,ls,…'; {_MAKE}")
                section, luminosity = _row(line, header, where)
                if section[1] == 0:
                    continue  # not recorded by CMS
                earlier, at = found.setdefault(section, (luminosity, number))
                if not math.isclose(earlier, luminosity, rel_tol=_SAME):
                    raise InputError(
                        f"{where}: run {section[0]}, section {section[1]} has {luminosity:g}/fb, "
                        f"but {earlier:g}/fb in line {at}; make one csv for each HLT path"
                    )
        if not found:
            raise InputError(f"{path}: holds no luminosity section; {_MAKE}")
        sections = np.array(list(found), dtype=np.int64)
        luminosities = np.array([luminosity for luminosity, _ in found.values()])
        order = np.lexsort(sections.T[::-1])
        digest = hashlib.sha256(content).hexdigest()
        return cls(Path(path), digest, sections[order], luminosities[order])

    def recorded(self, sections: npt.NDArray[np.int64]) -> Recorded:
        """Luminosity that was recorded in some luminosity sections.

        Parameters
        ----------
        sections
            Rows of run and section; one that is repeated counts once. Shape (n, 2).
        """
        wanted = np.unique(np.asarray(sections, dtype=np.int64).reshape(-1, 2), axis=0)
        keys = packed(*self.sections.T)
        wanted_keys = packed(*wanted.T)
        index = np.minimum(np.searchsorted(keys, wanted_keys), len(keys) - 1)
        valid = ((wanted >= 0) & (wanted < LIMIT)).all(axis=1)
        known = valid & (keys[index] == wanted_keys)
        return Recorded(math.fsum(self.luminosity[index[known]]), wanted[~known])


@dataclass(frozen=True)
class _Header:
    """Where the columns stand, how many they are, and fb⁻¹ in the unit of the luminosity."""

    run: int
    section: int
    recorded: int
    columns: int
    scale: float


def _header(line: str, where: str) -> _Header | None:
    """The header in a comment, or None if it is another comment."""
    names = [name.strip() for name in line.lstrip("#").split(",")]
    if "run:fill" not in names:
        return None
    if "ls" not in names:
        raise InputError(f"{where}: the luminosity is not told by section; {_MAKE}")
    units = {
        index: match[1]
        for index, name in enumerate(names)
        if (match := re.fullmatch(r"recorded\((.*)\)", name))
    }
    if len(units) != 1:
        raise InputError(f"{where}: the header has {len(units)} columns 'recorded(unit)'; {_MAKE}")
    ((recorded, unit),) = units.items()
    if unit not in _UNITS:
        fault = "instantaneous" if unit.startswith("hz") or unit.endswith("s") else "not known"
        raise InputError(
            f"{where}: the unit '{unit}' of recorded is {fault}; give brilcalc lumi one of -u /ub, "
            "/nb, /pb, /fb"
        )
    return _Header(names.index("run:fill"), names.index("ls"), recorded, len(names), _UNITS[unit])


def _row(line: str, header: _Header, where: str) -> tuple[tuple[int, int], float]:
    """Run, CMS's section and recorded luminosity (fb⁻¹) of a line."""
    values = [value.strip() for value in line.split(",")]
    if len(values) != header.columns:
        raise InputError(
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
        raise InputError(f"{where}: '{values[header.recorded]}' is no recorded luminosity; {_MAKE}")
    return (run, section), luminosity


def _pair(value: str, name: str, where: str) -> tuple[int, int]:
    """Two numbers with a colon between them."""
    match = re.fullmatch(r"([0-9]{1,10}):([0-9]{1,10})", value)
    if not match or int(match[1]) >= LIMIT or int(match[2]) >= LIMIT:
        raise InputError(f"{where}: '{value}' is no {name}, two numbers with a colon; {_MAKE}")
    return int(match[1]), int(match[2])


def _read(path: str | Path) -> bytes:
    try:
        return read_json_bytes(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {_MAKE}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _text(path: str | Path, content: bytes) -> str:
    try:
        if Path(path).suffix == ".gz":
            content = gunzip(content, path)
        return content.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a gzip file, or cut off ({error})") from None
    except UnicodeError as error:
        raise InputError(f"{path}: not a csv ({error}); {_MAKE}") from None
