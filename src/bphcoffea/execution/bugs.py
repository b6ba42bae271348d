"""Records of bugs: the place in the analysis, the chunk that met them, the traceback."""

from __future__ import annotations

import contextlib
import linecache
import logging
import sys
import sysconfig
import traceback
from dataclasses import dataclass, replace
from pathlib import Path

import bphcoffea
from bphcoffea.analysis.variables import Variable
from bphcoffea.errors import DeclarationError
from bphcoffea.processing.candidates import VariableError
from bphcoffea.redaction import redacted, redacted_data
from bphcoffea.streams import guard_streams

#: How coffea begins the message of the exception in which it wraps another one.
_WRAPPERS = ("Failed processing file: ", "Failed creating nanoevents: ", "Failed to open file: ")
#: Lines of a message that are shown; awkward appends long advice.
_MOST_LINES = 12


@dataclass(frozen=True)
class Bug:
    """A bug, as it is reported to the person who can mend it.

    Attributes
    ----------
    error
        Kind and message of the exception, such as ``ValueError: …``.
    traceback
        All of it, as text.
    file, line, function
        Where it is: the innermost line of the analysis, or of the library if there is none; empty
        if a declaration is wrong and its line is not known.
    source
        The line itself; empty if it can't be read here.
    is_users
        Whether the analysis is wrong, as far as that can be seen, not the library.
    chunk
        Dataset, file and entries in which it was met; empty if no chunk was processed.
    """

    error: str
    traceback: str
    file: str = ""
    line: int = 0
    function: str = ""
    source: str = ""
    is_users: bool = False
    chunk: str = ""

    @classmethod
    def of(cls, error: BaseException, chunk: str = "") -> Bug:
        """Make the record of an exception, where it was caught."""
        if isinstance(error, BugError):
            return error.bug
        whole = "".join(traceback.format_exception(error))
        cause: BaseException | None = error
        while cause is not None and str(cause).startswith(_WRAPPERS):
            cause = cause.__cause__
        error = cause or error
        found = cls(
            error=redacted(_shortened(f"{type(error).__name__}: {error}".removesuffix(": "))),
            traceback=redacted(whole),
            is_users=isinstance(error, DeclarationError | VariableError),
            chunk=redacted(chunk),
        )
        frames = list(traceback.extract_tb(error.__traceback__))
        users = [frame for frame in frames if not _is_library(frame.filename)]
        if not users and isinstance(error, VariableError):
            users = _definition_of(error.variable)
        if not users and not found.is_users:
            frames = [frame for frame in frames if _is_ours(frame.filename)] or frames
        elif not users:
            frames = []
        for frame in (users or frames)[-1:]:
            return replace(
                found,
                file=frame.filename,
                line=frame.lineno or 0,
                function=frame.name,
                source=frame.line or "",
                is_users=found.is_users or bool(users),
            )
        return found

    def lines(self) -> list[str]:
        """Return the place, its source, the error and the chunk, a line each at least."""
        lines = []
        if self.file:
            source = self.source or linecache.getline(self.file, self.line).strip()
            lines = [f"{self.file}, line {self.line}, in {self.function}"]
            lines += [f"    {source}"] if source else []
        lines += self.error.splitlines()
        return [*lines, f"met in {self.chunk}"] if self.chunk else lines


class BugError(Exception):
    """A bug that a chunk met on its worker, with the traceback as text, since frames don't travel.

    Parameters
    ----------
    bug
        What is known of it.
    """

    def __init__(self, bug: Bug) -> None:
        super().__init__(bug)
        self.bug = bug

    def __str__(self) -> str:
        return "\n".join((*self.bug.lines(), "", self.bug.traceback))

    def __repr__(self) -> str:
        return f"BugError({self.bug.error!r})"


def declared_at(error: BaseException) -> str:
    """Return ``file, line N: `` of the analysis where an exception was raised; empty if elsewhere.

    Parameters
    ----------
    error
        What a declaration raised that the analysis makes only when it processes events.
    """
    frames = traceback.extract_tb(error.__traceback__)
    users = [frame for frame in frames if not _is_library(frame.filename)]
    return f"{users[-1].filename}, line {users[-1].lineno}: " if users else ""


def _definition_of(variable: Variable) -> list[traceback.FrameSummary]:
    """Return where the function of a variable is defined, if that is in the analysis."""
    code = getattr(variable.function, "__code__", None)
    if code is None or _is_library(code.co_filename):
        return []
    return [traceback.FrameSummary(code.co_filename, code.co_firstlineno, code.co_name)]


def _shortened(text: str) -> str:
    lines = [line[:300] for line in text.splitlines()]
    return "\n".join([*lines[:_MOST_LINES], *["…"] * (len(lines) > _MOST_LINES)])


def _is_library(file: str) -> bool:
    """Whether a frame's file is installed, generated, or of this package but its analyses."""
    path = Path(file)
    if _is_ours(file):
        return "_shipped" not in path.parts
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    standard = Path(sysconfig.get_path("stdlib"))
    cell = file.startswith("<ipython-input")
    return bool(installed) or standard in path.parents or (file.startswith("<") and not cell)


def _is_ours(file: str) -> bool:
    return Path(bphcoffea.__file__).parent in Path(file).parents


class _Quiet(logging.Filter):
    """Drops what a worker of Dask logs of a bug that the client reports; hides secrets of others.

    It would log each chunk that fails at the same time, with the whole traceback and the chunk,
    whose URL may hold a token.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if any(str(value).startswith(("BugError(", "MissingExtraError(")) for value in arguments):
            return False
        if str(record.msg).startswith("Async instruction for "):  # ended with the run
            return False
        record.args = tuple(redacted_data(value) for value in arguments) or record.args
        return True


_QUIET = _Quiet()


def guard_worker() -> None:
    """Keep bugs and secrets out of the log and the output of Dask's worker, if this is one."""
    if "distributed.worker" not in sys.modules:
        return
    from distributed import get_worker

    for name in ("distributed.worker", "distributed.worker.state_machine"):
        logging.getLogger(name).addFilter(_QUIET)
    with contextlib.suppress(ValueError):  # no worker runs here
        get_worker()
        guard_streams()
