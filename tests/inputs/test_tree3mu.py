"""Branches become collections: in every format, of both flavours, lazily, and never misaligned."""

import io

import awkward as ak
import numpy as np
import pytest
import uproot
import vector
from builders import typed_events

from bphcoffea.errors import InputError
from bphcoffea.inputs import ThreeMuSchema, Tree3MuSchema, TwoMuTrackSchema
from bphcoffea.physics.constants import MUON_MASS, PION_MASS

#: Where each branch of the two-muons-and-a-track flavour is found.
PLACES = {
    "Triplet2_Mass": "Triplet.mass",
    "Triplet2_Charge": "Triplet.charge",
    "TripletVtx2_Chi2": "Triplet.vertex.chi2",
    "TripletVtx2_x": "Triplet.vertex.x",
    "RefittedPV2_NTracks": "Triplet.primary_vertex.n_tracks",
    "FlightDistPVSV2": "Triplet.flight_pv.distance",
    "FlightDistBS_SV_Err": "Triplet.flight_bs.error",
    "FlightDistBS_SV_Significance": "Triplet.flight_bs.significance",
    "Mu01_Pt": "Triplet.mu1.pt",
    "Mu02_Phi": "Triplet.mu2.phi",
    "Tr_Eta": "Triplet.track.eta",
    "RefTrack1_Pt": "Triplet.mu1_refitted.pt",
    "RefTrack3_Phi": "Triplet.track_refitted.phi",
    "Mu1_dRtriggerMatch_2017": "Triplet.mu1.trigger_dr_2017",
    "Mu3_dRtriggerMatch_2017": "Triplet.track.trigger_dr_2017",
    "MuonPt": "Muon.pt",
    "MuonCharge": "Muon.charge",
    "Muon_isPF": "Muon.isPF",
    "Track_dxy": "Track.dxy",
    "Trigger_hltname": "HLT.name",
    "Trigger_l1decision": "L1.decision",
    "evt": "event",
    "lumi": "lumi",
    "MuonCollectionSize": "MuonCollectionSize",
}


def at(events, place):
    for field in place.split("."):
        events = events[field]
    return events


@pytest.fixture(scope="module")
def arrays(data):
    with uproot.open(data / "tree3mu_phipi_2017.root") as file:
        return file["Tree3Mu/ntuple"].arrays()


@pytest.fixture(scope="module")
def formats(data, arrays, tmp_path_factory):
    """The same events as std::vector branches, counted arrays and RNTuple."""
    folder = tmp_path_factory.mktemp("formats")
    with uproot.recreate(folder / "rntuple.root") as root:
        root.mkdir("Tree3Mu").mkrntuple("ntuple", {name: arrays[name] for name in arrays.fields})
    # counted arrays can't hold strings
    counted = {n: arrays[n] for n in arrays.fields if not n.startswith("Trigger")}
    with uproot.recreate(folder / "counted.root") as root:
        tree = root.mkdir("Tree3Mu").mktree(
            "ntuple", {name: array.type.content for name, array in counted.items()}
        )
        tree.extend(counted)
    return {
        "vectors": data / "tree3mu_phipi_2017.root",
        "counted": folder / "counted.root",
        "rntuple": folder / "rntuple.root",
    }


@pytest.mark.parametrize("kind", ["vectors", "counted", "rntuple"])
def test_every_branch_is_where_it_should_be(kind, formats, arrays, open_events):
    events = open_events(formats[kind], Tree3MuSchema)
    assert len(events) == len(arrays)
    for branch, place in PLACES.items():
        if kind == "counted" and branch.startswith("Trigger"):
            continue
        assert ak.array_equal(
            ak.without_parameters(ak.materialize(at(events, place))),
            ak.without_parameters(arrays[branch]),
            equal_nan=True,
        ), branch


def test_formats_are_what_they_are_called(formats):
    with uproot.open(formats["vectors"]) as file:
        assert file["Tree3Mu/ntuple/Mu01_Pt"].typename == "std::vector<double>"
    with uproot.open(formats["counted"]) as file:
        assert file["Tree3Mu/ntuple/Mu01_Pt"].typename == "double[]"
    with uproot.open(formats["rntuple"]) as file:
        assert file["Tree3Mu/ntuple"].classname == "ROOT::RNTuple"


@pytest.mark.parametrize("kind", ["vectors", "rntuple"])
def test_nothing_is_read_until_it_is_used(kind, formats, open_events):
    log = []
    events = open_events(formats[kind], TwoMuTrackSchema, log=log)
    assert {"Triplet", "Muon", "HLT"} <= set(events.fields)
    assert log == []
    ak.materialize(events.Triplet.mu1.pt)
    # the lists of the mass say how many candidates an event has
    assert {column.branch for column in log} == {"Mu01_Pt", "Triplet2_Mass"}
    log.clear()
    ak.materialize(events.Muon.mass)
    assert {column.branch for column in log} == {"MuonPt"}


