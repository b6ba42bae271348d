"""Records of bugs: their place in the code, the chunk that triggered them, and the traceback."""

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
from bphcoffea.analysis import Variable
from bphcoffea.errors import DeclarationError
from bphcoffea.processing import VariableError
from bphcoffea.redaction import redacted, redacted_data
from bphcoffea.streams import guard_streams

#: Beginnings of messages of exceptions in which coffea wraps another one.
_WRAPPERS = ("Failed processing file: ", "Failed creating nanoevents: ", "Failed to open file: ")
#: Number of lines of a message that are shown; awkward appends long advice.
_MAX_LINES = 12


@dataclass(frozen=True)
class Bug:
    """Record of a bug, for the person who can mend it.

    Attributes
    ----------
    error
        Type and message of the exception, such as ``ValueError: …``.
    traceback
        Complete traceback, as text.
    file, line, function
        Place of the bug: the innermost frame in the analysis, or else in the library; empty if a
        declaration is wrong and its line is unknown.
    source
        Source code of the line; empty if it cannot be read here.
    in_analysis
        Whether the bug is in the analysis, as far as can be seen, and not in the library.
    chunk
        Dataset, file and entries of the chunk that triggered it; empty if there is none.
    """

    error: str
    traceback: str
    file: str = ""
    line: int = 0
    function: str = ""
    source: str = ""
    in_analysis: bool = False
    chunk: str = ""

    @classmethod
    def from_exception(cls, error: BaseException, chunk: str = "") -> Bug:
        """Return the record of an exception; call it where the exception is caught."""
        if isinstance(error, BugError):
            return error.bug
        full_traceback = "".join(traceback.format_exception(error))
        cause: BaseException | None = error
        while cause is not None and str(cause).startswith(_WRAPPERS):
            cause = cause.__cause__
        error = cause or error
        bug = cls(
            error=redacted(_shortened(f"{type(error).__name__}: {error}".removesuffix(": "))),
            traceback=redacted(full_traceback),
            in_analysis=isinstance(error, DeclarationError | VariableError),
            chunk=redacted(chunk),
        )
        frames = list(traceback.extract_tb(error.__traceback__))
        analysis_frames = [frame for frame in frames if not _is_library(frame.filename)]
        if not analysis_frames and isinstance(error, VariableError):
            analysis_frames = _definition_of(error.variable)
        if analysis_frames:
            frames = analysis_frames
        elif bug.in_analysis:
            frames = []
        else:
            frames = [frame for frame in frames if _is_in_package(frame.filename)] or frames
        for frame in frames[-1:]:
            return replace(
                bug,
                file=frame.filename,
                line=frame.lineno or 0,
                function=frame.name,
                source=frame.line or "",
                in_analysis=bug.in_analysis or bool(analysis_frames),
            )
        return bug

    def lines(self) -> list[str]:
        """Return the place, its source, the error and the chunk as lines of text."""
        lines = []
        if self.file:
            source = self.source or linecache.getline(self.file, self.line).strip()
            lines = [f"{self.file}, line {self.line}, in {self.function}"]
            lines += [f"    {source}"] if source else []
        lines += self.error.splitlines()
        return [*lines, f"while processing {self.chunk}"] if self.chunk else lines


class BugError(Exception):
    """A bug that a worker met; its traceback is text, because frames cannot be pickled.

    Parameters
    ----------
    bug
        Record of the bug.
    """

    def __init__(self, bug: Bug) -> None:
        super().__init__(bug)
        self.bug = bug

    def __str__(self) -> str:
        return "\n".join((*self.bug.lines(), "", self.bug.traceback))

    def __repr__(self) -> str:
        return f"BugError({self.bug.error!r})"


def declared_at(error: BaseException) -> str:
    """Return the place in an analysis that raised an error, ``file, line N: ``; empty if none."""
    traced = traceback.extract_tb(error.__traceback__)
    frames = [frame for frame in traced if not _is_library(frame.filename)]
    return f"{frames[-1].filename}, line {frames[-1].lineno}: " if frames else ""


def _definition_of(variable: Variable) -> list[traceback.FrameSummary]:
    """Return the frame that defines a variable's function, if it is in the analysis."""
    code = getattr(variable.function, "__code__", None)
    if code is None or _is_library(code.co_filename):
        return []
    return [traceback.FrameSummary(code.co_filename, code.co_firstlineno, code.co_name)]


def _shortened(text: str) -> str:
    lines = [line[:300] for line in text.splitlines()]
    return "\n".join([*lines[:_MAX_LINES], *["…"] * (len(lines) > _MAX_LINES)])


def _is_library(file: str) -> bool:
    """Return whether a file is not an analysis: installed, generated, or of this package."""
    path = Path(file)
    if _is_in_package(file):
        return "_shipped" not in path.parts
    installed = {"site-packages", "dist-packages"} & set(path.parts)
    standard = Path(sysconfig.get_path("stdlib"))
    cell = file.startswith("<ipython-input")
    return bool(installed) or standard in path.parents or (file.startswith("<") and not cell)


def _is_in_package(file: str) -> bool:
    return Path(bphcoffea.__file__).parent in Path(file).parents


class _Quiet(logging.Filter):
    """Drops records of a Dask worker about bugs, which the client reports; redacts the others.

    The worker would log every failing chunk with its traceback and its URL, which may contain a
    token.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        arguments = record.args if isinstance(record.args, tuple) else ()
        if any(str(value).startswith(("BugError(", "MissingExtraError(")) for value in arguments):
            return False
        if str(record.msg).startswith("Async instruction for "):  # cancelled at the end of the run
            return False
        record.args = tuple(redacted_data(value) for value in arguments) or record.args
        return True


_QUIET = _Quiet()


def guard_worker() -> None:
    """Keep bugs and secrets out of the logs and output of this process, if it is a Dask worker."""
    if "distributed.worker" not in sys.modules:
        return
    from distributed import get_worker

    for name in ("distributed.worker", "distributed.worker.state_machine"):
        logging.getLogger(name).addFilter(_QUIET)
    with contextlib.suppress(ValueError):  # this process has no worker
        get_worker()
        guard_streams()
