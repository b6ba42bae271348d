"""What lies on a disk or a server: listing it, and what it means when that fails."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import fsspec

from bphcoffea.redaction import redacted

#: How long a server may take to answer, s.
TIMEOUT = 60

# A client of XRootD that met a dead server waits half an hour before it tries that server again,
# and as long for the answer to a request of its own; a retry has to reach a server that came back.
# Read when the client is first used, on every worker.
os.environ.setdefault("XRD_STREAMERRORWINDOW", "1")
os.environ.setdefault("XRD_CONNECTIONWINDOW", "10")
os.environ.setdefault("XRD_CONNECTIONRETRY", "2")
os.environ.setdefault("XRD_REQUESTTIMEOUT", str(TIMEOUT))
os.environ.setdefault("XRD_TIMEOUTRESOLUTION", "1")

#: What a server of XRootD answers, and what it means.
_ANSWERS = {
    "[3011]": "no such file",
    "[3005]": "no such file",
    "[3016]": "is a folder, not a file",
    "[3010]": "may not be read (permission denied)",
}
_NO_ANSWER = "the server does not answer"
#: What the client of XRootD says of a server, and what it means.
_SILENCES = {
    "Auth failed": "the server refuses access; is there a valid grid proxy?",
    "Invalid address": "there is no such host; is its name right?",
    **dict.fromkeys(
        ("Connection error", "Operation expired", "Socket timeout"),
        f"{_NO_ANSWER}; is its address right, and is it up?",
    ),
}
#: How long a server that did not answer is asked only after the others, s.
_SILENCE_REMEMBERED = 60.0
#: Servers that did not answer: when, and what that means.
_silent: dict[str, tuple[float, str]] = {}


@dataclass(frozen=True)
class Retries:
    """How often something is tried before it is given up.

    Attributes
    ----------
    attempts
        Times that each place of a file is tried.
    wait_s
        Pause before the second time, s; each further pause is twice as long.
    timeout_s
        How long a server may take to answer, s.
    """

    attempts: int = 3
    wait_s: float = 1.0
    timeout_s: int = TIMEOUT

    def tries(self) -> Iterator[int]:
        """Count the attempts, and pause before all but the first."""
        for attempt in range(self.attempts):
            if attempt:
                time.sleep(self.wait_s * 2 ** (attempt - 1))
            yield attempt


ONCE = Retries(attempts=1)


@dataclass(frozen=True)
class Place:
    """A file or a folder."""

    path: str
    is_folder: bool


class Storage:
    """The file system that a path or URL is on, as it is now: nothing that was listed is kept.

    Its methods raise OSError for what can't be listed. fsspec's ``glob`` and ``find`` leave out
    folders that may not be read, and take a server that does not answer for an empty one.

    Parameters
    ----------
    place
        A path, URL or pattern; :attr:`path` is it without protocol and host.

    Raises
    ------
    ValueError
        When a URL holds a ``?``, after which XRootD expects parameters.
    """

    def __init__(self, place: str) -> None:
        options = {"timeout": TIMEOUT} if place.startswith("root://") else {}
        self._system, self.path = fsspec.core.url_to_fs(
            place, use_listings_cache=False, skip_instance_cache=True, **options
        )
        self._remote = "://" in place
        if self._remote and "?" in self.path:
            raise ValueError("in a URL '?' begins parameters; write the pattern with '*' or '[…]'")

    def find(self, path: str) -> Iterator[Place]:
        """The place of that very name, or else all those that it matches as a pattern."""
        # brackets stand in names of files, too; stars hardly ever do
        exact = self._if_there(path) if "*" not in path else None
        if exact:
            yield exact
        elif _is_pattern(path):
            top, *segments = path.split("/")
            yield from self._matching(Place(top or "/", is_folder=True), segments)

    def files(self, place: Place) -> Iterator[Place]:
        """The place itself if it is a file, or else all files below it."""
        if not place.is_folder:
            yield place
            return
        for _, listing in self._walk(place):
            yield from (inside for inside in listing if not inside.is_folder)

    def name(self, place: Place) -> str:
        """The URL, or the absolute path of what is here."""
        if self._remote:
            return str(self._system.unstrip_protocol(place.path))
        return os.path.normpath(place.path)

    def _matching(self, folder: Place, segments: list[str]) -> Iterator[Place]:
        while segments and not _is_pattern(segments[0]):
            # not listed, only looked at: the folders above one's own may not be open to all
            folder = Place(_join(folder.path, segments.pop(0)), is_folder=True)
        there = self._if_there(folder.path)
        if not there or not segments:
            if there:
                yield there
            return
        segment, *rest = segments
        if segment == "**":
            for below, _ in self._walk(folder):
                yield from self._matching(below, list(rest or ["*"]))
            return
        for inside in self._listing(folder):
            if fnmatch.fnmatchcase(_last(inside.path), segment):
                if not rest:
                    yield inside
                elif inside.is_folder:
                    yield from self._matching(inside, list(rest))

    def _walk(self, top: Place) -> Iterator[tuple[Place, list[Place]]]:
        """Every folder from here on down, with what is in it."""
        folders, seen = [top], set()
        while folders:
            folder = folders.pop()
            # a link may lead back up
            real = folder.path if self._remote else os.path.realpath(folder.path)
            if real in seen:
                continue
            seen.add(real)
            listing = self._listing(folder)
            folders += [inside for inside in listing if inside.is_folder]
            yield folder, listing

    def _listing(self, folder: Place) -> list[Place]:
        return [
            # the names that XRootD's file system gives to what is in "/" begin with "//"
            self._place(entry | {"name": _join(folder.path, _last(entry["name"]))})
            for entry in self._system.ls(folder.path, detail=True)
        ]

    def _if_there(self, path: str) -> Place | None:
        try:
            return self._place(self._system.info(path))
        except OSError as error:
            if _is_missing(error):
                return None
            raise

    def _place(self, entry: dict[str, Any]) -> Place:
        path = entry["name"]
        linked = entry.get("islink") and self._system.isdir(path)
        return Place(path, bool(entry["type"] == "directory" or linked))


def reason(error: BaseException) -> str | None:
    """What an error of a disk or server means, in one line; None where it is of another kind."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file"
    if isinstance(error, PermissionError):
        return "may not be read (permission denied)"
    if not isinstance(error, OSError):
        return None
    text = shortened(str(error))
    if isinstance(error, TimeoutError) and not text:
        return f"{_NO_ANSWER}; is its address right, and is it up? (no answer in time)"
    for code, meaning in _ANSWERS.items():
        if code in text:
            return meaning
    for silence, meaning in _SILENCES.items():
        if silence in text:
            return f"{meaning} ({silence})"
    return None