def test_collections_are_vectors(data, open_events):
    events = open_events(data / "tree3mu_phipi_2017.root", Tree3MuSchema)
    legs = [events.Triplet[leg] for leg in ("mu1_refitted", "mu2_refitted", "track_refitted")]
    for leg, mass in zip(legs, (MUON_MASS, MUON_MASS, PION_MASS), strict=True):
        assert ak.all(leg.mass == mass)
    # padding may stand in single branches
    fitted = [events.Triplet.mass, *(leg.pt for leg in legs), *(leg.eta for leg in legs)]
    good = np.all([ak.to_numpy(ak.flatten(values)) != -99 for values in fitted], axis=0)
    refitted = ak.flatten((legs[0] + legs[1] + legs[2]).mass)[good]
    # the toy's mass is that of its refitted legs, up to the cancellation in E² - p²
    np.testing.assert_allclose(refitted, ak.flatten(events.Triplet.mass)[good], rtol=1e-9)
    assert isinstance(events.Muon, vector.backends.awkward.MomentumAwkward4D)
    assert isinstance(events.Track, vector.backends.awkward.MomentumAwkward4D)
    assert isinstance(events.Triplet.vertex, vector.backends.awkward.VectorAwkward3D)
    muons = events.Muon[ak.num(events.Muon) >= 2]
    pairs = muons[:, 0] + muons[:, 1]
    assert ak.all(pairs.charge == muons.charge[:, 0] + muons.charge[:, 1])


def test_generated_particles(data, open_events):
    gen = open_events(data / "tree3mu_phipi_2018_mc.root", Tree3MuSchema).Gen
    assert {"pt", "eta", "phi", "pdgId", "motherPdgId"} <= set(gen.fields)
    assert isinstance(gen, vector.backends.awkward.MomentumAwkward3D)
    assert ak.all(ak.any(abs(gen.pdgId) == 431, axis=1))


def test_three_muons(data, open_events):
    events = open_events(data / "tree3mu_3mu.root", Tree3MuSchema)
    with uproot.open(data / "tree3mu_3mu.root") as file:
        tree = file["Tree3Mu/ntuple"]
        for branch, place in {
            "Triplet_Mass": "Triplet.mass",
            "TripletVtx_Chi2": "Triplet.vertex.chi2",
            "FlightDistBS_SV_Significance": "Triplet.flight_bs.significance",
            "Mu3_Eta": "Triplet.mu3.eta",
            "Mu2_dRtriggerMatch": "Triplet.mu2.trigger_dr",
            "Muon_vz": "Muon.vz",
            "Muon_BestTrackPtErr": "Muon.BestTrackPtErr",
        }.items():
            assert at(events, place).to_list() == tree[branch].array().to_list(), branch
    assert "track" not in events.Triplet.fields
    assert ak.all(events.Triplet.mu3.mass == MUON_MASS)


def test_a_file_of_both_flavours_needs_a_choice(data, open_events):
    with uproot.open(data / "tree3mu_3mu.root") as file:
        three = file["Tree3Mu/ntuple"].arrays()
    with uproot.open(data / "tree3mu_phipi_2017.root") as file:
        two = file["Tree3Mu/ntuple"].arrays(entry_stop=len(three))
    content = {name: two[name] for name in two.fields}
    content |= {name: three[name] for name in three.fields if name.startswith("Triplet")}
    buffer = io.BytesIO()
    with uproot.recreate(buffer) as root:
        root.mkdir("Tree3Mu").mkrntuple("ntuple", content)
        written = buffer.getvalue()
    with pytest.raises(InputError, match="both flavours"):
        open_events(written, Tree3MuSchema)
    masses = open_events(written, TwoMuTrackSchema).Triplet.mass
    assert masses.to_list() == two["Triplet2_Mass"].to_list()
    masses = open_events(written, ThreeMuSchema).Triplet.mass
    assert masses.to_list() == three["Triplet_Mass"].to_list()


def test_a_file_of_no_flavour_says_so(open_events, tmp_path):
    with uproot.recreate(tmp_path / "x.root") as root:
        root.mkdir("Tree3Mu").mktree("ntuple", {"run": "uint32"}).extend({"run": [1]})
    with pytest.raises(InputError, match="no flavour"):
        open_events(tmp_path / "x.root", Tree3MuSchema)


def test_lists_of_another_length_are_refused(one_candidate, ntuple, open_events):
    # zipped without a check, the second event would get the first one's spare value
    events = [one_candidate(TripletVtx2_Chi2=[1.0, 2.0]), one_candidate(TripletVtx2_Chi2=[])]
    opened = open_events(ntuple(events), TwoMuTrackSchema)
    assert opened.Triplet.mass.to_list() == [[1.968], [1.968]]
    with pytest.raises(InputError, match="TripletVtx2_Chi2 has 2 entries, but Triplet2_Mass has 1"):
        ak.materialize(opened.Triplet.vertex.chi2)


@pytest.mark.parametrize("schema", [TwoMuTrackSchema, ThreeMuSchema])
def test_template_has_every_collection(schema):
    events = typed_events(schema)
    legs = ("mu1", "mu2", "mu3" if schema is ThreeMuSchema else "track")
    for leg in legs:
        assert {"pt", "eta", "phi", "trigger_dr", "trigger_dr_2017"} <= set(
            events.Triplet[leg].fields
        )
    assert {"Triplet", "Muon", "Track", "HLT", "L1", "run", "lumi", "event"} <= set(events.fields)


def test_branches_may_be_missing(one_candidate, ntuple, open_events):
    event = one_candidate()
    kept = {
        name: values
        for name, values in event.items()
        if name.startswith(("Triplet2", "Mu01")) or name in ("evt", "run", "lumi")
    }
    events = open_events(ntuple([kept]), TwoMuTrackSchema)
    assert events.Triplet.mu1.pt.to_list() == [[5.000000001]]
    assert not {"Muon", "HLT", "Gen"} & set(events.fields)
