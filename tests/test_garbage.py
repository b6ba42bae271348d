"""Python searches for garbage rarely at first, but not where others have decided how often."""

import subprocess
import sys

CODE = """
import gc
first, frozen = gc.get_threshold(), gc.get_freeze_count()
from bphcoffea import garbage
garbage.search_as_usual()
assert (gc.get_threshold(), gc.get_freeze_count()) == (first, frozen)
garbage.search_rarely()
assert gc.get_threshold()[0] > 10 * first[0]
garbage.search_as_usual()
assert gc.get_threshold() == first and gc.get_freeze_count() > frozen
gc.set_threshold(123, 4, 5)
garbage.search_rarely()
garbage.search_as_usual()
assert gc.get_threshold() == (123, 4, 5)
"""


def test_settings_of_others_stay():
    subprocess.run([sys.executable, "-c", CODE], check=True)
