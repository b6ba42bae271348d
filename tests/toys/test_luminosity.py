"""Luminosity sections of the toy: table, certified sections and events agree."""

import csv
import json
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uproot
from scipy.stats import chi2

from bphcoffea.toys import TOYS
from bphcoffea.toys.calibration import DATA_INTERACTIONS
from bphcoffea.toys.ds_phipi import DsPhiPiToy
from bphcoffea.toys.toy import EVENTS_PER_LUMINOSITY

EVENTS = 30_000
HEADER = "#run:fill,ls,time,beamstatus,E(GeV),delivered(/fb),recorded(/fb),avgpu,source"
LAST_DAY = datetime(2018, 10, 25)
DATA = ("toy_2017", "toy_2018")
Section = tuple[int, int]


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return TOYS["ds_phipi"](tmp_path_factory.mktemp("toy"), EVENTS, seed=8).parent


@pytest.fixture(scope="module")
def rows(toy) -> list[list[str]]:
    lines = (toy / "luminosity.csv").read_text(encoding="utf-8").splitlines()
    return list(csv.reader(line for line in lines if not line.startswith("#")))


@pytest.fixture(scope="module")
def events(toy) -> dict[str, Counter[Section]]:
    """Return the number of events of each section, for each file of data."""
    fileset = json.loads((toy / "fileset.json").read_text(encoding="utf-8"))
    found = {}
    for name in (file for dataset in DATA for file in fileset[dataset]["files"]):
        with uproot.open(toy / name) as file:
            arrays = file[DsPhiPiToy.tree].arrays(["run", "lumi"])
        found[name] = Counter(zip(arrays.run.tolist(), arrays.lumi.tolist(), strict=True))
    return found


def recorded(rows: list[list[str]]) -> dict[Section, float]:
    return {(int(r[0].split(":")[0]), int(r[1].split(":")[0])): float(r[6]) for r in rows}


def test_the_table_looks_like_brilcalcs(toy, rows):
    lines = (toy / "luminosity.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#")
    assert lines[1] == HEADER
    summary = lines.index("#Summary:")
    assert all(line.startswith("#") for line in lines[summary:])
    assert not any(line.startswith("#") for line in lines[2:summary])
    for row in rows:
        run_fill, section, time, *_ = row
        run, fill = map(int, run_fill.split(":"))
        assert 302_031 <= run <= 325_175
        assert 6160 <= fill <= 7334
        assert section.split(":")[0] == section.split(":")[1]
        assert datetime(2017, 9, 1) < datetime.strptime(time, "%m/%d/%y %H:%M:%S") < LAST_DAY
        assert row[3:5] == ["STABLE BEAMS", "6500"]
        assert 0 < float(row[6]) < float(row[5]) < 1.1 * float(row[6])
        assert float(row[7]) == pytest.approx(DATA_INTERACTIONS[0], abs=12)
        assert row[8] == "HFOC"
    names, numbers = (line[1:].split(",") for line in lines[summary + 1 :])
    summary_line = dict(zip(names, map(float, numbers), strict=True))
    assert summary_line["nls"] == summary_line["ncms"] == len(rows)
    assert summary_line["nrun"] == len({row[0].split(":")[0] for row in rows})
    assert summary_line["nfill"] == len({row[0].split(":")[1] for row in rows})
    for column, name in ((5, "totdelivered(/fb)"), (6, "totrecorded(/fb)")):
        # nine digits each: only the sum's own rounding is left
        assert summary_line[name] == pytest.approx(
            sum(float(row[column]) for row in rows), abs=1e-12
        )


def test_each_section_has_one_row_and_events(rows, events):
    of_files = [set(file) for file in events.values()]
    assert len(recorded(rows)) == len(rows)
    assert set(recorded(rows)) == set.union(*of_files)
    assert sum(map(len, of_files)) == len(rows) > 400
    assert all(max(section for _, section in file) <= 900 for file in of_files)
    assert all(sum(file.values()) / len(file) >= 40 for file in events.values())


def test_a_files_sections_have_the_luminosity_of_its_events(rows, events):
    luminosity = recorded(rows)
    for file in events.values():
        expected = sum(file.values()) / EVENTS_PER_LUMINOSITY
        assert sum(luminosity[section] for section in file) == pytest.approx(expected, abs=1e-12)


def test_datasets_have_the_luminosity_of_the_table(toy, rows, events):
    fileset = json.loads((toy / "fileset.json").read_text(encoding="utf-8"))
    total = sum(fileset[name]["metadata"]["luminosity"] for name in DATA)
    assert sum(recorded(rows).values()) == pytest.approx(total, abs=1e-9)


def test_events_come_with_the_luminosity(rows, events):
    luminosity = recorded(rows)
    square = freedom = 0.0
    for file in events.values():
        total = sum(luminosity[section] for section in file)
        expected = {s: sum(file.values()) * luminosity[s] / total for s in file}
        square += sum((file[s] - expected[s]) ** 2 / expected[s] for s in file)
        freedom += len(file) - 1
    assert 1e-3 < chi2.sf(square, freedom) < 1 - 1e-3
    # and sections differ, by 20 % at most
    values = np.array(list(luminosity.values()))
    assert 0.06 < np.std(values) / np.mean(values) < 0.20


def test_golden_json_certifies_all_sections(toy, events):
    golden: dict[str, Any] = json.loads((toy / "golden.json").read_text(encoding="utf-8"))
    certified = {
        (int(run), section)
        for run, ranges in golden.items()
        for first, last in ranges
        for section in range(first, last + 1)
    }
    assert certified == set.union(*map(set, events.values()))


def test_time_goes_on(events, rows):
    sections: defaultdict[int, list[int]] = defaultdict(list)
    for run, section in recorded(rows):
        sections[run].append(section)
    assert list(sections) == sorted(sections)
    assert all(of_run == sorted(of_run) for of_run in sections.values())


def test_the_same_seed_gives_the_same_sections(tmp_path):
    for run, seed in enumerate((3, 3, 4)):
        TOYS["ds_phipi"](tmp_path / str(run), 2_000, seed)
    for name in ("luminosity.csv", "golden.json"):
        texts = [(tmp_path / str(run) / name).read_bytes() for run in range(3)]
        assert texts[0] == texts[1] != texts[2], name
