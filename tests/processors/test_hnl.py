"""Ds → μN, N → μπ agrees with the per-event loop, exactly."""

import io
import itertools
import json
import math
from collections import Counter

import numpy as np
import pytest
import uproot
from hnl_loop import CATEGORIES, PATHS, run_loop, steps_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import kstwobign

from bphcoffea.analysis import Hidden
from bphcoffea.analysis.weights.weight import WeightContext
from bphcoffea.corrections import load_corrections
from bphcoffea.datasets import load_fileset
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.inputs import WZTreeSchema
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.tracing import branch_needs
from bphcoffea.toys.files import lists

#: Further branches that the selection or its histograms read; files lack all others.
OTHERS = ("C_Hnl_pt", "C_Hnl_px", "C_Hnl_py", "C_Hnl_pz", "C_Hnl_gen_l_prop")
OTHERS += ("C_Hnl_vertex_prob", "C_Hnl_vertex_3DDist_PV", "HLT_mu_trig_idx")
SCALARS = {"run": np.int32, "event": np.int32, "lumi": np.float32, "nPV": np.int32}
SCALARS |= {"nPU_trueInt": np.int32}


@pytest.fixture(scope="session")
def hnl():
    return load_analysis("hnl")


def around(*bounds):
    """Return floats of single precision at bounds, and the next ones on either side."""
    values = []
    for bound in bounds:
        single = np.float32(bound)
        values += [
            single,
            np.nextafter(single, np.float32(np.inf)),
            np.nextafter(single, np.float32(-np.inf)),
        ]
    return [float(value) for value in values]


def near(*bounds):
    return st.sampled_from(around(*bounds))


def mostly(good, other):
    """The good value, most of the time."""
    return st.one_of(st.just(good), st.just(good), st.just(good), other)


#: What a candidate passes with, and what it meets its bounds with.
CANDIDATE = {
    "C_Ds_mass": st.one_of(near(1.96835, 1.9, 2.0), st.sampled_from([1.9, 2.03669, 1.5])),
    "C_Hnl_mass": st.sampled_from([1.0, 1.5, 0.75]),
    "C_Hnl_vertex_2DSig_BS": mostly(
        300.0, st.one_of(near(*(c[0] for c in CATEGORIES.values())), st.just(math.nan))
    ),
    "C_Hnl_vertex_2DDist_BS": st.one_of(
        st.sampled_from([0.5, 2.0, 7.0]), near(0.0, 1.0, 5.0), st.sampled_from([-99.0, math.nan])
    ),
    "C_pi_BS_ip_xy": mostly(0.2, st.one_of(near(0.03, 0.05, -0.03, -0.05), st.just(-1.0))),
    "C_mu_Hnl_BS_ips_xy": mostly(
        9.0, st.one_of(near(*(c[2] for c in CATEGORIES.values())), st.just(-9.0))
    ),
    "C_mu_Hnl_charge": st.sampled_from([1, -1, 1, -1, 0]),
    "C_mu_Ds_charge": st.sampled_from([1, -1, 1, -1, 0]),
    "C_pi_charge": st.sampled_from([1, -1]),
    "C_mu_Hnl_isSoft": mostly(1, st.sampled_from([0, -1])),
    "C_mu_Ds_isSoft": mostly(1, st.sampled_from([0, 2])),
    "C_mu_Hnl_idx": st.integers(0, 3),
    "C_mu_Ds_idx": st.integers(0, 3),
    "C_mu_Hnl_pt": mostly(10.0, st.sampled_from([8.0, 9.090909, 11.111111, 7.0])),
    "C_mu_Ds_pt": mostly(10.0, st.sampled_from([8.0, 9.090909, 11.111111, 7.0])),
    "C_mu_Hnl_isHnlDaughter": mostly(1, st.just(0)),
    "C_mu_Ds_isHnlBrother": mostly(1, st.just(0)),
    "C_pi_isHnlDaughter": mostly(1, st.sampled_from([0, -99])),
}
PATH = {
    "matched": st.sampled_from([0, 0, 1, 2, -1]),
    "dr": mostly(0.01, st.one_of(near(0.05), st.just(-1.0))),
    "pt": mostly(10.0, near(7.5, 9.0, 11.0, 8.8)),
    "eta": mostly(-0.5, near(1.45, -1.45)),
}


LEAVES = {f"HLT_{path}_{leaf}" for path in PATHS for leaf in PATH}
TYPES = {
    name: dtype
    for name, dtype in WZTreeSchema._known_lists().items()
    if name in {*CANDIDATE, *OTHERS, *LEAVES}
}


