"""PHYSLITE against plain uproot: each field of the sample, its unit, links, and faulty files."""

import math

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import transforms

from bphcoffea.errors import FilesetError
from bphcoffea.inputs import ReducedPHYSLITESchema

TREE = "CollectionTree"
#: Floating-point fields of the sample by their unit in the file.
MEV = {
    "Electrons": {
        *("pt", "m", "topoetcone20", "topoetcone20_CloseByCorr", "topoetcone20ptCorrection"),
        *("neflowisol20", "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000"),
        "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt1000_CloseByCorr",
        "ptcone20_Nonprompt_All_MaxWeightTTVALooseCone_pt1000_CloseByCorr",
        "ptcone20_Nonprompt_All_MaxWeightTTVALooseCone_pt1000",
        "ptcone20_Nonprompt_All_MaxWeightTTVALooseCone_pt500",
        "ptvarcone30_Nonprompt_All_MaxWeightTTVALooseCone_pt500",
    },
    "Muons": {
        *("pt", "ptcone20", "ptvarcone20", "ptcone30", "ptvarcone30", "ptcone40", "ptvarcone40"),
        *("topoetcone20", "topoetcone30", "topoetcone40", "topoetcone20_CloseByCorr"),
        *("neflowisol20", "neflowisol20_CloseByCorr", "EnergyLoss"),
        *("MuonSpectrometerPt", "InnerDetectorPt"),
        "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt500",
        "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt1000",
        "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt500_CloseByCorr",
        "ptvarcone30_Nonprompt_All_MaxWeightTTVA_pt1000_CloseByCorr",
        "ptcone20_Nonprompt_All_MaxWeightTTVA_pt500",
        "ptcone20_Nonprompt_All_MaxWeightTTVA_pt1000",
    },
    "Photons": {
        *("pt", "m", "ptcone20", "ptcone20_CloseByCorr", "topoetcone20", "topoetcone40"),
        *("topoetcone20_CloseByCorr", "topoetcone40_CloseByCorr"),
        *("topoetcone20ptCorrection", "topoetcone40ptCorrection"),
    },
    "TauJets": {"pt", "m", "ptTauEnergyScale", "ptFinalCalib"},
    "Jets": {"pt", "m", "JetConstitScaleMomentum_pt", "JetConstitScaleMomentum_m"},
    "LargeRJets": {"pt", "m", "JetConstitScaleMomentum_pt", "JetConstitScaleMomentum_m"},
}
WITHOUT_UNIT = {
    "Electrons": {"eta", "phi", "charge", "f1", "DFCommonElectronsECIDSResult"},
    "Muons": {
        *("eta", "phi", "charge", "segmentDeltaEta", "CaloMuonScore", "CaloLRLikelihood"),
        *("momentumBalanceSignificance", "scatteringNeighbourSignificance"),
        *("scatteringCurvatureSignificance", "DFCommonJetDr"),
    },
    "Photons": {"eta", "phi", "f1"},
    "TauJets": {
        *("eta", "phi", "charge", "etaTauEnergyScale", "etaFinalCalib", "RNNJetScore"),
        *("RNNJetScoreSigTrans", "RNNEleScore", "RNNEleScoreSigTrans_v1", "JetDeepSetScore"),
        "JetDeepSetScoreTrans",
    },
    "Jets": {
        *("eta", "phi", "JetConstitScaleMomentum_eta", "JetConstitScaleMomentum_phi"),
        *("ActiveArea4vec_eta", "ActiveArea4vec_phi", "DetectorEta", "EMFrac", "JVFCorr"),
        *("PSFrac", "Width", "DFCommonJets_fJvt"),
    },
    "LargeRJets": {
        *("eta", "phi", "JetConstitScaleMomentum_eta", "JetConstitScaleMomentum_phi"),
        *("GN2Xv01_phbb", "GN2Xv01_ptop", "GN2Xv01_pqcd", "GN2Xv01_phcc", "DetectorEta"),
        *("D2", "C2", "Tau1_wta", "Tau2_wta", "Tau3_wta"),
    },
}
#: Fields that come from linked objects or from no branch.
ADDED = {
    "Electrons": {"d0_significance", "z0_sin_theta"},
    "Muons": {"d0_significance", "z0_sin_theta", "mass"},
    "Jets": {f"{tagger}_{p}" for tagger in ("DL1dv01", "GN2v00") for p in ("pu", "pc", "pb")},
}


