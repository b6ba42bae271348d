"""Branches of the wztree become collections: in every format, lazily, and never misaligned."""

import io

import awkward as ak
import numpy as np
import pytest
import uproot
import vector
from builders import typed_events

from bphcoffea.errors import InputError
from bphcoffea.inputs import PARKING_PATHS, WZTreeSchema
from bphcoffea.physics.constants import MUON_MASS, PION_MASS

TREE = "wztree"
FILES = ("wztree_hnl_mc.root", "wztree_hnl_data.root")
#: Where branches are found, by how they begin; what follows is the name of the field.
PREFIXES = {
    "C_mu_Hnl_": "Hnl.mu_hnl",
    "C_mu_Ds_": "Hnl.mu_ds",
    "C_pi_": "Hnl.pi",
    "C_Hnl_vertex_": "Hnl.vertex",
    "C_Ds_vertex_": "Hnl.ds_vertex",
    "C_mu1mu2_": "Hnl.mu1mu2",
    "C_Ds_": "Hnl.ds",
    "C_Hnl_": "Hnl",
    "HLT_mu_trig_": "TriggerMuon",
    **{f"HLT_{path}_": f"TriggerMuon.{path}" for path in PARKING_PATHS},
}
#: The fields whose names are not those of the branches.
RENAMED = {
    "2DDist_BS": "dist_2d_bs",
    "2DErr_BS": "err_2d_bs",
    "2DSig_BS": "sig_2d_bs",
    "2DDist_PV": "dist_2d_pv",
    "2DErr_PV": "err_2d_pv",
    "2DSig_PV": "sig_2d_pv",
    "3DDist_BS": "dist_3d_bs",
    "3DErr_BS": "err_3d_bs",
    "3DSig_BS": "sig_3d_bs",
    "3DDist_PV": "dist_3d_pv",
    "3DErr_PV": "err_3d_pv",
    "3DSig_PV": "sig_3d_pv",
}


def at(events, place):
    for field in place.split("."):
        events = events[field]
    return events


def place(branch):
    for prefix, where in PREFIXES.items():
        if branch.startswith(prefix):
            leaf = branch.removeprefix(prefix)
            return f"{where}.{RENAMED.get(leaf, leaf)}"
    return branch


def read(path):
    with uproot.open(path) as file:
        return file[TREE].arrays()


def as_rntuple(arrays):
    buffer = io.BytesIO()
    with uproot.recreate(buffer) as root:
        root.mkrntuple(TREE, {name: arrays[name] for name in arrays.fields})
        return buffer.getvalue()


def one_event(**changes):
    """An RNTuple of one event, zeros but for what is changed; None takes a branch away."""
    columns = {
        "run": np.array([1], np.int32),
        "lumi": np.array([7.0], np.float32),
        "event": np.array([5], np.int32),
    }
    columns |= {
        name: ak.Array([np.zeros(1, dtype)]) for name, dtype in WZTreeSchema._known_lists().items()
    }
    columns |= changes
    buffer = io.BytesIO()
    with uproot.recreate(buffer) as root:
        root.mkrntuple(TREE, {k: v for k, v in columns.items() if v is not None})
        return buffer.getvalue()


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["vectors", "rntuple"])
def test_every_branch_is_where_it_should_be(name, kind, data, open_events):
    arrays = read(data / name)
    source = data / name if kind == "vectors" else as_rntuple(arrays)
    events = open_events(source, WZTreeSchema, TREE)
    assert len(events) == len(arrays)
    assert set(events.fields) == {"Hnl", "TriggerMuon"} | {
        branch for branch in arrays.fields if not branch.startswith(("C_", "HLT_"))
    }
    for branch in arrays.fields:
        if branch in ("lumi", "event"):
            continue
        assert ak.array_equal(
            ak.without_parameters(ak.materialize(at(events, place(branch)))),
            ak.without_parameters(arrays[branch]),
            dtype_exact=True,
        ), branch


def test_files_hold_vectors_of_the_types_of_the_ntuple(data):
    with uproot.open(data / FILES[0]) as file:
        types = {name: file[TREE][name].typename for name in file[TREE].keys()}  # noqa: SIM118
    assert types["C_Hnl_mass"] == "std::vector<float>"
    assert types["C_pi_charge"] == "std::vector<int32_t>"
    assert types["C_mu_Hnl_idx"] == "std::vector<uint32_t>"
    assert types["C_mu_Ds_isSoft"] == "std::vector<int16_t>"
    assert types["HLT_mu7_ip4_matched"] == "std::vector<int16_t>"
    scalars = ("run", "event", "lumi", "nPV", "nPU_trueInt", "nCand")
    assert [types[name] for name in scalars] == [
        *("int32_t", "int32_t", "float", "int32_t", "int32_t", "int32_t")
    ]


