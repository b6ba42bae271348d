"""Find and read facility files, and report each of their faults in one line."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args, get_type_hints

from pydantic import ValidationError

import bphcoffea
from bphcoffea.documents import faults, read_toml
from bphcoffea.errors import FacilityError, alternatives
from bphcoffea.facilities.facility import Facility, Kind

#: Keys whose values are not expanded: text, shell code that workers expand, options of Dask.
_NOT_EXPANDED: Final = {"description", "setup", "options"}
#: Messages that are clearer than those of pydantic, by the type of the fault.
_MEANINGS: Final = {
    "string_type": "expected text in quotes",
    "int_type": "expected a whole number, without quotes",
    "bool_type": "expected true or false, without quotes",
    "tuple_type": "expected a list, in [ ]",
    "dict_type": "expected a table",
    "model_type": "expected a table",
}


def load_facility(name_or_path: str | Path) -> Facility:
    """Read a facility, and expand ``~`` and ``$VARIABLES`` in its values; ``$$`` is a dollar sign.

    Parameters
    ----------
    name_or_path
        Name of one of the :func:`available_facilities`, or a path that ends in ``.toml``.

    Raises
    ------
    FacilityError
        If there is no such file, or it is not a valid facility file: one line per fault.
    """
    name = str(name_or_path)
    if name.endswith(".toml") or "/" in name:
        path = Path(name)
    else:
        available = available_facilities()
        if name not in available:
            raise FacilityError(
                f"unknown facility '{name}'{alternatives(name, available, 'available')}; or give "
                "the path of a file such as my/facility.toml"
            )
        path = available[name]
    content = read_toml(path, "facility file", FacilityError)
    if "name" in content:
        raise FacilityError(f"{path}: name: is the name of the file; remove the key")
    problems: list[str] = []
    expanded = {key: _expanded(value, (key,), problems) for key, value in content.items()}
    try:
        facility = Facility.model_validate(expanded | {"name": path.stem})
    except ValidationError as error:
        # an unset variable is not reported again for the value that it leaves
        reported = {problem.partition(":")[0] for problem in problems}
        problems += [p for p in _problems_of(error) if p.partition(":")[0] not in reported]
    FacilityError.raise_for(f"{path}: {problem}" for problem in problems)
    folder = path.absolute().parent
    files = {key: str(folder / value) for key, value in facility.security if isinstance(value, str)}
    security = facility.security.model_copy(update=files)
    return facility.model_copy(update={"security": security})


def available_facilities() -> dict[str, Path]:
    """Return the files of all facilities by name: the user's, in ``~/.config``, and the shipped.

    The current folder is not searched, because facility files contain shell code.
    """
    files: dict[str, Path] = {}
    for folder in _folders():
        for path in sorted(folder.glob("[!._]*.toml")):
            files.setdefault(path.stem, path)
    return dict(sorted(files.items()))


def _folders() -> list[Path]:
    package = Path(bphcoffea.__file__).parent
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser())
    # the user's first, so that they replace those of an installed package and of a checkout
    parents = [home / "bphcoffea", package / "_shipped", package.parents[1]]
    return [parent / "facilities" for parent in parents]


def _expanded(value: object, place: tuple[str, ...], problems: list[str]) -> object:
    """Return a value with its variables expanded, and add those that cannot be to `problems`."""
    if place[-1] in _NOT_EXPANDED:
        return value
    if isinstance(value, dict):
        return {key: _expanded(item, (*place, key), problems) for key, item in value.items()}
    if isinstance(value, list):
        return [_expanded(item, place, problems) for item in value]
    if not isinstance(value, str):
        return value
    key = ".".join(place)

    def variable(match: re.Match[str]) -> str:
        name = match["plain"] or match["braced"]
        if name is None:
            return "$"
        if name not in os.environ:
            problems.append(f"{key}: ${name} is not set; set it, or write $$ for a dollar sign")
        return os.environ.get(name, "")

    # before the variables, whose values are not expanded again
    home = os.path.expanduser(value)  # noqa: PTH111  (a URL is not a path)
    if value.startswith("~") and home == value:
        problems.append(f"{key}: '{value}' begins with an unknown user; write the path in full")
    return re.sub(r"\$(?:\$|(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[^}]*)\})", variable, home)


def _problems_of(error: ValidationError) -> Iterator[str]:
    for place, text, fault in faults(error, _MEANINGS):
        if fault["type"] == "extra_forbidden":
            table = get_type_hints(Facility)[place[0]] if len(place) > 1 else Facility
            known = [key for key in table.model_fields if key != "name"]
            text = f"unknown key{alternatives(place[-1], known, 'known keys')}"
        elif fault["type"] == "literal_error":
            text = f"{fault['input']!r} is none of {', '.join(get_args(Kind))}"
        where = f"{'.'.join(place)}: " if place else ""
        yield " ".join(f"{where}{text}".split())
