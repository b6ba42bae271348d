"""Progress: a bar at a real terminal, lines in a log, nothing else in either."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import termios
import textwrap

import pytest
from rich.progress import Progress
from services.processes import until

from bphcoffea.errors import InputError
from bphcoffea.execution.executors.dask_cluster import ClusterExecutor
from bphcoffea.execution.executors.processes import IterativeExecutor, ProcessExecutor
from bphcoffea.progress import INTERVAL_S, Bar, line, progress

TIME = r"\d\d:\d\d "


@pytest.fixture
def often(monkeypatch):
    """A line every millisecond, in a log that others would take for a terminal."""
    monkeypatch.setenv(INTERVAL_S, "0.001")
    monkeypatch.setenv("FORCE_COLOR", "1")


class Counted:
    """A bar whose clock is set by hand."""

    def __init__(self, total, unit="chunk"):
        self.now = 0.0
        display = Progress(disable=True, get_time=lambda: self.now, speed_estimate_period=600)
        number = display.add_task("Processing", total=total, unit=unit)
        self.task = display.tasks[number]
        self.bar = Bar(display, self.task)

    @property
    def line(self):
        return re.sub(f"^{TIME}", "", line(self.task))


@pytest.mark.parametrize(
    ("done", "total", "seconds", "text"),
    [
        (1240, 9300, 58, "1,240 of 9,300 chunks (13%), 21.4/s, 6 min left"),
        (1, 2, 1, "1 of 2 chunks (50%), 1/s, 1 s left"),
        (3, 100, 360, "3 of 100 chunks (3%), 30/h, 3 h 14 min left"),
        (3, 40, 90, "3 of 40 chunks (8%), 2/min, 18 min left"),
        (3, 4000, 300, "3 of 4,000 chunks (0%), 36/h, 4 d 15 h left"),
        (7, 7, 100, "7 of 7 chunks (100%), 4.2/min, done in 2 min"),
        (1, 1, 5, "1 of 1 chunk (100%), 12/min, done in 5 s"),
    ],
)
def test_a_line_says_what_is_done_how_fast_and_how_long_it_takes(done, total, seconds, text):
    counted = Counted(total)
    # the rate is that between the first advance, of nothing, and the last
    counted.bar.advance(0)
    counted.now = seconds
    counted.bar.advance(done)
    assert counted.line == f"Processing: {text}"


@pytest.mark.parametrize("executor", [IterativeExecutor, ProcessExecutor, ClusterExecutor])
def test_units_of_executors_are_in_the_singular(executor):
    assert Counted(2, executor.unit).line == "Processing: 0 of 2 items (0%)"


def test_nothing_is_said_of_a_rate_that_is_not_known():
    counted = Counted(4)
    assert counted.line == "Processing: 0 of 4 chunks (0%)"
    counted = Counted(None, "file")
    assert counted.line == "Processing: 0 files"
    counted.bar.update(1, 3)
    assert counted.line == "Processing: 1 of 3 files (33%)"


def test_the_rate_is_known_when_more_is_to_be_done_than_was_expected():
    counted = Counted(None)
    for done, total in ((0, 2), (1, 2), (2, 2), (3, 5)):
        counted.bar.update(done, total)
        counted.now += 2
    assert counted.line == "Processing: 3 of 5 chunks (60%), 30/min, 4 s left"


def test_a_log_gets_lines_also_while_nothing_is_done(often, capsys):
    written = []

    def has_lines():
        written.extend(capsys.readouterr().err.splitlines())
        return len(written) > 2

    with progress(2, "Processing", "chunk") as bar:
        for _ in bar.track(range(2)):
            until(has_lines)
    out, err = capsys.readouterr()
    assert out == ""
    *lines, last = written + err.splitlines()
    assert all(re.fullmatch(f"{TIME}Processing: .*", each) for each in lines), lines
    assert re.fullmatch(f"{TIME}Processing: 2 of 2 chunks \\(100%\\), .*, done in .*", last)


def test_what_takes_less_than_a_minute_says_nothing_in_a_log(capsys):
    with progress(2, "Processing", "chunk") as bar:
        bar.advance(2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("value", ["0", "-1", "often", "nan"])
def test_an_interval_that_is_no_time_is_refused(value, monkeypatch):
    monkeypatch.setenv(INTERVAL_S, value)
    with pytest.raises(InputError, match=f"{INTERVAL_S} is '{value}': "), progress(1, "x", "y"):
        pass


def test_commands_show_their_progress(often, bphcoffea, tmp_path):
    toys = ("toys", "ds_phipi", "-o", tmp_path / "toys", "--events", "10")
    assert bphcoffea("-q", *toys)[::2] == (0, [])
    status, out, err = bphcoffea(*toys, "--overwrite")
    assert status == 0
    assert re.fullmatch(f"{TIME}Making toys: 12 of 12 files \\(100%\\), .*", err[-1])
    assert "Making toys" not in out
    run = ("run", "ds_phipi", tmp_path / "toys/fileset.json", "--dataset", "toy_2017")
    status, out, err = bphcoffea(*run, "-o", tmp_path / "run", "--executor", "iterative")
    assert status == 0
    for text in ("Opening files: 2 of 2 files", "Processing: 2 of 2 chunks"):
        assert any(re.fullmatch(f"{TIME}{text} \\(100%\\), .*", each) for each in err), err
        assert text not in out


BAR = """
import sys, time
from bphcoffea.progress import progress

with progress(3, "Processing", "chunk") as bar:
    bar.advance()
    print("printed meanwhile", flush=True)
    while {wait}:
        time.sleep(0.01)
"""


@pytest.fixture
def at_a_terminal(tmp_path):
    """Start code at a terminal, its output in a file; gives what the terminal was sent."""
    controller, terminal = os.openpty()

    def at_a_terminal(code, interrupt=False):
        before = termios.tcgetattr(controller)
        shown = b""
        with (tmp_path / "out").open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code)],
                stdin=terminal,
                stdout=out,
                stderr=terminal,
                env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
            )
            os.close(terminal)
            # reading is an error when the process has closed the terminal
            with contextlib.suppress(OSError):
                while True:
                    shown += os.read(controller, 10_000)
                    if interrupt and b"chunks" in shown:
                        process.send_signal(signal.SIGINT)
                        interrupt = False
            status = process.wait(60)
        assert termios.tcgetattr(controller) == before
        return status, shown.decode()

    yield at_a_terminal
    os.close(controller)


HIDDEN, SEEN = "\x1b[?25l", "\x1b[?25h"


def test_a_terminal_gets_a_bar_and_a_file_what_is_printed(at_a_terminal, tmp_path):
    status, shown = at_a_terminal(BAR.format(wait=False))
    assert status == 0
    assert "Processing" in shown
    assert "33%" in shown
    assert "1 of 3 chunks" in shown
    assert "printed" not in shown
    assert (tmp_path / "out").read_text() == "printed meanwhile\n"


def test_ctrl_c_leaves_the_terminal_in_order(at_a_terminal):
    status, shown = at_a_terminal(BAR.format(wait=True), interrupt=True)
    assert status != 0
    assert shown.count(HIDDEN) == shown.count(SEEN) == 1
    assert shown.index(HIDDEN) < shown.index("Processing") < shown.index(SEEN)