def test_flags_of_simulation_are_there_only_in_simulation(data, open_events):
    mc, recorded = (open_events(data / name, WZTreeSchema, TREE) for name in FILES)
    for leg, flag in (
        ("mu_hnl", "isHnlDaughter"),
        ("mu_ds", "isHnlBrother"),
        ("pi", "isHnlDaughter"),
    ):
        assert flag in mc.Hnl[leg].fields
        assert flag not in recorded.Hnl[leg].fields
    assert "gen_l_prop" in mc.Hnl.fields
    assert not {"gen_l_prop"} & set(recorded.Hnl.fields)
    assert "nPU_trueInt" not in recorded.fields


@pytest.mark.parametrize("kind", ["vectors", "rntuple"])
def test_nothing_is_read_until_it_is_used(kind, data, open_events):
    source = data / FILES[0] if kind == "vectors" else as_rntuple(read(data / FILES[0]))
    log = []
    events = open_events(source, WZTreeSchema, TREE, log=log)
    assert {"Hnl", "TriggerMuon", "lumi", "event"} <= set(events.fields)
    assert log == []
    ak.materialize(events.Hnl.mu_hnl.pt)
    # the lists of the mass say how many candidates an event has
    assert {column.branch for column in log} == {"C_mu_Hnl_pt", "C_Hnl_mass"}
    log.clear()
    ak.materialize(events.Hnl.vertex.sig_2d_bs)
    assert {column.branch for column in log} <= {"C_Hnl_vertex_2DSig_BS", "C_Hnl_mass"}
    log.clear()
    ak.materialize(events.TriggerMuon.mu9_ip6.dr)
    assert {column.branch for column in log} == {"HLT_mu9_ip6_dr", "HLT_mu_trig_idx"}
    log.clear()
    ak.materialize(events.lumi)
    assert {column.branch for column in log} == {"lumi"}


def test_momenta_are_vectors_of_what_the_file_says(data, open_events):
    arrays = read(data / FILES[0])
    hnl = open_events(data / FILES[0], WZTreeSchema, TREE).Hnl
    for momentum, name in ((hnl, "C_Hnl"), (hnl.ds, "C_Ds")):
        assert isinstance(momentum, vector.backends.awkward.MomentumAwkward4D)
        for quantity in ("pt", "px", "py", "pz", "mass"):
            branch = ak.without_parameters(arrays[f"{name}_{quantity}"])
            assert ak.array_equal(ak.without_parameters(momentum[quantity]), branch)
        assert ak.array_equal(
            ak.without_parameters(momentum.pt), ak.without_parameters(arrays[f"{name}_pt"])
        )
        # single precision in the file
        flat = {
            q: ak.to_numpy(ak.flatten(arrays[f"{name}_{q}"])).astype(float)
            for q in ("px", "py", "pz", "mass")
        }
        p = np.sqrt(flat["px"] ** 2 + flat["py"] ** 2 + flat["pz"] ** 2)
        np.testing.assert_allclose(ak.flatten(momentum.p), p, rtol=1e-6)
        np.testing.assert_allclose(ak.flatten(momentum.mass), flat["mass"])
        np.testing.assert_allclose(
            ak.flatten(momentum.energy), np.hypot(p, flat["mass"]), rtol=1e-6
        )
    # a few ulps of energies of some 10 GeV, squared, over a mass of 1 GeV
    total = hnl.mu_hnl + hnl.pi
    np.testing.assert_allclose(ak.flatten(total.mass), ak.flatten(hnl.mass), rtol=1e-3)
    for sum_of_both in (hnl + hnl.mu_ds, hnl.mu_ds + hnl):
        np.testing.assert_allclose(ak.flatten(sum_of_both.mass), ak.flatten(hnl.ds.mass), rtol=1e-3)
    doubled = ak.flatten((hnl + hnl).mass)
    np.testing.assert_allclose(doubled, 2 * ak.flatten(hnl.mass), rtol=1e-3)


def test_legs_have_the_mass_of_their_particle(data, open_events):
    events = open_events(data / FILES[0], WZTreeSchema, TREE)
    for leg, mass in (("mu_hnl", MUON_MASS), ("mu_ds", MUON_MASS), ("pi", PION_MASS)):
        assert isinstance(events.Hnl[leg], vector.backends.awkward.MomentumAwkward4D)
        assert ak.all(events.Hnl[leg].mass == mass)
        assert not [field for field in events.Hnl[leg].fields if field.startswith("matching")]
    assert isinstance(events.TriggerMuon, vector.backends.awkward.MomentumAwkward3D)