@pytest.fixture(scope="module")
def sample(nanoaod):
    """The file, opened once: that takes a second."""
    with uproot.open(nanoaod / "PHYSLITE_example.root") as file:
        yield file


@pytest.fixture(scope="module")
def events(sample, open_events):
    return open_events(sample, ReducedPHYSLITESchema, TREE)


@pytest.fixture(scope="module")
def tree(sample):
    return sample[TREE]


@pytest.mark.samples
@pytest.mark.parametrize("name", MEV)
def test_fields_are_those_of_the_file_in_gev(name, events, tree):
    collection = events[name]
    floats = set()
    for field in set(collection.fields) - ADDED.get(name, set()):
        leaf = "m" if field == "mass" else field
        there = tree[f"Analysis{name}AuxDyn.{leaf}"].array()
        values = ak.flatten(there).to_numpy()
        found = ak.flatten(collection[field]).to_numpy()
        assert ak.num(collection[field]).to_list() == ak.num(there).to_list()
        if values.dtype == np.int8:
            assert found.dtype == np.bool_
            np.testing.assert_array_equal(found, values == 1)
            continue
        if leaf in MEV[name]:
            values = values.astype(np.float64) / 1000
        np.testing.assert_array_equal(found, values)
        if values.dtype.kind == "f":
            floats.add(leaf)
    # whatever has another unit is left out
    assert floats == MEV[name] | WITHOUT_UNIT[name]
    assert {field for field in ADDED.get(name, ()) if field not in collection.fields} == set()


@pytest.mark.samples
def test_numbers_of_the_event(events, tree):
    for field, branch in {
        "run": "runNumber",
        "luminosityBlock": "lumiBlock",
        "event": "eventNumber",
        "mcEventWeights": "mcEventWeights",
    }.items():
        assert events[field].to_list() == tree[f"EventInfoAuxDyn.{branch}"].array().to_list()
    weights = tree["EventInfoAuxDyn.mcEventWeights"].array().to_list()
    assert events.genWeight.to_list() == [of_event[0] for of_event in weights]
    info = events.EventInfo
    pileup = tree["EventInfoAuxDyn.actualInteractionsPerCrossing"].array()
    assert info.actualInteractionsPerCrossing.to_list() == pileup.to_list()
    assert info.DFCommonJets_eventClean_LooseBad.to_list() == [True] * 100
    assert set(info.mcChannelNumber.to_list()) == {700322}
    # its unit is not known to the schema
    assert "beamPosX" not in info.fields


@pytest.mark.samples
def test_generated_particles_and_vertices(events, tree):
    for name in ("TruthElectrons", "TruthMuons", "TruthNeutrinos", "TruthTaus"):
        particles = events[name]
        x, y, z, mass = (
            ak.flatten(tree[f"{name}AuxDyn.{leaf}"].array()).to_numpy().astype(np.float64)
            for leaf in ("px", "py", "pz", "m")
        )
        flat = ak.flatten(particles)
        np.testing.assert_array_equal(flat.pt, np.hypot(x, y) / 1000)
        np.testing.assert_array_equal(flat.mass, mass / 1000)
        np.testing.assert_array_equal(flat.phi, np.arctan2(y, x))
        np.testing.assert_allclose(flat.pz, z / 1000, rtol=1e-12)
        numbers = tree[f"{name}AuxDyn.pdgId"].array()
        assert particles.pdgId.to_list() == numbers.to_list()
    taus = ak.flatten(events.TruthTaus)
    for leaf, factor in {"pt_vis": 1000, "m_invis": 1000, "decay_vertex_z": 10}.items():
        values = ak.flatten(tree[f"TruthTausAuxDyn.{leaf}"].array())
        assert taus[leaf].to_list() == [value / factor for value in values.to_list()]
    z = tree["PrimaryVerticesAuxDyn.z"].array()
    assert events.PrimaryVertices.z.to_list() == [[x / 10 for x in of_event] for of_event in z]


