"""Standard streams in which secrets are hidden and characters beyond ASCII spelled out."""

from __future__ import annotations

import codecs
import contextlib
import re
import sys
import unicodedata
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text
from typing_extensions import override

from bphcoffea.redaction import redacted

#: Name of the error handler that spells characters out.
SPELLED = "bphcoffea.spelled"
#: Characters whose names and decompositions are no help.
_SPELLINGS = dict(
    pair.split(" ", 1)
    for pair in (
        *("→ ->", "← <-", "± +-", "× x", "· *", "… ...", "– -", "− -", "≤ <=", "≥ >=", "≈ ~"),
        *("√ sqrt", "∞ inf", "ħ hbar", "µ u", "Σ sum ", "✓ yes", "✗ no", "½ 1/2", "“ '", "” '"),
    )
)
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")


def spelled(text: str) -> str:
    """Return a text in ASCII that reads as much like the original as it can.

    >>> spelled("B(τ → 3μ) = 2 ± 1, χ² of 36 fb⁻¹")
    'B(tau -> 3mu) = 2 +- 1, chi^2 of 36 fb^-1'
    """
    if text.isascii():
        return text
    raised = _RAISED.sub(lambda found: f"^{_plain(found[0])}", text)
    return "".join(map(_spelling, raised))


def _spelling(character: str) -> str:
    if character.isascii():
        return character
    if character in _SPELLINGS:
        return _SPELLINGS[character]
    kind, _, name = unicodedata.name(character, "").rpartition(" ")
    if kind in ("GREEK SMALL LETTER", "GREEK CAPITAL LETTER"):
        return name.capitalize() if "CAPITAL" in kind else name.lower()
    if unicodedata.combining(character):
        return ""
    return _plain(character) or character.encode("ascii", "backslashreplace").decode()


def _plain(text: str) -> str:
    """Return the letters and digits that characters are variants of; empty if there are none."""
    decomposed = unicodedata.normalize("NFKD", text).replace("−", "-")
    return decomposed.encode("ascii", "ignore").decode()


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return spelled(error.object[error.start : error.end]), error.end


codecs.register_error(SPELLED, _spell)


class RedactingStream:
    """A text stream that hides the passwords and tokens of URLs in what is written to it.

    Parameters
    ----------
    stream
        Where it is written. It has all other methods and attributes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without its secrets."""
        self._stream.write(redacted(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Let nothing that this process prints hold secrets, or fail for a character.

    The streams stay guarded until the process ends: objects that are closed then also print.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, RedactingStream):
            continue
        with contextlib.suppress(AttributeError):  # of a stream that is no file
            stream.reconfigure(errors=SPELLED)
        setattr(sys, name, RedactingStream(stream))


class PlainConsole(Console):
    """A console without markup that hides secrets, and spells out what its encoding lacks.

    Both before a text is measured and wrapped: columns stay aligned, and no URL is cut in two.
    """

    def __init__(self, **options: Any) -> None:
        # names and messages may hold brackets, which are no markup
        super().__init__(markup=False, **options)

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        shown = redacted(text)
        return super().render_str(spelled(shown) if not self._shows(shown) else shown, **options)

    def _shows(self, text: str) -> bool:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            return False
        return True
