"""Time and memory of whole processes with all that they start."""

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial

import psutil

#: Interval between samples of the memory, s.
INTERVAL = 0.2


class PeakMemory(threading.Thread):
    """Sample the memory of a process and its descendants, in which shared pages count once."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.ended = pid, 0, threading.Event()

    def run(self):
        while not self.ended.wait(INTERVAL):
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(self.pid)
                self.peak = max(self.peak, sum(map(_pss, [process, *process.children(True)])))


def _pss(process):
    with contextlib.suppress(psutil.Error):
        memory = process.memory_full_info()
        return getattr(memory, "pss", memory.uss)
    return 0


def _use(cores):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def measure(command, environment, cores=None):
    """Run a command and return its wall time, CPU time (s), peak memory (MB) and the load.

    It may use so many cores; all by default. The CPU time includes all processes that it started
    and waited for. Memory is sampled.
    """
    with tempfile.TemporaryFile() as errors:
        load = os.getloadavg()[0]
        clock = time.perf_counter()
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            preexec_fn=cores and partial(_use, cores),
        )
        memory = PeakMemory(process.pid)
        memory.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - clock
        process.returncode = os.waitstatus_to_exitcode(status)
        memory.ended.set()
        memory.join()
        if process.returncode:
            errors.seek(0)
            text = errors.read().decode(errors="replace")
            sys.exit(f"{text}\nstatus {process.returncode} of: {' '.join(map(str, command))}")
    return {
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": memory.peak / 1e6,
        "load": load,
    }