@st.composite
def events(draw):
    made = []
    for number in range(draw(st.integers(1, 16))):
        event = {"run": 320500, "event": number + 1, "lumi": 7.0, "nPV": 20, "nPU_trueInt": 30}
        candidates, triggers = draw(st.integers(0, 3)), draw(st.integers(0, 2))
        for name in TYPES:
            length = triggers if name.startswith("HLT_") else candidates
            strategy = CANDIDATE.get(name, st.just(0))
            if name == "HLT_mu_trig_idx":
                strategy = st.integers(0, 3)
            # else most of the time would go into drawing ten paths
            elif name.startswith(("HLT_mu7_ip4", "HLT_mu12_ip6")):
                strategy = PATH[name.rpartition("_")[2]]
            event[name] = [draw(strategy) for _ in range(length)]
        made.append(event)
    return made


def written(events):
    """Bytes of a file with the events, and the events as they are in it."""
    columns = {
        name: np.array([event[name] for event in events], dtype=dtype)
        for name, dtype in SCALARS.items()
    }
    found = {name: values.tolist() for name, values in columns.items()}
    for of in ("C_", "HLT_"):
        names = [name for name in TYPES if name.startswith(of)]
        number = np.repeat(np.arange(len(events)), [len(event[names[0]]) for event in events])
        flat = {
            name: np.array([x for event in events for x in event[name]], dtype=TYPES[name])
            for name in names
        }
        columns |= lists(flat, number, len(events))
        edges = np.searchsorted(number, np.arange(1, len(events)))
        found |= {n: [x.tolist() for x in np.split(flat[n], edges)] for n in names}
    buffer = io.BytesIO()
    with uproot.recreate(buffer) as root:
        root.mkrntuple("wztree", columns)
        content = buffer.getvalue()
    return content, [
        dict(zip(found, event, strict=True)) for event in zip(*found.values(), strict=True)
    ]


def select(analysis, events):
    """The analysis's cutflow and its best candidates, as the loop gives them."""
    (result,) = Processor(analysis).process(events).values()
    names = ["run", "lumi", "event", "category", "hnl_mass", "ds_mass"]
    table = result.candidates.table().select(names).to_pydict()
    rows = [{k: v for k, v in row.items() if k != "sumw"} for row in result.cutflow.rows()]
    return rows, sorted(zip(*table.values(), strict=True)), result


# few files, since a file takes longer than its events
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=7)
@given(made=events(), signal=st.booleans())
def test_agrees_with_the_loop(made, signal, hnl, open_events):
    content, events = written(made)
    expected_rows, of_category, selected = run_loop(events, signal)
    kind = "signal" if signal else "data"
    known = {"is_mc": signal, "kind": kind, "era": "2018D", "ctau": None}
    rows, best, result = select(hnl, open_events(content, WZTreeSchema, tree="wztree", **known))
    assert rows == expected_rows
    assert best == selected
    assert [row["step"] for row in rows] == list(steps_of(signal))
    # histograms have an entry for each best candidate, in its category
    mass = result.histograms["hnl_mass"]
    for category in CATEGORIES:
        own = sum(candidate[3] == category for candidate in selected)
        assert mass[category, "nominal", sum].value == own
        assert of_category[category][1] >= own


def one(**changes):
    """An event with a candidate that passes everything."""
    event = {"run": 1, "event": 2, "lumi": 3.0, "nPV": 4, "nPU_trueInt": 5}
    event |= {name: [0] for name in TYPES}
    event |= {
        "C_Ds_mass": [1.96],
        "C_Hnl_mass": [1.0],
        "C_Hnl_px": [3.0],
        "C_Hnl_py": [0.0],
        "C_Hnl_pz": [4.0],
        "C_Hnl_vertex_2DSig_BS": [300.0],
        "C_Hnl_vertex_2DDist_BS": [2.0],
        "C_Hnl_vertex_3DDist_PV": [10.0],
        "C_pi_BS_ip_xy": [0.2],
        "C_mu_Hnl_BS_ips_xy": [9.0],
        "C_mu_Hnl_charge": [1],
        "C_mu_Ds_charge": [1],
        "C_pi_charge": [-1],
        "C_mu_Hnl_isSoft": [1],
        "C_mu_Ds_isSoft": [1],
        "C_mu_Hnl_idx": [4],
        "C_mu_Ds_idx": [5],
        "C_mu_Hnl_pt": [10.0],
        "C_mu_Ds_pt": [9.0],
        "HLT_mu_trig_idx": [4],
        "HLT_mu9_ip6_matched": [1],
        "HLT_mu9_ip6_pt": [10.5],
        "HLT_mu9_ip6_eta": [1.0],
        "HLT_mu9_ip6_dr": [0.01],
    }
    return event | {name: [value] for name, value in changes.items()}