@pytest.mark.samples
def test_missing_momentum_of_soft_tracks(events, tree):
    for name, prefix, term in (
        ("TrackSoftTerm", "MET_Core_AnalysisMETAuxDyn.", "PVSoftTrkCore"),
        ("TruthMET", "MET_TruthAuxDyn.", "NonInt"),
    ):
        names = tree[f"{prefix}name"].array().to_list()
        for field, leaf in {"x": "mpx", "y": "mpy", "sumet": "sumet"}.items():
            values = tree[f"{prefix}{leaf}"].array().to_list()
            expected = [
                of_event[in_event.index(term)] / 1000
                for of_event, in_event in zip(values, names, strict=True)
            ]
            assert events[name][field].to_list() == expected
    soft = events.TrackSoftTerm
    np.testing.assert_allclose(soft.pt, np.hypot(soft.x, soft.y))


@pytest.mark.samples
def test_impact_parameters_and_tags_are_those_of_linked_objects(events, tree):
    def lists(branch):
        return tree[branch].array().to_list()

    vertices = list(
        zip(
            lists("PrimaryVerticesAuxDyn.z"), lists("PrimaryVerticesAuxDyn.vertexType"), strict=True
        )
    )
    primary = [z[kinds.index(1)] for z, kinds in vertices]
    muon_link = "AnalysisMuonsAuxDyn.combinedTrackParticleLink"
    links = {
        "Electrons": [
            [(of[0]["m_persIndex"], of[0]["m_persKey"]) for of in event]
            for event in lists("AnalysisElectronsAuxDyn.trackParticleLinks")
        ],
        "Muons": [
            list(zip(*both, strict=True))
            for both in zip(
                lists(f"{muon_link}/{muon_link}.m_persIndex"),
                lists(f"{muon_link}/{muon_link}.m_persKey"),
                strict=True,
            )
        ],
    }
    tracks = {"Electrons": "GSFTrackParticles", "Muons": "CombinedMuonTrackParticles"}
    for name, of_events in links.items():
        d0, z0, vz, theta, variances = (
            lists(f"{tracks[name]}AuxDyn.{leaf}")
            for leaf in ("d0", "z0", "vz", "theta", "definingParametersCovMatrixDiag")
        )
        longitudinal, significances = [], []
        for event, linked in enumerate(of_events):
            for index, key in linked:
                assert key != 0
                z = z0[event][index] + vz[event][index] - primary[event]
                longitudinal.append(z * math.sin(theta[event][index]) / 10)
                variance = variances[event][index][0]
                significances.append(d0[event][index] / math.sqrt(variance))
        found = ak.flatten(events[name])
        np.testing.assert_allclose(found.z0_sin_theta, longitudinal, rtol=1e-13)
        np.testing.assert_allclose(found.d0_significance, significances, rtol=1e-13)
    assert len(longitudinal) == 5
    jet_link = "AnalysisJetsAuxDyn.btaggingLink"
    positions = lists(f"{jet_link}/{jet_link}.m_persIndex")
    scores = lists("BTagging_AntiKt4EMPFlowAuxDyn.GN2v00_pb")
    expected = [[of[i] for i in index] for of, index in zip(scores, positions, strict=True)]
    assert events.Jets.GN2v00_pb.to_list() == expected


@pytest.mark.samples
def test_columns_are_read_when_they_are_used(sample, open_events):
    log = []
    events = open_events(sample, ReducedPHYSLITESchema, TREE, log=log)
    assert events.Jets.pt[0, 0] > 0
    assert {column.branch for column in log} == {"AnalysisJetsAuxDyn.pt"}


@pytest.mark.samples
def test_momenta_add_as_vectors(events):
    pairs = events.Electrons[ak.num(events.Electrons) >= 2][:, :2]
    mass = (pairs[:, 0] + pairs[:, 1]).mass
    assert 88 < np.median(mass) < 93
    muons = events.Muons[ak.num(events.Muons) > 0]
    assert set(np.round(ak.flatten(muons.mass), 5).tolist()) == {0.10566}


