"""Branches that an analysis reads, found on typed events without data."""

import awkward as ak
import builders
import numpy as np
import pytest
import uproot
from builders import pairs_of_muons
from coffea.nanoevents import NanoEventsFactory

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    Objects,
    PathFired,
    PileupWeight,
    Region,
    Selection,
    Variable,
    nth,
    number_of,
    quantity,
)
from bphcoffea.errors import RunError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.inputs import FCCSchema, ReducedNanoAODSchema, form_of
from bphcoffea.processing import Processor, TracingError, branch_needs

pt, eta = quantity("pt"), quantity("eta")
METADATA = {"is_mc": False, "era": "2018", "hlt": ()}
READ = {"nMuon", "Muon_pt", "Muon_eta"}


class Muons(Analysis):
    schema = ReducedNanoAODSchema
    objects = (Objects("muon", "Muon", (pt > 5, eta.magnitude() < 2)),)
    selection = Selection(Cut("muons", number_of("muon") >= 1))
    histograms = (Histogram("pt", nth("muon", 1, pt), Axis(10, 0, 100)),)


def form(path):
    with uproot.open(path) as file:
        return form_of(file, "Events")


def required(analysis, *paths, **metadata):
    names = [f"dataset{n}" for n in range(len(paths))]
    forms = dict(zip(names, map(form, paths), strict=True))
    needs = branch_needs(analysis, dict.fromkeys(names, METADATA | metadata), forms)
    return [set(needs[name].required) for name in names]


@pytest.fixture
def nano(tmp_path):
    return builders.write_nano(tmp_path / "nano.root", 20)


def test_branches_are_those_that_the_analysis_reads(nano):
    assert required(Muons(), nano) == [READ]


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "file", "tree"),
    [
        ("zmumu", "nano_dy.root", "Events"),
        ("top_met", "nano_tt_v15.root", "Events"),
        ("fcc_zrecoil", "test_FCC_Winter2023.root", "events"),
    ],
)
def test_nothing_is_read_but_what_was_found(nanoaod, name, file, tree):
    analysis = load_analysis(name)
    log = []
    metadata = {"dataset": "test", "is_mc": True, "era": "2018", "hlt": ()}
    with uproot.open(nanoaod / file) as root:
        how = {"schemaclass": analysis.schema, "metadata": metadata, "access_log": log}
        Processor(analysis).process(
            NanoEventsFactory.from_root(root, treepath=tree, **how).events()
        )
        needs = branch_needs(analysis, {"test": metadata}, {"test": form_of(root, tree)})["test"]
    read = {column.branch for column in log}
    lengths = {f"n{branch}" for branch in needs.optional}
    assert set(needs.required) <= read <= {*needs.required, *needs.looked_for, *lengths}
    assert len(needs.required) > 6


def test_lists_of_leptons_of_the_fcc_are_required(nanoaod):
    class Recoil(Analysis):
        schema = FCCSchema
        selection = Selection(Cut("muons", number_of("Muon") >= 2))
        histograms = (Histogram("pt", nth("Muon", 1, pt), Axis(10, 0, 100)),)

    with uproot.open(nanoaod / "test_FCC_Winter2023.root") as file:
        forms = {"zh": form_of(file, "events")}
    read = branch_needs(Recoil(), {"zh": METADATA}, forms)["zh"].required
    assert "Muon#0/Muon#0.index" in read
    assert not [branch for branch in read if "Electron" in branch]


def test_files_of_other_types_are_traced_by_themselves(nano, tmp_path):
    class Either(Muons):
        def prepare(self, events):
            read = events.Extra if "Extra" in events.fields else events.Muon
            return ak.with_field(events, read, "read")

        histograms = (Histogram("read", nth("read", 1, quantity("phi")), Axis(10, -4, 4)),)

    newer = builders.write_nano(tmp_path / "newer.root", 20, Extra=ak.zip(pairs_of_muons(20)))
    # what suffices for the first file need not be read of the second, and the other way round
    assert required(Either(), newer, nano) == [
        READ | {"nExtra", "Extra_phi"},
        READ | {"Muon_phi"},
    ]


def test_what_files_may_lack_is_not_required(tmp_path):
    class Triggered(Muons):
        regions = (Region("isolated", PathFired("IsoMu24")),)
        weights = (PileupWeight(Variable("interactions", lambda e: e.Pileup.nTrueInt)),)

    extra = {"HLT_IsoMu24": np.ones(20, np.bool_), "genWeight": np.ones(20, np.float32)}
    path = builders.write_nano(tmp_path / "nano.root", 20, **extra)
    # the weight is not applied, as there are no corrections
    assert required(Triggered(), path, is_mc=True) == [READ]


def test_an_analysis_that_fails_without_objects_is_traced_as_far_as_it_goes(nano):
    class Leading(Muons):
        def prepare(self, events):
            hardest = ak.max(events.muon.pt, axis=None)
            return ak.with_field(events, hardest * ak.ones_like(events.Muon.phi), "hardest")

    assert required(Leading(), nano) == [READ]


class Mistaken(Muons):
    def prepare(self, events):
        return ak.with_field(events, events.Muon.eat, "wrong")


class MistakenQuantity(Muons):
    objects = (Objects("muon", "Muon", (quantity("eat") > 5,)),)


@pytest.mark.parametrize(
    ("analysis", "place"),
    [
        (Mistaken(), f"({__file__}, line "),
        (MistakenQuantity(), "in Muon, which has: pt, eta, phi, mass, charge"),
    ],
)
def test_a_field_that_files_lack_is_reported_before_the_run(analysis, place, nano, tmp_path):
    with pytest.raises(TracingError, match="dataset0"):
        required(analysis, nano)
    fileset = builders.fileset_of([nano], tree="Events", era="2018")
    with pytest.raises(RunError) as caught:
        run(analysis, fileset, tmp_path / "run", Options("iterative"))
    (line,) = str(caught.value).splitlines()
    assert line.startswith(
        f"dataset 'D', {nano}: the analysis reads a field that the events do not have: "
    )
    assert "no field named 'eat'" in line
    assert place in line


def test_the_types_come_from_a_file_that_can_be_read(tmp_path, nano):
    broken, empty = tmp_path / "broken.root", builders.write_empty_nano(tmp_path / "empty.root")
    broken.write_bytes(b"root, but no more")
    muons = pairs_of_muons(20)
    del muons["eta"]
    lacking = builders.write_nano(tmp_path / "lacking.root", 20, muons=muons)
    fileset = builders.fileset_of([broken, empty, nano, lacking], tree="Events", era="2018")
    with pytest.raises(RunError, match="lacks the branches Muon_eta"):
        run(Muons(), fileset, tmp_path / "run", Options("iterative"))
