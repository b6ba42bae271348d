"""Python searches for garbage rarely at first, but not where others have decided how often."""

import gc
import subprocess
import sys

import pytest

from bphcoffea import garbage

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


@pytest.mark.parametrize("enabled", [True, False])
def test_no_garbage_is_searched_in_a_block_also_if_it_fails(enabled, monkeypatch):
    monkeypatch.setattr(gc, "isenabled", lambda: enabled)
    calls = []
    monkeypatch.setattr(gc, "disable", lambda: calls.append("disable"))
    monkeypatch.setattr(gc, "enable", lambda: calls.append("enable"))
    with pytest.raises(ValueError, match="fails"), garbage.unsearched():
        raise ValueError("fails")
    assert calls == ["disable"] + ["enable"] * enabled


def test_all_is_searched_after_many_objects_were_made(monkeypatch):
    monkeypatch.setattr(garbage, "_MOST_MADE", 25_000)
    monkeypatch.setattr(garbage, "_made", 0)
    searches = []
    monkeypatch.setattr(gc, "collect", lambda: searches.append(len(kept)))
    kept = []
    for _ in range(7):
        with garbage.unsearched():
            kept.append([[] for _ in range(10_000)])
    assert searches == [3, 6]
