"""Differences between runs over small toys, against a loop over their events."""

import itertools
import json
import re
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
from bphcoffea.execution import Options
from bphcoffea.results import RunFolder

EVENTS = 400
#: Number of the first event, which a signed integer cannot hold.
FIRST = 2**63
CODE = '''
import awkward as ak
import numpy as np

from bphcoffea.analysis import (
    Analysis, Axis, Blind, Candidates, Cut, Histogram, MuonMomentum, Region, Selection, Variable
)
from bphcoffea.inputs import ReducedNanoAODSchema


def minimum(events):
    return np.minimum(events.Pair.a.pt, events.Pair.b.pt) * events.metadata["shift"]


charge = Variable("charge", lambda e: e.Pair.a.charge + e.Pair.b.charge)
spread = Variable("spread", lambda e: abs(e.Pair.a.eta - e.Pair.b.eta))
softer = Variable("softer", lambda e: {unit} * minimum(e))
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
    shift: float = 1.0
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
        event = np.arange(EVENTS, dtype=np.uint64) + np.uint64(FIRST + first)
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
    (folder / "pairs.py").write_text(CODE.format(**setting._asdict()))
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
    fileset = Fileset.model_validate(fileset_content({"D": files}, "Events", shift=setting.shift))
    analysis = analysis.hiding(Hidden(hidden))
    return run(analysis, fileset, folder / "run", Options("iterative"))


def lumi(event):
    return event % EVENTS // 10 + 1


def pairs_of(muons, setting):
    """All pairs of an event, in order, with the values of their variables."""
    for a, b in itertools.combinations(muons, 2):
        pts = [1 / (1 / setting.momentum / muon["pt"]) for muon in (a, b)]
        yield {
            "softer": min(pts) * setting.shift * setting.unit,
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


BETTER = ("best candidate", "smallest spread")


def judged(toys, setting, event, position, group):
    """What rejects the pair of an event, None if a group has it, and whether another is better."""
    if lumi(event) > setting.certified:
        return ("golden_json", "its luminosity section is certified"), False
    pairs = [*pairs_of(toys[1][event], setting)]
    cuts = [setting.cuts(**pair) for pair in pairs]
    failed = next(((name, text) for name, text, met in cuts[position][:3] if not met), None)
    left = [i for i, of_pair in enumerate(cuts) if all(met for *_, met in of_pair[:3])]
    if not left:
        return failed, False
    best = min(left, key=lambda i: pairs[i]["spread"])
    name, text, hard = cuts[best][3]
    if not hard:
        return failed or (name, text), failed is None and best != position
    if group == "all" or pairs[best]["softer"] > setting.high:
        return None, False
    if best != position:
        return failed or BETTER, failed is None
    return ("high", f"softer > {setting.high:g}"), False


def expected(toys, have, lack, group="all"):
    """Causes of the events that one setting has in a group and another one has not, by event."""
    found = {}
    for event, (position, inside) in selected(toys, have).items():
        if group == "high" and not inside:
            continue
        if event // EVENTS not in lack.files:
            found[event] = Cause("input", "the file was not read")
            continue
        failure, _ = judged(toys, lack, event, position, group)
        if failure is None:
            continue
        described = lack._replace(shift=have.shift)
        momentum = described._replace(momentum=have.momentum)
        certified = described._replace(certified=have.certified)
        both = momentum._replace(certified=have.certified)
        for setting, kind, name in (
            (described, "input", "metadata differ (shift)"),
            (momentum, "correction", "muon_momentum.Muon"),
            (certified, "correction", "luminosity.golden"),
            (both, "correction", "muon_momentum.Muon and luminosity.golden"),
        ):
            if judged(toys, setting, event, position, group)[0] is None:
                found[event] = Cause(kind, name, *failure)
                break
        else:
            last, another = judged(toys, both, event, position, group)
            texts, others = ({*texts_of(setting)} for setting in (have, lack))
            kind = "cut" if last[1] not in texts | {BETTER[1]} else "code"
            if kind == "code" and another and texts != others:
                kind = "cut or code"
            found[event] = Cause(kind, "", *last)
    return found


def texts_of(setting):
    yield f"softer > {setting.high:g}"
    yield from (text for _, text, _ in setting.cuts(0, 0, 0, 0))


def listed(compared, change, group="all"):
    """Causes of the list of candidates, by event."""
    return {
        row["event"] - FIRST: Cause(*(row[name] for name in Cause.__dataclass_fields__))
        for row in compared.candidates.to_pylist()
        if (row["change"], row["group"]) == (change, group)
    }


BASE = Setting()
CASES = {
    "cut": Setting(near=1.7, softer=12.0, harder=19.0),
    "input": Setting(files=(1,)),
    "correction": Setting(momentum=0.9, certified=35),
    "code": Setting(unit=1.1),
    "metadata": Setting(shift=0.9),
    "everything": Setting(
        near=1.2, softer=9.0, harder=24.0, momentum=1.1, shift=0.95, certified=35, files=(1,)
    ),
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
        of_region = expected(toys, have, lack, "high")
        assert getattr(high, change) == Counter(of_region.values())
        common = in_a.keys() & in_b.keys()
        migrated = {event: cause for event, cause in of_region.items() if event in common}
        assert listed(compared, change, "high") == migrated
    regions = [{event for event, (_, inside) in of.items() if inside} for of in (in_a, in_b)]
    counts = (*map(len, regions), len(regions[0] & regions[1]))
    assert (high.first, high.second, high.common) == counts
    columns = {column.column: column.candidates for column in compared.columns}
    changed = sum(
        not np.isclose(*(pair["softer"] for pair in pairs), rtol=1e-9, atol=0)
        for event in in_a.keys() & in_b.keys()
        for pairs in [
            [
                [*pairs_of(toys[1][event], setting)][of[event][0]]
                for setting, of in ((BASE, in_a), (other, in_b))
            ]
        ]
    )
    assert columns.get("softer", 0) == changed


EVENT_CODE = """
from bphcoffea.analysis import Analysis, Cut, Objects, Selection, number_of, quantity
from bphcoffea.inputs import ReducedNanoAODSchema

muons = Objects("muon", of="Muon", where=(quantity("pt", "GeV") > {pt},))


class Events(Analysis):
    schema = ReducedNanoAODSchema
    objects = (muons,)
    selection = Selection(Cut("two", number_of("muon") >= 2), Cut("few", number_of("muon") < {few}))
    columns = (number_of("muon"),)
"""


def test_other_objects_are_a_cut_of_events(toys, tmp_path):
    fileset = fileset_content({"D": [toys[0] / "0.root"]}, "Events")
    folders = []
    for pt, few in ((10, 4), (14, 3)):
        path = tmp_path / "events.py"
        path.write_text(EVENT_CODE.format(pt=pt, few=few))
        analysis, folder = load_analysis(str(path)), tmp_path / str(pt)
        run(analysis, Fileset.model_validate(fileset), folder, Options("iterative"))
        folders.append(folder)
    (whole,) = compare_runs(*folders).groups
    numbers = [
        [sum(muon["pt"] > pt for muon in toys[1][event]) for event in range(EVENTS)]
        for pt in (10, 14)
    ]
    lost = [after for before, after in zip(*numbers, strict=True) if 2 <= before < 4]
    fewer, more = sum(after < 2 for after in lost), sum(after == 3 for after in lost)
    text = "n_muon ≥ 2, of other objects (muon)"
    assert whole.lost == {
        Cause("cut", "", "two", text): fewer,
        Cause("cut", "", "few", "n_muon < 3"): more,
    }
    gained = [before for before, after in zip(*numbers, strict=True) if after == 2]
    assert whole.gained == {Cause("cut", "", "few", "n_muon < 4"): gained.count(4)}


def copied(made, tmp_path, setting=BASE):
    """A copy of a run's folder."""
    return RunFolder(shutil.copytree(made(setting).path, tmp_path / "copy"))


def edited(run, name, change):
    path = run.path / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_equal_runs_are_the_same_wherever_their_files_are(toys, made, tmp_path, bphcoffea):
    shutil.copytree(toys[0], tmp_path / "elsewhere")
    (tmp_path / "run").mkdir()
    moved = make(tmp_path / "run", tmp_path / "elsewhere", BASE)
    compared = compare_runs(made(BASE), moved)
    assert compared.same
    assert [group.common for group in compared.groups] == [g.first for g in compared.groups]
    ended = bphcoffea("diff", made(BASE).path, moved.path)
    assert ended.status == 0
    assert f"D: the same {compared.groups[0].common} candidates" in ended.out
    # also to know that another path is not another file
    compared = compare_runs(moved, made(CASES["cut"]))
    assert listed(compared, "lost") == expected(toys, BASE, CASES["cut"])


def test_entries_that_were_not_read_are_input(toys, made, tmp_path):
    run = copied(made, tmp_path)
    table = pq.read_table(run.path / "candidates" / "D.parquet")
    there = np.array([entry < 100 for entry in table["entry"].to_pylist()])
    pq.write_table(table.filter(there), run.path / "candidates" / "D.parquet")
    chunks = pq.read_table(run.path / "chunks.parquet").to_pylist()
    for chunk in chunks:
        chunk["stop"] = 100
    pq.write_table(pa.Table.from_pylist(chunks), run.path / "chunks.parquet")
    whole = compare_runs(made(BASE), run).groups[0]
    assert whole.lost == {Cause("input", "the entries were not read"): np.count_nonzero(~there)}
    edited(
        run,
        "ledger.json",
        lambda c: c["failed"].append({"dataset": "D", "file": chunks[0]["file"]}),
    )
    (failed, other) = sorted(compare_runs(made(BASE), run).groups[0].lost, key=str)
    assert (failed.name, other.name) == ("reading the entries failed", "the entries were not read")


def test_a_file_with_other_events_is_input(toys, made, tmp_path):
    """The events at the same entries have other numbers."""
    shutil.copytree(toys[0], tmp_path / "other")
    (tmp_path / "run").mkdir()
    shutil.copy(tmp_path / "other" / "1.root", tmp_path / "other" / "0.root")
    other = make(tmp_path / "run", tmp_path / "other", BASE._replace(files=(0,)))
    whole = compare_runs(made(BASE._replace(files=(0,))), other).groups[0]
    assert {cause.name for cause in whole.lost} == {"the file holds another event at this entry"}


def test_data_that_a_run_hides_are_blinding(toys, made):
    window = (40.0, 60.0)
    blind = made(BASE, (window,))
    compared = compare_runs(made(BASE), blind)
    (cause,) = compared.groups[0].lost
    assert cause == Cause("blinding", "the other run hides it")
    hidden = [
        row["event"] - FIRST
        for row in made(BASE).candidates("D").to_pylist()
        if 40 < row["harder"] < 60
    ]
    assert sorted(listed(compared, "lost")) == sorted(hidden)
    assert not compared.groups[0].gained
    assert {row["harder_B"] for row in compared.candidates.to_pylist()} == {None}
    assert compared.made == ["blinding: other windows are hidden"]


def test_changed_weights_and_values_are_counted(made, tmp_path):
    run = copied(made, tmp_path)
    table = pq.read_table(run.path / "candidates" / "D.parquet")
    weights = table["weight"].to_numpy().copy()
    weights[::3] *= 1.25
    softer = table["softer"].to_numpy() * (1 + 1e-12)
    for name, values in {"weight": weights, "softer": softer}.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values))
    table = table.append_column("new", pa.array(weights))
    pq.write_table(table, run.path / "candidates" / "D.parquet")

    def new_scale(content):
        content["corrections"][0]["muon_id"] = {"file": "new.json", "sha256": "0"}

    edited(run, "provenance.json", new_scale)
    compared = compare_runs(made(BASE), run)
    (column,) = compared.columns
    assert (column.column, column.candidates) == ("weight", len(weights[::3]))
    assert column.of == len(weights)
    assert column.largest == pytest.approx(0.2)
    assert column.cause == "correction muon_id"
    assert compared.made == ["corrections: muon_id of all datasets"]
    assert compared.notes == ["only the tables of B have the columns new"]
    assert not compared.same
    strict = compare_runs(made(BASE), run, tolerance=0)
    assert {column.column for column in strict.columns} == {"weight", "softer"}


def test_corrections_that_were_replaced_are_not_told_from_cuts(toys, made, tmp_path):
    (tmp_path / "one").mkdir()
    one = make(tmp_path / "one", toys[0], BASE._replace(momentum=1.1))
    other = made(CASES["cut"])
    shutil.copy(other.path.parent / "scare.json", tmp_path / "one" / "scare.json")
    compared = compare_runs(one, other)
    assert {cause.kind for cause in compared.groups[0].lost} == {"correction or cut"}
    assert {cause.name for cause in compared.groups[0].lost} == {"muon_momentum.Muon"}
    assert {cause.kind for cause in compared.groups[0].gained} == {"correction or cut or code"}
    first, second = compared.notes
    assert first.endswith("; its corrections and its code cannot be told apart")
    assert second.endswith("; what rejects its events is not known")


@pytest.mark.parametrize("lost", ["input", "code", "model", "version"])
def test_what_cannot_be_read_again_stays_open(made, tmp_path, lost):
    for place, setting in {"a": BASE, "b": CASES["cut"]}.items():
        shutil.copytree(made(setting).path, tmp_path / place)
    run = RunFolder(tmp_path / "b")

    def change(content):
        content["analysis"] |= {"file": "/nowhere/pairs.py"}
        if lost == "code":
            content["analysis"]["sources"]["pairs.py"] += "\n"
        if lost == "version":
            del content["trees"]

    if lost == "input":
        chunks = pq.read_table(run.path / "chunks.parquet").to_pylist()
        for chunk in chunks:
            chunk["file"] = chunk["used"] = f"/nowhere/{chunk['file'].rpartition('/')[2]}"
        pq.write_table(pa.Table.from_pylist(chunks), run.path / "chunks.parquet")
    if lost == "model":
        score = {"name": "bdt", "file": "bdt.json", "sha256": "0", "library": "xgboost"}
        edited(run, "analysis.json", lambda c: c.update(scores=[score | {"inputs": []}]))
    edited(run, "provenance.json", change)
    compared = compare_runs(tmp_path / "a", run)
    assert ("code: the model of the score bdt" in compared.made) == (lost == "model")
    assert set(compared.groups[0].lost) == {Cause("cut or code")}
    why = {
        "input": "no such file",
        "code": "the analysis /nowhere/pairs.py has changed since",
        "model": "the model of a score has changed since",
        "version": "was made by an older version of bphcoffea",
    }
    (note,) = compared.notes
    assert why[lost] in note
    assert note.endswith("what rejects its events is not known")
    # the other direction reads the other run
    assert {cause.kind for cause in compared.groups[0].gained} == {"cut"}


def test_the_code_of_a_run_is_kept(toys, made, tmp_path):
    """An analysis that was changed in its place is repeated as it was."""
    (tmp_path / "one").mkdir()
    one = make(tmp_path / "one", toys[0], BASE)
    (tmp_path / "one" / "pairs.py").write_text(CODE.format(**CASES["cut"]._asdict()))
    compared = compare_runs(made(CASES["cut"]), one)
    assert listed(compared, "lost") == expected(toys, CASES["cut"], BASE)


def test_the_command_prints_numbers_and_writes_lists(toys, made, tmp_path, bphcoffea, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    folders = made(BASE).path, made(CASES["cut"]).path
    table, numbers = tmp_path / "list.parquet", tmp_path / "numbers.json"
    ended = bphcoffea("diff", *folders, "--list", 2, "-o", table)
    assert ended.status == 4
    causes = expected(toys, BASE, CASES["cut"])
    for cause, number in Counter(causes.values()).items():
        assert f"{cause}" in ended.out
        assert re.search(rf" {number} *$", ended.out, re.MULTILINE)
    assert "cuts: only B requires softer > 12 (near)" in ended.out
    assert max(map(len, ended.out.splitlines()[2:20])) <= 60
    rows = pq.read_table(table).to_pylist()
    lost = {row["event"] - FIRST for row in rows if row["change"] == "lost"}
    assert lost >= causes.keys()
    first = rows[0]
    assert f"{first['change']}: {first['run']}:{first['lumi']}:{first['event']} of D" in ended.out
    # a line that is broken in a narrow terminal
    assert f"{first['file']}, entry {first['entry']}" in " ".join(ended.out.split())
    assert f"{len(rows)} differences; 2 shown (--list)" in ended.out
    assert bphcoffea("diff", *folders, "--no-read", "-o", numbers).status == 4
    (whole, _) = json.loads(numbers.read_text())["groups"]
    assert [(each["kind"], each["candidates"]) for each in whole["lost"]] == [
        ("cut or code", len(causes))
    ]


def test_notebooks_show_the_numbers(made):
    compared = compare_runs(made(BASE), made(CASES["input"]))
    (whole, _) = compared.groups
    lost = sum(whole.lost.values())
    counts = f"{whole.common} common, {lost} lost, 0 gained"
    assert repr(compared) == f"RunComparison('{compared.first}' and '{compared.second}': {counts})"
    assert f"<td>{lost} ({lost} input: the file was not read)</td>" in compared._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no finished run here"),
        (["--dataset", "E"], "no dataset matches 'E'; there are: D"),
        (["-o", "x.txt"], "x.txt: the name must end in .csv or .parquet"),
    ],
)
def test_what_does_not_exist_is_told(made, bphcoffea, arguments, message):
    places = [made(BASE).path] * (2 if arguments[0].startswith("-") else 1)
    ended = bphcoffea("diff", *places, *arguments)
    assert ended.status == 2
    assert message in ended.err


NUMBER = st.integers(0, 2)


@given(first=st.lists(st.tuples(*[NUMBER] * 3)), second=st.lists(st.tuples(*[NUMBER] * 3)))
def test_rows_are_paired_as_by_a_loop(first, second):
    """Repeated events: first those at the same place, then at the same entry, then in order."""
    tables = [
        pa.table(
            {
                "run": pa.array([1] * len(rows), pa.int64()),
                "event": pa.array([row[0] for row in rows], pa.uint64()),
                "file": pa.array([str(row[1]) for row in rows], pa.string()),
                "entry": pa.array([row[2] for row in rows], pa.int64()),
            }
        )
        for rows in (first, second)
    ]
    left, right, pairs = [*range(len(first))], [*range(len(second))], set()
    for key in (lambda row: row, lambda row: (row[0], row[2]), lambda row: row[0]):
        for i in [*left]:
            j = next((j for j in right if key(first[i]) == key(second[j])), None)
            if j is not None:
                pairs.add((i, j))
                left.remove(i)
                right.remove(j)
    matched = match(*tables)
    assert set(zip(matched.first.tolist(), matched.second.tolist(), strict=True)) == pairs
    assert (matched.only_first.tolist(), matched.only_second.tolist()) == (left, right)
