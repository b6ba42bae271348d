"""Listing files on disks and servers, retrying, and explaining the errors of servers."""

from __future__ import annotations

import fnmatch
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from inspect import signature
from urllib.parse import urlsplit

import fsspec

from bphcoffea.local_files import IrregularFileError
from bphcoffea.redaction import redacted

#: Timeout for an answer of a server, s.
TIMEOUT = 60

# By default, XRootD's client waits half an hour before it tries a dead server again, and as long
# for an answer; a retry has to reach a server that came back. The client reads these variables
# when it is first used, on every worker.
os.environ.setdefault("XRD_STREAMERRORWINDOW", "1")
os.environ.setdefault("XRD_CONNECTIONWINDOW", "10")
os.environ.setdefault("XRD_CONNECTIONRETRY", "2")
os.environ.setdefault("XRD_REQUESTTIMEOUT", str(TIMEOUT))
os.environ.setdefault("XRD_TIMEOUTRESOLUTION", "1")

#: Error numbers in answers of XRootD servers, and their meanings.
_ANSWERS = {
    "[3011]": "no such file",
    "[3005]": "no such file",
    "[3016]": "is a folder, not a file",
    "[3010]": "may not be read (permission denied)",
}
_NO_ANSWER = "the server does not answer"
#: Messages of XRootD's client about a server, and their meanings.
_SILENCES = {
    "Auth failed": "the server refuses access; is there a valid grid proxy or bearer token?",
    "Token expired": "the server refuses access; the bearer token has expired, renew it",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not trusted; is X509_CERT_DIR right?",
    **dict.fromkeys(
        ("Invalid address", "Name or service not known", "nodename nor servname"),
        "there is no such host; is its name right?",
    ),
    **dict.fromkeys(
        ("Connection error", "Operation expired", "Socket timeout", "Cannot connect to host"),
        f"{_NO_ANSWER}; is its address right, and is it up?",
    ),
}
#: Schemes whose file systems need not be imported to know that they can be used.
_SCHEMES = {"file", "root", "https", "http", "davs", "dav"}
#: Schemes under which fsspec and uproot read from web servers.
_READ_AS = {"https": "davs", "http": "dav"}
for _scheme in _READ_AS.values():
    fsspec.register_implementation(
        _scheme, "bphcoffea.storage.webdav_reading.WebDAVFileSystem", errtxt="install aiohttp"
    )
#: Parameters of fsspec's file systems that stand for another file or storage.
_INNER = {"fo", "fs", "target_protocol"}
#: Time during which a server that did not answer is tried after all others, s.
_SILENCE_REMEMBERED = 60.0
#: Time of the failure, s, and its meaning, for each server that did not answer.
_silent: dict[str, tuple[float, str]] = {}


@dataclass(frozen=True)
class Retries:
    """Number of attempts, and their timing.

    Attributes
    ----------
    attempts
        Number of attempts at each place of a file.
    wait_s
        Pause before the second attempt, s; it doubles before each further one.
    timeout_s
        Timeout for an answer of a server, s.
    """

    attempts: int = 3
    wait_s: float = 1.0
    timeout_s: int = TIMEOUT

    def tries(self) -> Iterator[int]:
        """Yield the number of each attempt, with a pause before all but the first."""
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
    """File system of a path or URL, without a cache of listings.

    Methods raise OSError for folders that cannot be listed. fsspec's ``glob`` and ``find`` would
    leave out folders without permission, and take a server that does not answer for an empty one.

    Parameters
    ----------
    place
        A path, URL or pattern; :attr:`path` is its part after protocol and host.

    Raises
    ------
    ValueError
        If a URL contains a ``?``, after which XRootD expects parameters.
    """

    def __init__(self, place: str) -> None:
        options = {"timeout": TIMEOUT} if place.startswith("root://") else {}
        self._remote = "://" in place
        self._scheme = place.partition("://")[0]
        # fsspec would take a file "data:a.root" for a URL
        self._system, self.path = fsspec.core.url_to_fs(
            fsspec_url(place) if self._remote else f"local://{place}",
            **{"use_listings_cache": False, "skip_instance_cache": True} | options,
        )
        if self._remote and "?" in self.path:
            raise ValueError("in a URL '?' begins parameters; write the pattern with '*' or '[…]'")

    def find(self, path: str) -> Iterator[Place]:
        """Yield the place of exactly this name, or else all places that match it as a pattern."""
        # names of files may contain brackets, but hardly ever stars
        exact = self._look_up(path) if "*" not in path else None
        if exact:
            yield exact
        elif _is_pattern(path):
            top, *segments = path.split("/")
            yield from self._matching(Place(top or "/", is_folder=True), segments)

    def files(self, place: Place) -> Iterator[Place]:
        """Yield the place itself if it is a file, or else all files below it."""
        if not place.is_folder:
            yield place
            return
        for _, listing in self._walk(place):
            yield from (inside for inside in listing if not inside.is_folder)

    def name(self, place: Place) -> str:
        """Return the URL of a place, or its absolute path on a local disk."""
        if self._remote:
            url = str(self._system.unstrip_protocol(place.path))
            return (
                f"{self._scheme}://{url.partition('://')[2]}" if self._scheme in _READ_AS else url
            )
        return os.path.normpath(place.path)

    def _matching(self, folder: Place, segments: list[str]) -> Iterator[Place]:
        while segments and not _is_pattern(segments[0]):
            # not listed: the parents of a user's folder may not be readable
            folder = Place(_join(folder.path, segments.pop(0)), is_folder=True)
        place = self._look_up(folder.path)
        if not place or not segments:
            if place:
                yield place
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
        """Yield each folder from the top down, with its content."""
        folders, seen = [top], set()
        while folders:
            folder = folders.pop()
            # a link may lead back to a parent
            real = folder.path if self._remote else os.path.realpath(folder.path)
            if real in seen:
                continue
            seen.add(real)
            listing = self._listing(folder)
            folders += [inside for inside in listing if inside.is_folder]
            yield folder, listing

    def _listing(self, folder: Place) -> list[Place]:
        return [
            # in "/", XRootD's file system lists names that begin with "//"
            self._place(entry | {"name": _join(folder.path, _last(entry["name"]))})
            for entry in self._system.ls(folder.path, detail=True)
        ]

    def _look_up(self, path: str) -> Place | None:
        try:
            return self._place(self._system.info(path))
        except OSError as error:
            if _is_missing(error):
                return None
            raise

    def _place(self, entry: Mapping[str, object]) -> Place:
        path = str(entry["name"])
        linked = entry.get("islink") and self._system.isdir(path)
        return Place(path, bool(entry["type"] == "directory" or linked))