def host(place: str) -> str:
    """The server of a URL, with its port but without user and password; empty for a path."""
    return urlsplit(place).netloc.rpartition("@")[2] if "://" in place else ""


def note_silence(place: str, meaning: str) -> None:
    """Remember that the server of a place did not answer, where that is what the fault means."""
    if host(place) and meaning.startswith(_NO_ANSWER):
        _silent[host(place)] = (time.monotonic(), meaning)


def by_silence(places: Iterable[str]) -> list[str]:
    """Places in order, but those last whose server did not answer a moment ago.

    Each file of a dead server would else wait for it anew, where another server has the file, too.
    """
    return sorted(places, key=lambda place: silence_of(place) is not None)


def silence_of(place: str) -> str | None:
    """What it means that the server of a place did not answer a moment ago; None if it did."""
    since, meaning = _silent.get(host(place), (-_SILENCE_REMEMBERED, None))
    return meaning if time.monotonic() - since < _SILENCE_REMEMBERED else None


def shortened(text: str, longest: int = 160) -> str:
    """A text in one line, cut where it is too long; secrets are hidden before they are cut."""
    line = redacted(" ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _is_missing(error: OSError) -> bool:
    # part of the path may be a file
    known = isinstance(error, FileNotFoundError | NotADirectoryError)
    return known or any(code in str(error) for code in ("[3011]", "[3005]"))


def _is_pattern(path: str) -> bool:
    return any(character in path for character in "*?[")


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
