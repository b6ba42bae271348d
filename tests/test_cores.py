"""Work in threads gives the same results in the same order; numpy has no threads by itself."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.cores import cores, in_threads, one_algebra_thread


@given(st.lists(st.integers()), st.integers(1, 5))
def test_results_in_order(items, threads):
    assert in_threads(lambda item: item + 1, items, threads) == [i + 1 for i in items]


def test_they_work_at_the_same_time():
    meeting = threading.Barrier(2, timeout=60)
    waited = {0: meeting.wait, 1: meeting.wait}
    in_threads(lambda item: waited.get(item, int)(), range(8), 2)


def test_an_error_is_raised():
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda item: 1 // (item - 7), range(20), 2)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs the /proc of Linux")
@pytest.mark.parametrize(("chosen", "threads"), [(None, 1), ("2", min(2, cores()))])
def test_numpy_starts_no_threads_unless_someone_wants_them(chosen, threads, monkeypatch):
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if chosen:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", chosen)
    code = "import os, numpy; print(len(os.listdir('/proc/self/task')))"
    environment = os.environ | one_algebra_thread()
    ran = subprocess.run([sys.executable, "-c", code], env=environment, stdout=-1, check=True)
    assert int(ran.stdout) == threads