def reason(error: BaseException) -> str | None:
    """Return what an error of a disk or server means, in one line; None for other errors."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return "no such file"
    if isinstance(error, IsADirectoryError):
        return "is a folder, not a file"
    if isinstance(error, IrregularFileError):
        return error.strerror
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


def scheme_fault(place: str) -> str | None:
    """Return why URLs of this scheme cannot be used; None if they can, and for a path.

    >>> scheme_fault("srm://host/a.root")
    'srm:// cannot be used (Protocol not known: srm); give a path, root://, https:// or file://'
    """
    scheme = place.partition("://")[0] if "://" in place else "file"
    if scheme in _SCHEMES or "::" in scheme:
        return None
    try:
        parameters = signature(fsspec.get_filesystem_class(scheme).__init__).parameters
    except (ImportError, ValueError) as error:
        why = str(error)
    else:
        if _INNER.isdisjoint(parameters):
            return None
        why = "it stands for parts of another file or storage"
    return f"{scheme}:// cannot be used ({why}); give a path, root://, https:// or file://"


def fsspec_url(place: str) -> str:
    """Return the path or URL with which fsspec and uproot open a place.

    fsspec's own file system of web servers lists no folders, and takes each failure for a missing
    file.

    >>> fsspec_url("https://host/a.root"), fsspec_url("root://host//a.root")
    ('davs://host/a.root', 'root://host//a.root')
    """
    scheme, mark, rest = place.partition("://")
    return f"{_READ_AS.get(scheme, scheme)}{mark}{rest}"


def host(place: str) -> str:
    """Return the host and port of a URL, without user and password; empty for a path."""
    return urlsplit(place).netloc.rpartition("@")[2] if "://" in place else ""


def note_silence(place: str, meaning: str) -> None:
    """Remember that the server of a place did not answer, if `meaning` says so."""
    if host(place) and meaning.startswith(_NO_ANSWER):
        _silent[host(place)] = (time.monotonic(), meaning)


def by_silence(places: Iterable[str]) -> list[str]:
    """Return the places in order, with those on servers that recently did not answer at the end.

    Otherwise each file with replicas would wait for a dead server again.
    """
    return sorted(places, key=lambda place: silence_of(place) is not None)


def silence_of(place: str) -> str | None:
    """Return the recent failure of the server of a place; None if there was none."""
    since, meaning = _silent.get(host(place), (-_SILENCE_REMEMBERED, None))
    return meaning if time.monotonic() - since < _SILENCE_REMEMBERED else None


def shortened(text: str, longest: int = 160) -> str:
    """Return a text as one line of limited length, with secrets hidden before it is cut.

    >>> shortened("no such file:   root://me:secret@host//a.root", 40)
    'no such file: root://***@host//a.root'
    """
    line = redacted(" ".join(text.split()))
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _is_missing(error: OSError) -> bool:
    # NotADirectoryError: a parent in the path is a file
    is_local = isinstance(error, FileNotFoundError | NotADirectoryError)
    return is_local or any(code in str(error) for code in ("[3011]", "[3005]"))


def _is_pattern(path: str) -> bool:
    return any(character in path for character in "*?[")


def _join(folder: str, name: str) -> str:
    return f"{folder.rstrip('/')}/{name}"


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]
