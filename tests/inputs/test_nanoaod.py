"""NanoAOD whose branches don't fit together, as skims leave it."""

import awkward as ak
import builders
import numpy as np
import pytest
import uproot
from coffea.nanoevents import NanoAODSchema

from bphcoffea.errors import InputError
from bphcoffea.inputs import ReducedNanoAODSchema

FIELDS = ("pt", "eta", "phi", "mass", "charge")


def written_as_vectors(path, muons, counts):
    """Lists with lengths of their own, and a counter that counts something else."""
    lists = {f"Muon_{name}": ak.Array(values) for name, values in muons.items()}
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {"nMuon": np.array(counts, dtype=np.int32), **lists})
    return path


@pytest.mark.parametrize("change", ["counter", "longer", "shorter", "moved"])
def test_lists_of_other_lengths_than_the_counter_are_refused(open_events, tmp_path, change):
    muons = {name: [[1.0, 2.0], [], [3.0], [4.0, 5.0]] for name in FIELDS}
    counts, wrong = [2, 0, 1, 2], "pt"
    if change == "counter":
        counts = [2, 1, 0, 2]
    elif change == "longer":
        muons["phi"] = [[1.0, 2.0], [], [3.0], [4.0, 5.0, 6.0]]
        wrong = "phi"
    elif change == "shorter":
        muons["charge"] = [[1.0], [], [3.0], [4.0, 5.0]]
        wrong = "charge"
    else:
        muons["eta"] = [[1.0], [2.0], [3.0], [4.0, 5.0]]
        wrong = "eta"
    path = written_as_vectors(tmp_path / "a.root", muons, counts)
    muon = open_events(path, ReducedNanoAODSchema, "Events").Muon
    with pytest.raises(InputError, match=f"branch Muon_{wrong} has . entries, but nMuon has"):
        ak.materialize(muon[wrong])
    if change != "counter":
        assert ak.to_list(muon.mass) == muons["mass"]


def test_lists_that_fit_are_read(open_events, tmp_path):
    lists = [[1.0, 2.0], [], [3.0]]
    path = written_as_vectors(tmp_path / "a.root", dict.fromkeys(FIELDS, lists), [2, 0, 1])
    muons = open_events(path, ReducedNanoAODSchema, "Events").Muon
    assert all(ak.to_list(muons[name]) == lists for name in FIELDS)


def test_a_number_of_events_named_like_a_field_stands_apart(open_events, tmp_path):
    leading = np.arange(20, dtype=np.float32)
    path = builders.write_nano(tmp_path / "a.root", 20, Muon_ptLeading=leading)
    events = open_events(path, ReducedNanoAODSchema, "Events")
    assert "ptLeading" not in events.Muon.fields
    assert ak.to_list(events.Muon_ptLeading) == leading.tolist()
    assert ak.to_list(ak.num(events.Muon)) == [2] * 20


#: Collections of the schema, and the fields that coffea's records need at least.
NEEDED = {
    "PV": ("x", "y", "z"),
    "SV": ("x", "y", "z", "pt", "eta", "phi", "mass"),
    **dict.fromkeys(("MET", "PuppiMET", "RawMET"), ("pt", "phi")),
    **dict.fromkeys(("Muon", "Electron", "Tau"), FIELDS),
    **dict.fromkeys(("Jet", "FatJet", "GenJet", "GenPart", "SubJet"), FIELDS[:4]),
    "CorrT1METJet": ("rawPt", "eta", "phi"),
    **dict.fromkeys(("Photon", "FsrPhoton", "IsoTrack", "TrigObj"), FIELDS[:3]),
}


@pytest.mark.parametrize("name", list(NEEDED))
def test_skims_may_lack_fields_that_coffea_needs(open_events, tmp_path, name):
    """With all of them a collection has coffea's record; without one it still can be read."""
    single = name == "PV" or name.endswith("MET")
    lists = ak.values_astype(ak.Array([[1.0, 2.0], [], [3.0]]), np.float32)
    for missing in (None, *NEEDED[name]):
        kept = [field for field in ("other", *NEEDED[name]) if field != missing]
        values = np.arange(3, dtype=np.float32)
        columns = {f"{name}_{field}": values for field in kept}
        if not single:
            columns = {name: ak.zip(dict.fromkeys(kept, lists))}
        path = tmp_path / f"{missing}.root"
        with uproot.recreate(path) as file:
            types = {k: getattr(v, "dtype", None) or v.type.content for k, v in columns.items()}
            file.mktree("Events", types)
            file["Events"].extend(columns)
        collection = open_events(path, ReducedNanoAODSchema, "Events")[name]
        expected = values.tolist() if single else lists.to_list()
        assert {field: collection[field].to_list() for field in kept} == dict.fromkeys(
            kept, expected
        )
        chosen = collection[np.array([True, False, True])]
        assert chosen.other.to_list() == [expected[0], expected[2]]
        if missing is None:
            assert type(collection).__name__ == f"{NanoAODSchema.mixins[name]}Array"
        elif missing == "charge":
            assert ak.all(collection[ak.num(collection) > 0].energy > 0, axis=None)


@pytest.mark.samples
@pytest.mark.parametrize("name", ["nano_dy.root", "nano_dimuon.root", "nano_dimuon_rntuple.root"])
def test_every_collection_is_that_of_coffea(nanoaod, open_events, name):
    class Tolerant(NanoAODSchema):
        warn_missing_crossrefs = False

    ours = open_events(nanoaod / name, ReducedNanoAODSchema, "Events")
    with pytest.warns(RuntimeWarning, match="already exists"):
        coffeas = open_events(nanoaod / name, Tolerant, "Events")
    assert ours.fields == coffeas.fields
    for collection in ("Muon", "Jet", "Electron"):
        if collection in coffeas.fields:
            assert ours[collection].fields == coffeas[collection].fields
            # fields of an RNTuple take seconds to read, and of the others nothing is special
            compared = collection == "Muon" or "rntuple" not in name
            for field in coffeas[collection].fields if compared else ():
                one, other = (events[collection][field] for events in (ours, coffeas))
                assert ak.array_equal(one, other, equal_nan=True)