def test_the_trigger_asks_for_all_of_it_at_once(hnl, open_events):
    cases = [
        ({}, True),
        ({"HLT_mu9_ip6_dr": 0.05}, False),
        ({"HLT_mu9_ip6_pt": 11.01}, False),
        ({"HLT_mu9_ip6_eta": -1.45}, False),
        ({"HLT_mu9_ip6_matched": 0}, False),
        ({"HLT_mu_trig_idx": 6}, False),
        ({"HLT_mu_trig_idx": 5, "HLT_mu9_ip6_pt": 9.0}, True),
        ({"HLT_mu_trig_idx": 5}, False),
        ({"C_mu_Hnl_pt": 7.0, "HLT_mu9_ip6_pt": 7.4}, False),
    ]
    made = [one(**changes) | {"event": number} for number, (changes, _) in enumerate(cases)]
    content, _ = written(made)
    known = {"is_mc": False, "kind": "data", "era": "2018D"}
    rows, best, _ = select(hnl, open_events(content, WZTreeSchema, tree="wztree", **known))
    passing = [number for number, (_, passes) in enumerate(cases) if passes]
    assert [candidate[2] for candidate in best] == passing
    assert {row["step"]: row["events"] for row in rows}["trigger"] == len(passing)


def test_every_edge_agrees_with_the_loop(hnl, open_events):
    significance, _, muon = ({c[place] for c in CATEGORIES.values()} for place in range(3))
    edges = {
        "C_Ds_mass": around(1.9, 2.0),
        "C_Hnl_vertex_2DSig_BS": around(*significance),
        "C_Hnl_vertex_2DDist_BS": around(0.0, 1.0, 5.0),
        "C_pi_BS_ip_xy": around(0.03, 0.05, -0.03, -0.05),
        "C_mu_Hnl_BS_ips_xy": around(*muon),
        "HLT_mu9_ip6_dr": around(0.05),
        "HLT_mu9_ip6_pt": around(9.0, 11.0),
        "HLT_mu9_ip6_eta": around(1.45, -1.45),
    }
    changes = [
        {name: value, "C_Hnl_vertex_2DDist_BS": distance, "C_mu_Ds_charge": charge}
        | ({name: value} if name == "C_Hnl_vertex_2DDist_BS" else {})
        for name, values in edges.items()
        for value in values
        for distance in (0.5, 2.0, 7.0)
        for charge in (1, -1)
    ]
    content, made = written(
        [one(**change) | {"event": number} for number, change in enumerate(changes)]
    )
    expected, _, selected = run_loop(made, False)
    known = {"is_mc": False, "kind": "data", "era": "2018D"}
    rows, best, _ = select(hnl, open_events(content, WZTreeSchema, tree="wztree", **known))
    assert (rows, best) == (expected, selected)
    assert {candidate[3] for candidate in best} == set(CATEGORIES)
    assert len(best) < len(changes)


def test_an_event_whose_best_candidate_was_not_generated_is_lost(hnl, open_events):
    """Even where another one was: the step comes after the choice."""
    event = one()
    for name in TYPES:
        if not name.startswith("HLT_"):
            event[name] = event[name] * 2
    event["C_Ds_mass"] = [1.968, 1.95]
    flags = ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")
    for matched, expected in (([0, 1], 0), ([1, 0], 1)):
        content, _ = written([event | dict.fromkeys(flags, matched)])
        known = {"is_mc": True, "kind": "signal", "era": "2018D", "ctau": 100.0}
        rows, best, _ = select(hnl, open_events(content, WZTreeSchema, tree="wztree", **known))
        assert (rows[-2]["step"], rows[-2]["events"]) == ("category", 1)
        assert (rows[-1]["step"], rows[-1]["events"]) == ("gen_best", expected)
        assert len(best) == expected


