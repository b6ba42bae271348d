"""The benchmark beside RDataFrame works, on small files; it measures nothing here."""

import importlib.util
import json
import os
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT_FOLDER = Path(__file__).parents[2]
BENCHMARK = ROOT_FOLDER / "benchmarks" / "rdataframe"
DATA = ROOT_FOLDER / "tests" / "data"


@pytest.fixture
def compete(tmp_path, monkeypatch, capsys):
    """Run the benchmark in this process; each contestant is a process of its own."""

    def compete(file, *contestants):
        words = ["--analysis", "ds_phipi", "--format", "ttree", "--input", DATA / file]
        words += ["--files", 1, "--repeat", 1, "-o", tmp_path, "--only", *contestants]
        monkeypatch.setattr(sys, "argv", [str(BENCHMARK), *map(str, words)])
        runpy.run_path(str(BENCHMARK), run_name="__main__")
        content = json.loads((tmp_path / "rdataframe.json").read_text())
        return content["ds_phipi, ttree"], capsys.readouterr().out

    return compete


def test_each_contestant_is_measured_and_drawn(compete, tmp_path):
    names = ["iterative-1", "uproot", "libdeflate"]
    content, printed = compete("tree3mu_phipi_2017.root", *names)
    for entries in (content["rows"], content["summary"]):
        assert [entry["contestant"] for entry in entries] == names
        assert all(entry["events"] == 300 for entry in entries)
        assert all(entry["cpu_s"] > 0 and entry["peak_mb"] > 0 for entry in entries)
    assert all(name in printed for name in names)
    assert (tmp_path / "ds_phipi_ttree.png").stat().st_size


@pytest.mark.skipif(not importlib.util.find_spec("ROOT"), reason="needs ROOT (make bench)")
def test_rdataframe_selects_the_same_events_even_of_traps(compete):
    compete("tree3mu_phipi_traps.root", "rdataframe-1", "iterative-1")


def test_fixed_cost_and_cost_per_event_are_told_apart(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    from summary import summarise

    rows = [
        {"contestant": name, "files": files, "events": 1_000 * files, "peak_mb": 100}
        # the machine is slower in each turn
        | {f"{kind}_s": turn * (fixed + 1e-3 * files * slope) for kind in ("wall", "cpu")}
        for turn in (1, 1.5, 1.1)
        for files in (1, 2, 4)
        for name, fixed, slope in (("first", 10, 20), ("second", 1, 5))
    ]
    first, second = summarise(rows)
    assert second["repetitions"] == 3
    for kind in ("wall", "cpu"):
        assert first[f"{kind}_fixed_s"] == pytest.approx(11)
        assert first[f"{kind}_us_per_event"] == pytest.approx(22)
        assert second[f"{kind}_us_per_event"] == pytest.approx(5.5)
        assert second[f"{kind}_us_per_event_spread"] == pytest.approx((6.5 - 5.25) / 2)
        assert second[f"{kind}_us_per_event_ratio"] == pytest.approx(0.25)


RESULT = {
    "cutflow": [("all", 3, 4)],
    "histograms": {"mass": np.array([0.0, 1.0, 0.0])},
    "events": np.array([[1], [1], [7]]),
    "table": {"mass": np.array([1.9]), "category": np.array(["A"], object)},
    "sections": 1,
}


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, []),
        ({"cutflow": [("all", 3, 5)]}, ["cutflow"]),
        ({"histograms": {"mass": np.array([1.0, 0.0, 0.0])}}, ["histogram mass"]),
        ({"histograms": {}}, ["histograms of one alone"]),
        ({"events": np.array([[1], [1], [8]])}, ["selected events"]),
        ({"table": {"mass": np.array([1.90001])}}, ["column mass"]),
        ({"table": {"category": np.array(["B"], object)}}, ["column category"]),
        ({"sections": 2}, ["luminosity sections"]),
    ],
)
def test_each_difference_between_contestants_is_found(changed, found, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    from agreement import differences

    lines = differences(RESULT, RESULT | changed)
    assert [line.split(":")[0] for line in lines] == found


def test_measured_time_and_memory_are_those_of_all_processes(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARK)
    from measuring import measure

    child = "import time\nkept = bytearray(100_000_000)\nkept[::4096] = b'x' * len(kept[::4096])\n"
    child += "while time.process_time() < 0.7: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    measured = measure([sys.executable, "-c", parent], os.environ)
    assert measured["cpu_s"] >= 0.7
    assert measured["wall_s"] >= 0.7
    assert measured["peak_mb"] > 100