def test_event_numbers_are_whole_and_unsigned(data, open_events):
    arrays = read(data / FILES[1])
    events = open_events(data / FILES[1], WZTreeSchema, TREE)
    assert ak.to_numpy(events.lumi).dtype == np.int64
    assert ak.to_numpy(events.lumi).tolist() == arrays.lumi.tolist()
    numbers = ak.to_numpy(events.event)
    assert numbers.dtype == np.uint32
    assert ak.min(arrays.event) < 0 <= ak.max(arrays.event)
    assert numbers.tolist() == [n % 2**32 for n in arrays.event.tolist()]


@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.float64])
def test_a_luminosity_section_of_another_type_is_as_good(dtype, open_events):
    events = open_events(one_event(lumi=np.array([1234], dtype)), WZTreeSchema, TREE)
    assert events.lumi.to_list() == [1234]
    assert ak.to_numpy(events.lumi).dtype == np.int64


@pytest.mark.parametrize("wide", [np.int64, np.uint64])
def test_an_event_number_of_64_bits_stays(wide, open_events):
    events = open_events(one_event(event=np.array([2**35], wide)), WZTreeSchema, TREE)
    assert events.event.to_list() == [2**35]


@pytest.mark.parametrize("lumi", [np.nan, np.inf, -np.inf, 1.5, 2.0**25])
def test_a_luminosity_section_that_is_no_number_of_one_is_refused(lumi, open_events):
    events = open_events(one_event(lumi=np.array([lumi], np.float32)), WZTreeSchema, TREE)
    with pytest.raises(InputError, match="branch lumi must hold whole numbers"):
        ak.materialize(events.lumi)


@pytest.mark.parametrize(
    ("branch", "reference"),
    [
        ("C_mu_Hnl_pt", "C_Hnl_mass"),
        ("C_Hnl_px", "C_Hnl_mass"),
        ("C_Ds_mass", "C_Hnl_mass"),
        ("C_Hnl_vertex_2DSig_BS", "C_Hnl_mass"),
        ("C_Ds_vertex_prob", "C_Hnl_mass"),
        ("C_mu1mu2_dr", "C_Hnl_mass"),
        ("HLT_mu_trig_pt", "HLT_mu_trig_idx"),
        ("HLT_mu12_ip6_matched", "HLT_mu_trig_idx"),
    ],
)
def test_lists_of_another_length_are_refused(branch, reference, open_events):
    kind = WZTreeSchema._known_lists()[branch]
    events = open_events(one_event(**{branch: ak.Array([np.zeros(2, kind)])}), WZTreeSchema, TREE)
    with pytest.raises(InputError, match=f"{branch} has 2 entries, but {reference} has 1"):
        ak.materialize(at(events, place(branch)))


def test_the_template_has_every_branch_of_the_samples(data):
    known = WZTreeSchema.template()
    for name in FILES:
        columns = read(data / name)
        for branch in columns.fields:
            assert known[branch].type.content == columns[branch].type.content
    assert set(PARKING_PATHS) <= set(typed_events(WZTreeSchema).TriggerMuon.fields)


def test_branches_may_be_missing(open_events):
    without = {name: None for name in WZTreeSchema._known_lists() if "mu_Ds" in name}
    without |= dict.fromkeys(("C_Hnl_gen_l_prop", "HLT_mu8_ip3_dr", "HLT_mu9_ip4_matched"))
    without |= {f"HLT_mu9_ip4_{quantity}": None for quantity in ("dr", "pt", "eta")}
    events = open_events(one_event(**without), WZTreeSchema, TREE)
    assert "mu_ds" not in events.Hnl.fields
    assert "gen_l_prop" not in events.Hnl.fields
    assert "mu9_ip4" not in events.TriggerMuon.fields
    assert set(events.TriggerMuon.mu8_ip3.fields) == {"matched", "pt", "eta"}
    assert events.Hnl.mu_hnl.pt.to_list() == [[0.0]]


@pytest.mark.parametrize(
    ("branch", "collection"), [("C_Hnl_mass", "Hnl"), ("HLT_mu_trig_idx", "TriggerMuon")]
)
def test_without_what_counts_them_there_are_no_objects(branch, collection, open_events):
    events = open_events(one_event(**{branch: None}), WZTreeSchema, TREE)
    assert collection not in events.fields
    other = "C_Hnl_pt" if collection == "Hnl" else "HLT_mu_trig_pt"
    assert events[other].to_list() == [[0.0]]


def test_a_path_that_nobody_knew_is_one(open_events):
    new = {"HLT_mu5_ip2p5_matched": ak.Array([np.ones(1, np.int16)])}
    events = open_events(one_event(**new), WZTreeSchema, TREE)
    assert events.TriggerMuon.mu5_ip2p5.matched.to_list() == [[1]]
