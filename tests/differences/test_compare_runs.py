"""Differences between runs over small toys, against a loop over their events."""

import itertools
import json
import shutil
from collections import Counter
from typing import NamedTuple

import awkward as ak
import energy_payloads
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from builders import fileset_content, write_nano
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea import compare_runs, load_analysis, load_corrections, run
from bphcoffea.analysis import Hidden
from bphcoffea.datasets import Fileset
from bphcoffea.differences.matching import match
from bphcoffea.differences.records import Cause
from bphcoffea.errors import RunError
from bphcoffea.execution import Options
from bphcoffea.results import RunFolder

EVENTS = 400
CODE = '''
import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    Analysis, Axis, Blind, Candidates, Cut, Histogram, MuonMomentum, Region, Selection, Variable
)
from bphcoffea.inputs import ReducedNanoAODSchema

charge = Variable("charge", lambda e: e.Pair.a.charge + e.Pair.b.charge)
spread = Variable("spread", lambda e: abs(e.Pair.a.eta - e.Pair.b.eta))
softer = Variable("softer", lambda e: np.minimum(e.Pair.a.pt, e.Pair.b.pt) * {unit})
harder = Variable("harder", lambda e: np.maximum(e.Pair.a.pt, e.Pair.b.pt), axis=Axis(10, 0, 100))


class Pairs(Analysis):
    """Pairs of muons."""

    schema = ReducedNanoAODSchema
    calibrations = (MuonMomentum("Muon"),)
    candidates = Candidates("Pair", best=spread)
    selection = Selection(
        Cut("charge", charge.equals(0)), Cut("near", spread < {near}, softer > {softer})
    )
    cuts_on_best = (Cut("hard", harder > {harder}),)
    regions = (Region("high", softer > {high}),)
    columns = (spread, softer, harder)
    histograms = (Histogram("harder", harder, Axis(10, 0, 100)),)
    blind = Blind("harder", windows=((40, 60),))

    def prepare(self, events):
        return ak.with_field(events, ak.combinations(events.Muon, 2, fields=["a", "b"]), "Pair")
'''


class Setting(NamedTuple):
    """How a run is made."""

    near: float = 1.5
    softer: float = 10.0
    harder: float = 20.0
    high: float = 25.0
    unit: float = 1.0
    momentum: float = 1.0
    certified: int = EVENTS
    files: tuple[int, ...] = (0, 1)

    def cuts(self, softer, harder, spread, charge):
        """Requirements of all steps, in order, with whether they are met."""
        return [
            ("charge", "charge = 0", charge == 0),
            ("near", f"spread < {self.near:g}", spread < self.near),
            ("near", f"softer > {self.softer:g}", softer > self.softer),
            ("hard", f"harder > {self.harder:g}", harder > self.harder),
        ]


@pytest.fixture(scope="module")
def toys(tmp_path_factory):
    """Two files of events with up to four muons, and their muons by event number."""
    folder = tmp_path_factory.mktemp("toys")
    rng = np.random.default_rng(7)
    muons = {}
    for number in (0, 1):
        counts = rng.integers(0, 5, EVENTS)
        size = counts.sum()
        columns = {
            "pt": (5 + rng.exponential(20, size)).astype(np.float32),
            "eta": rng.uniform(-2, 2, size).astype(np.float32),
            "phi": rng.uniform(-3, 3, size).astype(np.float32),
            "mass": np.full(size, 0.1, np.float32),
            "charge": rng.choice([-1, 1], size).astype(np.int32),
        }
        lists = {name: ak.unflatten(column, counts) for name, column in columns.items()}
        first = number * EVENTS
        event = (np.arange(EVENTS) + first).astype(np.uint64)
        write_nano(folder / f"{number}.root", EVENTS, muons=lists, event=event)
        for entry in range(EVENTS):
            muons[first + entry] = [
                {name: float(column[entry][i]) for name, column in lists.items()}
                for i in range(counts[entry])
            ]
    return folder, muons


@pytest.fixture(scope="module")
def made(toys, tmp_path_factory):
    """Return the folder of a run with a setting; equal ones are made once."""
    top, known = tmp_path_factory.mktemp("runs"), {}

    def made(setting, hidden=()):
        if (setting, hidden) not in known:
            folder = top / str(len(known))
            folder.mkdir()
            known[setting, hidden] = make(folder, toys[0], setting, hidden)
        return known[setting, hidden]

    return made


def make(folder, toys, setting, hidden=()):
    (folder / "pairs.py").write_text(CODE.replace("{", "{").format(**setting._asdict()))
    real = {"eta": "real", "phi": "real", "var": "string"}
    energy_payloads.scare(folder / "scare.json")
    content = json.loads((folder / "scare.json").read_text())
    constants = {"a_data": 0.0, "m_data": 1 / setting.momentum}
    others = [c for c in content["corrections"] if c["name"] not in constants]
    constant = [
        energy_payloads.correction(name, real, energy_payloads.choice("var", {"nom": value}))
        for name, value in constants.items()
    ]
    energy_payloads.store(folder / "scare.json", [*others, *constant])
    (folder / "golden.json").write_text(json.dumps({"315257": [[1, setting.certified]]}))
    (folder / "eras.toml").write_text(
        'name = "toys"\neras = ["*"]\n[muon_momentum.Muon]\nfile = "scare.json"\nmin_pt = 1.0\n'
        'max_pt = 1000.0\n[luminosity]\ngolden = "golden.json"\n'
    )
    analysis = load_analysis(str(folder / "pairs.py"))
    analysis = analysis.corrected(load_corrections([folder / "eras.toml"]))
    files = [toys / f"{number}.root" for number in setting.files]
    fileset = Fileset.model_validate(fileset_content({"D": files}, "Events"))
    analysis = analysis.hiding(Hidden(hidden))
    return run(analysis, fileset, folder / "run", Options("iterative"))


