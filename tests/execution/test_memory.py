"""Freed memory is kept, also where Dask has asked glibc to give it back."""

import os
import platform
import subprocess
import sys

import pytest

#: Makes and frees arrays, and prints how many pages the system has cleared for them.
CODE = """
import resource, sys
import numpy as np
from bphcoffea.execution import memory

if sys.argv[1] == "keep":
    memory.keep_freed()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    return [np.ones(2_000_000) for _ in range(5)]

work()
before = faults()
for _ in range(10):
    work()
print(faults() - before)
"""


def cleared(what):
    environment = os.environ | {"MALLOC_TRIM_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", CODE, what]
    return int(subprocess.run(command, env=environment, stdout=subprocess.PIPE).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_kept():
    assert cleared("leave") > 10 * cleared("keep")