def written(path, **columns):
    columns = {"EventInfoAuxDyn.eventNumber": np.arange(3, dtype=np.uint64)} | {
        name.replace("__", "AuxDyn."): ak.values_astype(ak.Array(values), np.float32)
        for name, values in columns.items()
    }
    with uproot.recreate(path) as file:
        file.mktree(TREE, {name: ak.type(values).content for name, values in columns.items()})
        file[TREE].extend(columns)
    return path


def test_lists_of_other_lengths_are_refused(tmp_path, open_events):
    file = written(
        tmp_path / "file.root",
        AnalysisJets__pt=[[1000.0], [], [2000.0, 3000.0]],
        AnalysisJets__eta=[[0.5], [], [0.1]],
        AnalysisJets__phi=[[0.5], [], [0.1, 0.2]],
        AnalysisJets__m=[[0.5], [], [0.1, 0.2]],
    )
    jets = open_events(file, ReducedPHYSLITESchema, TREE).Jets
    assert jets.pt.to_list() == [[1.0], [], [2.0, 3.0]]
    with pytest.raises(FilesetError, match=r"AnalysisJetsAuxDyn\.eta has 1 entries, but .* has 2"):
        ak.materialize(jets.eta)


def test_collections_without_their_branches_do_not_exist(tmp_path, open_events):
    file = written(tmp_path / "file.root", AnalysisMuons__eta=[[1.0], [], [2.0]])
    events = open_events(file, ReducedPHYSLITESchema, TREE)
    assert events.fields == ["event", "EventInfo"]


def test_simulation_without_weights_is_refused(tmp_path, open_events):
    file = written(tmp_path / "file.root")
    with pytest.raises(FilesetError, match=r"simulation lacks the branch .*mcEventWeights"):
        open_events(file, ReducedPHYSLITESchema, TREE, is_mc=True)
    assert "genWeight" not in open_events(file, ReducedPHYSLITESchema, TREE, is_mc=False).fields


@pytest.mark.samples
def test_other_formats_are_refused(nanoaod, open_events):
    with pytest.raises(FilesetError, match="the tree is not PHYSLITE: it lacks the branch Event"):
        open_events(nanoaod / "nano_dy.root", ReducedPHYSLITESchema, "Events")


def linked(values, positions, keys):
    stack = [ak.Array(values), ak.Array(positions), ak.Array(keys), "link"]
    transforms.bphcoffea_linked(stack)
    return stack[0]


def test_objects_without_a_link_have_no_value():
    found = linked([[1.0, 2.0], [], [3.0]], [[1, 0], [0], [0]], [[7, 0], [0], [7]])
    np.testing.assert_array_equal(found, [2.0, np.nan, np.nan, 3.0])
    stack = [ak.Array([[[{"key": 5}, {"key": 0}], []], []]), "key"]
    transforms.bphcoffea_first(stack)
    assert stack[0].to_list() == [[5, 0], []]


def test_links_to_missing_objects_are_refused():
    with pytest.raises(FilesetError, match="branch link links to an object that does not exist"):
        linked([[1.0], [1.0]], [[0], [1]], [[7], [7]])


def test_events_without_a_primary_vertex_have_no_impact_parameter():
    z0, vz, theta = ak.Array([[10.0], [10.0]]), ak.Array([[1.0], [1.0]]), ak.Array([[0.5], [0.5]])
    z, kinds = ak.Array([[9.0, 4.0], [3.0]]), ak.Array([[3, 1], [3]])
    stack = [z0, vz, theta, z, kinds]
    transforms.bphcoffea_z0_sin_theta(stack)
    values = ak.flatten(stack[0]).to_numpy()
    assert values[0] == pytest.approx(7 * math.sin(0.5))
    assert math.isnan(values[1])


def test_events_without_a_weight_or_a_term_are_refused():
    stack = [ak.Array([[1.0, 2.0], []]), "weights"]
    with pytest.raises(FilesetError, match="branch weights is empty in 1 events, first at pos"):
        transforms.bphcoffea_first_of_event(stack)
    names = ak.Array([["soft", "hard"], ["hard"]])
    stack = [ak.Array([[1.0, 2.0], [3.0]]), names, "met", "soft"]
    with pytest.raises(FilesetError, match=r"branch met must have one term 'soft' .* has 0 in"):
        transforms.bphcoffea_named_term(stack)
