"""Standard streams that hide secrets and replace characters that their encoding lacks."""

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

#: Name of the codec error handler that spells characters out.
SPELLED = "bphcoffea.spelled"
#: Spellings of characters that Unicode neither decomposes nor names helpfully.
_SPELLINGS = dict(
    pair.split(" ", 1)
    for pair in (
        *("→ ->", "← <-", "± +-", "× x", "· *", "… ...", "– -", "− -", "≤ <=", "≥ >=", "≈ ~"),
        *("√ sqrt", "∞ inf", "ħ hbar", "µ u", "Σ sum ", "✓ yes", "✗ no", "½ 1/2", "“ '", "” '"),
    )
)
_RAISED = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")


def spelled(text: str) -> str:
    """Return a text in ASCII, with other characters spelled out.

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
    """Return the ASCII letters and digits that characters are variants of; empty if none."""
    decomposed = unicodedata.normalize("NFKD", text).replace("−", "-")
    return decomposed.encode("ascii", "ignore").decode()


def _spell(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return spelled(error.object[error.start : error.end]), error.end


codecs.register_error(SPELLED, _spell)


class StreamError(OSError):
    """A standard stream cannot be written, for example to a file on a full disk."""


class RedactingStream:
    """Text stream that hides passwords and tokens of URLs.

    Parameters
    ----------
    stream
        The stream to write to; it provides all other methods and attributes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text with its secrets hidden; raise StreamError if that fails."""
        try:
            self._stream.write(redacted(text))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StreamError(error.errno, error.strerror) from error
        return len(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def guard_streams() -> None:
    """Make the standard streams of this process hide secrets and accept all characters.

    The streams stay guarded until the process ends, because objects that are closed then may print.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, RedactingStream):
            continue
        with contextlib.suppress(AttributeError):  # streams that are not files lack reconfigure
            stream.reconfigure(errors=SPELLED)
        setattr(sys, name, RedactingStream(stream))


class PlainConsole(Console):
    """Console without markup that hides secrets and spells out characters its encoding lacks.

    Both happen before a text is measured and wrapped, so that columns stay aligned and URLs whole.
    """

    def __init__(self, **options: Any) -> None:
        # names and messages may contain brackets that are not markup, and colons not of emoji
        super().__init__(markup=False, emoji=False, **options)

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
