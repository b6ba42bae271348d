"""Names with a meaning, and rules for the names and texts of a declaration."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

from bphcoffea.errors import DeclarationError

#: Longest name in bytes of UTF-8: files of figures are named after histogram and category.
LONGEST: Final = 80
#: Characters that separate folders, cycles and objects in the names of ROOT keys.
_SEPARATORS: Final = "/;:\\"
#: The only category of an analysis without categories.
ALL: Final = "all"
#: Name of the nominal variation.
NOMINAL: Final = "nominal"
#: Suffixes of the two sides of a variation, as in coffea and Combine.
UP: Final = "Up"
DOWN: Final = "Down"


def check_name(kind: str, name: object) -> None:
    """Raise a DeclarationError if a name is unfit for ROOT keys, columns or files.

    Parameters
    ----------
    kind
        Kind of object that has the name, such as ``histogram``, for the message.
    name
        The name.
    """
    if not isinstance(name, str):
        raise DeclarationError(f"{kind} {shown(name)}: its name must be a string")
    fault = _fault_of(name)
    if fault:
        raise DeclarationError(f"{kind} {name!r}: its name {fault}; choose another name")


def check_text(owner: str, kind: str, text: object) -> None:
    """Raise a DeclarationError if a label or unit is not a string."""
    if not isinstance(text, str):
        raise DeclarationError(f"{owner}: its {kind} is {shown(text)}, but must be a string")


def repeated(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, in order."""
    names = list(names)
    return [name for name in dict.fromkeys(names) if names.count(name) > 1]


def shown(value: object) -> str:
    """Return a short one-line text of any value."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _fault_of(name: str) -> str | None:
    if not name:
        return "is empty"
    if name != name.strip():
        return "begins or ends with a space"
    if name.startswith("."):
        return "begins with a dot"
    found = [character for character in _SEPARATORS if character in name]
    if found:
        return f"holds '{found[0]}', which separates parts of a path in ROOT files"
    # control characters, line separators, halves of surrogate pairs
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name):
        return "holds a control character"
    size = len(name.encode())
    return f"has {size} bytes, more than {LONGEST}" if size > LONGEST else None