def test_lengths_and_weights_of_signal(hnl, open_events):
    flags = ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")
    content, _ = written([one(**dict.fromkeys(flags, 1), C_Hnl_gen_l_prop=50.0)])
    known = {"is_mc": True, "kind": "signal", "era": "2018D", "ctau": 100.0}
    _, _, result = select(hnl, open_events(content, WZTreeSchema, tree="wztree", **known))
    table = result.candidates.arrays()
    assert table["proper_length"].tolist() == [2.0]  # 10 cm · 1 GeV / 5 GeV
    assert table["gen_proper_length"].tolist() == [50.0]
    mass = result.histograms["hnl_mass"]
    points = [name for name in mass.axes["variation"] if name.startswith("ctau")]
    assert points == [f"ctau_{length}" for length in range(175, 1001, 75)]
    for point in points:
        wanted = float(point.removeprefix("ctau_"))
        weight = 100 / wanted * math.exp(50 * (1 / 100 - 1 / wanted))
        assert mass["SSlxy1to5", point, sum].value == pytest.approx(weight, rel=1e-12)


def test_reweighted_signal_has_the_lengths_of_another(hnl):
    """Of cτ = 100 mm to 250 mm, by the Kolmogorov-Smirnov test on a weighted sample."""
    weight = next(w for w in hnl.weights if w.name == "ctau")
    rng = np.random.default_rng(5)
    lengths = np.sort(rng.exponential(100, 200_000))
    factor = weight.evaluate(
        lambda variable: lengths, WeightContext(None, {"ctau": 100.0}, shifted=True)
    )
    weights = factor.points["ctau_250"]
    assert np.all(factor.nominal == 1)
    for wanted, values in ((250, weights), (100, np.ones(len(lengths)))):
        generated = np.sort(rng.exponential(250, 200_000))
        cumulative = np.cumsum(values) / values.sum()
        other = np.searchsorted(generated, lengths, side="right") / len(generated)
        sizes = values.sum() ** 2 / np.sum(values**2), len(generated)
        p_value = kstwobign.sf(np.max(abs(cumulative - other)) / np.sqrt(sum(1 / n for n in sizes)))
        assert (p_value > 1e-3) == (wanted == 250)
    # above twice the generated length the weights have no variance: the few longest decide
    assert weights.mean() == pytest.approx(1, abs=0.05)
    assert factor.points["ctau_175"].mean() == pytest.approx(1, abs=0.01)


def test_branches_of_data_and_signal_are_found_out(hnl):
    data = {"is_mc": False, "kind": "data", "era": "2018D"}
    signal = {"is_mc": True, "kind": "signal", "era": "2018D", "ctau": 100.0}
    needs = branch_needs(hnl, {"data": data, "signal": signal})
    of_data, of_signal = needs["data"].required, needs["signal"].required
    flags = {"C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter"}
    assert {"C_Hnl_gen_l_prop"} | flags == set(of_signal) - set(of_data)
    assert set(of_data) < set(of_signal)
    needed = [f"HLT_{p}_{leaf}" for p, leaf in itertools.product(PATHS, ("matched", "dr", "pt"))]
    assert set(needed) < set(of_data)


def test_another_working_point_is_another_small_table(hnl):
    assert dict(zip(CATEGORIES, CATEGORIES.values(), strict=True)) == {
        name: tuple(limits)
        for name, limits in __import__(type(hnl).__module__, fromlist=["x"]).WORKING_POINT.items()
    }


@pytest.mark.slow
def test_toys_are_selected_as_they_were_made(hnl, without_root_files, shared_folders, tmp_path):
    """Every step and every category of each sample, as the toy's own bookkeeping has them."""
    toys = shared_folders.toys("hnl", 4_000, 4)
    truth = json.loads((toys / "truth.json").read_text())
    corrections = load_corrections([toys / "corrections.toml"])
    unblinded = hnl.corrected(corrections).hiding(Hidden())
    fileset = load_fileset(toys / "fileset.json")
    folder = run(unblinded, fileset, tmp_path / "run", Options("iterative"))
    assert set(folder.cutflow) == set(truth)
    for dataset, rows in folder.cutflow.items():
        counts = [{k: v for k, v in row.items() if k != "sumw"} for row in rows]
        assert counts == truth[dataset]["cutflow"]
        table = folder.candidates(dataset).to_pydict()
        found = dict.fromkeys(CATEGORIES, 0) | Counter(table["category"])
        assert found == truth[dataset]["categories"]
        assert rows[-1]["sumw"] == pytest.approx(sum(table["weight"]), rel=1e-12)
    signal = folder.histograms()["hnl_mass"]
    name = "DsToNMu_NToMuPi_mN1p5_ctau100p0mm_incl"
    assert {"trigger_data_statUp", "muon_id_systDown", "pileupUp"} <= set(signal.axes["variation"])
    # sums of weights are conserved, but for the part of the long lifetimes that is not measured
    assert signal[name, sum, "ctau_175", sum].value != signal[name, sum, "nominal", sum].value
