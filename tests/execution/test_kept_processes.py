"""Processes are kept between runs of one session, unless these want others."""

import os
import signal
import subprocess
import sys
import textwrap

import cloudpickle
import pytest
from services.processes import until

from bphcoffea.execution.executors import processes
from bphcoffea.execution.executors.processes import kept_pool


def pid_of(_=None):
    return os.getpid()


@pytest.fixture(autouse=True)
def none_left():
    yield
    processes._kill_kept()


def runs_in(**options):
    """Process of the worker of a run."""
    with kept_pool(1, **options) as pool:
        return pool.submit(pid_of, None).result()


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_next_run_has_the_same_processes():
    assert runs_in() == runs_in() != os.getpid()


def test_ctrl_c_does_not_reach_the_processes(spawned_workers):
    """They inherit what is blocked when they start, so that not even an import is interrupted."""
    with kept_pool(1) as pool:
        assert pool.submit(blocked, None).result() == {signal.SIGINT}
    assert signal.SIGINT not in blocked()


def test_numpy_starts_no_threads_in_a_process(spawned_workers):
    with kept_pool(1) as pool:
        assert pool.submit(threads_of_algebra, None).result() == "1"


def threads_of_algebra(_=None):
    return os.environ["OPENBLAS_NUM_THREADS"]


def blocked(_=None):
    return signal.pthread_sigmask(signal.SIG_BLOCK, ())


@pytest.mark.parametrize("changed", ["variable", "folder", "proxy", "workers"])
def test_a_run_that_wants_others_gets_new_ones(changed, tmp_path, monkeypatch):
    proxy = tmp_path / "proxy"
    proxy.write_text("first")
    os.utime(proxy, (1, 1))
    first = runs_in(proxy=proxy)
    if changed == "variable":
        monkeypatch.setenv("XRD_REQUESTTIMEOUT", "7")
    elif changed == "folder":
        monkeypatch.chdir(tmp_path)
    elif changed == "proxy":
        os.utime(proxy, (2, 2))
    if changed == "workers":
        with kept_pool(2, proxy) as pool:
            assert pool.submit(pid_of, None).result() != first
    else:
        assert runs_in(proxy=proxy) != first
    until(lambda: not is_alive(first))


def test_after_an_error_nothing_is_kept():
    first = runs_in()
    with pytest.raises(ValueError, match="wrong"), kept_pool(1):
        raise ValueError("wrong")
    until(lambda: not is_alive(first))
    assert runs_in() != first


def test_a_kept_process_that_was_killed_is_replaced():
    first = runs_in()
    os.kill(first, 9)
    until(lambda: not is_alive(first))
    with kept_pool(1) as pool:
        executor = processes.ProcessExecutor(pool=pool, status=False)
        found, _ = executor([0, 0], pid_set, set())
    assert found
    assert first not in found


def pid_set(_):
    return {os.getpid()}


def test_no_more_processes_than_items():
    with kept_pool(3) as pool:
        executor = processes.ProcessExecutor(pool=pool, status=False)
        for items, expected in ((1, 1), (2, 2), (9, 3), (1, 3)):
            executor([0] * items, pid_set, set())
            assert len(pool._pool._processes) == expected


def test_changed_code_is_run():
    for text in ("old", "new"):
        module = {}
        exec(f"def answer(_): return {text!r}", module)
        with kept_pool(1) as pool:
            sent = cloudpickle.dumps(module["answer"])
            assert pool.submit(answer_of, sent).result() == text


def answer_of(sent):
    return cloudpickle.loads(sent)(None)


def test_they_end_with_the_session():
    code = """
        from bphcoffea.execution.executors.processes import kept_pool

        if __name__ == "__main__":
            with kept_pool(1) as pool:
                print(pool.submit(eval, "__import__('os').getpid()").result())
    """
    made = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert made.stderr == ""
    until(lambda: not is_alive(int(made.stdout)))