def lumi(event):
    return event % EVENTS // 10 + 1


def pairs_of(muons, setting):
    """All pairs of an event, in order, with the values of their variables."""
    for a, b in itertools.combinations(muons, 2):
        pts = [1 / (1 / setting.momentum / muon["pt"]) for muon in (a, b)]
        yield {
            "softer": min(pts) * setting.unit,
            "harder": max(pts),
            "spread": abs(np.float32(a["eta"]) - np.float32(b["eta"])),
            "charge": a["charge"] + b["charge"],
        }


def selected(toys, setting):
    """The position of the best pair, and whether it is in the region, by the event's number."""
    found = {}
    for event, muons in toys[1].items():
        if event // EVENTS not in setting.files or lumi(event) > setting.certified:
            continue
        pairs = [*pairs_of(muons, setting)]
        left = [
            (pair["spread"], i)
            for i, pair in enumerate(pairs)
            if all(met for name, _, met in setting.cuts(**pair) if name != "hard")
        ]
        if left:
            best = min(left)[1]
            if all(met for _, _, met in setting.cuts(**pairs[best])):
                found[event] = (best, pairs[best]["softer"] > setting.high)
    return found


def first_failure(toys, setting, event, position):
    """The requirement that rejects the pair of an event that another setting has selected."""
    if lumi(event) > setting.certified:
        return "golden_json", "its luminosity section is certified"
    pairs = [*pairs_of(toys[1][event], setting)]
    for name, text, met in setting.cuts(**pairs[position])[:3]:
        if not met:
            return name, text
    # it passes, so that either it fails what the best one must meet, or another one is better
    left = [(p["spread"], i) for i, p in enumerate(pairs) if all(c[2] for c in setting.cuts(**p)[:3])]
    return next(c[:2] for c in setting.cuts(**pairs[min(left)[1]]) if not c[2])


def expected(toys, have, lack):
    """Causes of the events that one setting selects and another one does not, by event."""
    kept, missing = selected(toys, have), selected(toys, lack)
    found = {}
    for event, (position, _) in kept.items():
        if event in missing:
            continue
        if event // EVENTS not in lack.files:
            found[event] = Cause("input", "the file was not read")
            continue
        failure = first_failure(toys, lack, event, position)
        for name, undone in {
            "muon_momentum.Muon": lack._replace(momentum=have.momentum),
            "luminosity.golden": lack._replace(certified=have.certified),
            "muon_momentum.Muon and luminosity.golden": lack._replace(
                momentum=have.momentum, certified=have.certified
            ),
        }.items():
            if event in selected(toys, undone):
                found[event] = Cause("correction", name, *failure)
                break
        else:
            corrected = lack._replace(momentum=have.momentum, certified=have.certified)
            last = first_failure(toys, corrected, event, position)
            texts = {c[1] for c in have.cuts(0, 0, 0, 0)} | {f"softer > {have.high:g}"}
            found[event] = Cause("code" if last[1] in texts else "cut", "", *last)
    return found


def listed(compared, change, group="all"):
    """Causes of the list of candidates, by event."""
    return {
        row["event"]: Cause(*(row[name] for name in Cause.__dataclass_fields__))
        for row in compared.candidates.to_pylist()
        if (row["change"], row["group"]) == (change, group)
    }


BASE = Setting()
CASES = {
    "cut": Setting(softer=12.0, harder=19.0),
    "cuts that choose another pair": Setting(near=1.2, softer=16.0),
    "input": Setting(files=(1,)),
    "correction": Setting(momentum=0.9, certified=35),
    "code": Setting(unit=1.1),
    "correction and cut": Setting(momentum=0.95, near=1.2),
    "everything": Setting(near=1.2, softer=9.0, harder=24.0, momentum=1.1, certified=35, files=(1,)),
}


@pytest.mark.parametrize("other", CASES.values(), ids=CASES)
def test_causes_are_those_of_a_loop(toys, made, other):
    compared = compare_runs(made(BASE), made(other))
    assert not compared.notes
    in_a, in_b = selected(toys, BASE), selected(toys, other)
    (whole, high) = compared.groups
    assert (whole.first, whole.second) == (len(in_a), len(in_b))
    assert whole.common == len(in_a.keys() & in_b.keys())
    assert whole.lost
    for change, have, lack in (("lost", BASE, other), ("gained", other, BASE)):
        causes = expected(toys, have, lack)
        assert listed(compared, change) == causes
        assert getattr(whole, change) == Counter(causes.values())
    regions = [{event for event, (_, inside) in of.items() if inside} for of in (in_a, in_b)]
    assert (high.first, high.second, high.common) == (*map(len, regions), len(regions[0] & regions[1]))
    assert sum(high.lost.values()) == len(regions[0] - regions[1])
    assert sum(high.gained.values()) == len(regions[1] - regions[0])
    columns = {column.column: column.candidates for column in compared.columns}
    changed = sum(
        not np.isclose(*(pair["softer"] for pair in pairs), rtol=1e-9, atol=0)
        for event in in_a.keys() & in_b.keys()
        for pairs in [
            [[*pairs_of(toys[1][event], setting)][of[event][0]] for setting, of in ((BASE, in_a), (other, in_b))]
        ]
    )
    assert columns.get("softer", 0) == changed
