"""Finding the file of a facility, and reading it; what is wrong with it is told in a line each."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

import bphcoffea
from bphcoffea.errors import InputError
from bphcoffea.facilities.facility import (
    Facility,
    Kind,
    Proxy,
    Scheduler,
    Security,
    Storage,
    Workers,
)

#: Keys that stand in the file as they are: text, shell that workers expand, names of other tools.
_NOT_EXPANDED = {"description", "setup", "options"}


def load_facility(name_or_path: str | Path) -> Facility:
    """A facility, with ``~`` and ``$VARIABLES`` of this session in place; ``$$`` is a dollar.

    Parameters
    ----------
    name_or_path
        The name of a file that `facilities_there_are` knows, or a path that ends in ``.toml``.

    Raises
    ------
    InputError
        When there is no such file, or it is not TOML or no facility: every fault in a line.
    """
    place = str(name_or_path)
    if place.endswith(".toml") or "/" in place:
        path = Path(place)
    else:
        there = facilities_there_are()
        if place not in there:
            raise InputError(
                f"unknown facility '{place}'{_nearest(place, there)}; there are: "
                f"{', '.join(there)}, or give the path of a file such as my/facility.toml"
            )
        path = there[place]
    content = _read(path)
    if "name" in content:
        raise InputError(f"{path}: name: is that of the file; leave it out")
    faults: list[str] = []
    content = _expanded(content, (), faults)
    try:
        facility = Facility.model_validate(content | {"name": path.stem})
    except ValidationError as error:
        # an unset variable is told once, not again as what it leaves behind
        told = {fault.partition(":")[0] for fault in faults}
        faults += [f for f in _faults_of(error) if f.partition(":")[0] not in told]
    if faults:
        raise InputError("\n".join(f"{path}: {fault}" for fault in faults))
    folder = path.absolute().parent
    files = {key: str(folder / value) for key, value in facility.security if isinstance(value, str)}
    security = facility.security.model_copy(update=files)
    return facility.model_copy(update={"security": security})


def facilities_there_are() -> dict[str, Path]:
    """Files of facilities by name: the user's own, in the configuration of the home, and shipped.

    A facility holds shell, so a folder that happens to be the current one is not searched.
    """
    there: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("[!._]*.toml")):
            there.setdefault(path.stem, path)
    return dict(sorted(there.items()))


def _folders() -> list[Path]:
    package = Path(bphcoffea.__file__).parent
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    # the user's own first, so that they can replace those of an installed package and a checkout
    places = [home / "bphcoffea", package / "_shipped", package.parents[1]]
    return [place / "facilities" for place in places]


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such facility file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: not a TOML file ({reason}); are all texts quoted?") from None


def _expanded(value: Any, place: tuple[str, ...], faults: list[str]) -> Any:
    """The same with variables put in; those that can't be are told in `faults`."""
    if isinstance(value, dict):
        return {
            key: item if key in _NOT_EXPANDED else _expanded(item, (*place, key), faults)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_expanded(item, place, faults) for item in value]
    if not isinstance(value, str):
        return value

    def known(match: re.Match[str]) -> str:
        name = match["plain"] or match["braced"]
        if name is None:
            return "$"
        if name not in os.environ:
            faults.append(f"{'.'.join(place)}: ${name} is not set here; set it, or write $$ for $")
        return os.environ.get(name, "")

    # before the variables: what they hold is taken as it is
    home = os.path.expanduser(value)  # noqa: PTH111  (a URL is no path)
    if value.startswith("~") and home == value:
        faults.append(f"{'.'.join(place)}: '{value}' is in no user's home here; write it out")
    return re.sub(r"\$(?:\$|(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[^}]*)\})", known, home)


def _faults_of(error: ValidationError) -> Iterator[str]:
    for fault in error.errors():
        place = [str(part) for part in fault["loc"] if part != "[key]"]
        text = _MEANING.get(fault["type"]) or fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            known = _known_keys(place[:-1])
            text = f"unknown key{_nearest(place[-1], known)}; known here: {', '.join(known)}"
        elif fault["type"] == "literal_error":
            text = f"{fault['input']!r} is none of {', '.join(get_args(Kind))}"
        where = f"{'.'.join(place)}: " if place else ""
        yield " ".join(f"{where}{text}".split())


#: What pydantic's faults are called here; the others are clear in its words.
_MEANING = {
    "missing": "is missing",
    "string_too_short": "is empty",
    "string_type": "expected text in quotes",
    "int_type": "expected a whole number, without quotes",
    "bool_type": "expected true or false, without quotes",
    "tuple_type": "expected a list, in [ ]",
    "dict_type": "expected a table",
    "model_type": "expected a table",
}


def _known_keys(place: list[str]) -> list[str]:
    tables: dict[tuple[str, ...], type[BaseModel]] = {
        (): Facility,
        ("workers",): Workers,
        ("scheduler",): Scheduler,
        ("security",): Security,
        ("proxy",): Proxy,
        ("storage",): Storage,
    }
    return [key for key in tables[tuple(place)].model_fields if (place, key) != ([], "name")]


def _nearest(name: str, known: list[str] | Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, list(known), 1)
    return f", did you mean '{near[0]}'?" if near else ""
