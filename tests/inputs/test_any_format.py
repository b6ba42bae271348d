"""Analyses whose files have one of several formats."""

import builders
import cloudpickle
import pytest
import uproot

from bphcoffea.datasets import Fileset
from bphcoffea.errors import RunError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.inputs import (
    FCCSchema,
    ReducedNanoAODSchema,
    ReducedPHYSLITESchema,
    ThreeMuSchema,
    TwoMuTrackSchema,
    WZTreeSchema,
    any_format,
    branch_filter,
    form_of,
    template_form,
)

ANALYSIS = """
from bphcoffea.analysis import (
    Analysis, Axis, Cut, Histogram, Objects, Selection, each, nth, number_of, quantity
)
from bphcoffea.inputs import FCCSchema, ReducedNanoAODSchema, any_format

pt = quantity("pt", unit="GeV")

class Muons(Analysis):
    schema = SCHEMA
    objects = (Objects("muon", "Muon", (pt > 10, quantity("eta").magnitude() < 2)),)
    selection = Selection(Cut("muons", number_of("muon") >= 1))
    histograms = (Histogram("pt", each("muon", pt), Axis(40, 0, 200)),)
    columns = (nth("muon", 1, pt), nth("muon", 1, quantity("phi")))
"""
ANY = "any_format(FCCSchema, ReducedNanoAODSchema)"


@pytest.fixture
def analysis(tmp_path):
    def analysis(schema):
        path = tmp_path / "muons.py"
        path.write_text(ANALYSIS.replace("SCHEMA", schema))
        return load_analysis(str(path))

    return analysis


@pytest.mark.samples
@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_files_of_two_formats_are_selected_alike(
    nanoaod, slim_nanoaod, analysis, tmp_path, executor
):
    files = {
        "nano": (slim_nanoaod / "nano_dimuon.root", "Events", "ReducedNanoAODSchema"),
        "fcc": (nanoaod / "test_FCC_Winter2023.root", "events", "FCCSchema"),
    }
    metadata = {"is_mc": True, "era": "any"}
    content = {
        name: {"files": {str(path): tree}, "metadata": metadata}
        for name, (path, tree, _) in files.items()
    }
    options = Options(executor, workers=1, chunksize=60)
    both = run(analysis(ANY), Fileset.model_validate(content), tmp_path / "both", options)
    assert both.complete
    for name, (_, _, schema) in files.items():
        fileset = Fileset.model_validate({name: content[name]})
        alone = run(analysis(schema), fileset, tmp_path / name, Options("iterative"))
        assert both.cutflow[name] == alone.cutflow[name]
        assert both.candidates(name).equals(alone.candidates(name))
        assert both.candidates(name).num_rows > 2
        histograms = both.histograms()["pt"], alone.histograms()["pt"]
        assert histograms[0][name, :, :, :] == histograms[1][name, :, :, :]


def test_each_schema_knows_its_format(nanoaod, tmp_path):
    nano = builders.write_nano(tmp_path / "nano.root", 2)
    with uproot.open(nano) as file:
        branches = {ReducedNanoAODSchema: form_of(file, "Events")["fields"]}
    with uproot.open(nanoaod / "test_FCC_Spring2021.root") as file:
        branches[FCCSchema] = form_of(file, "events")["fields"]
    with uproot.open(nanoaod / "PHYSLITE_example.root") as file:
        names = file["CollectionTree"].keys(recursive=True, full_paths=False)
    branches[ReducedPHYSLITESchema] = names
    for schema in (ThreeMuSchema, TwoMuTrackSchema, WZTreeSchema):
        branches[schema] = template_form(schema)["fields"]
    for schema in branches:
        assert [other for other in branches if schema.reads(branches[other])] == [schema], schema


def test_a_file_of_another_format_is_refused(analysis, tmp_path):
    path = builders.write_nano(tmp_path / "nano.root", 2)
    fileset = builders.fileset_of([path], tree="Events")
    other = analysis("any_format(FCCSchema)")
    with pytest.raises(RunError) as caught:
        run(other, fileset, tmp_path / "run", Options("iterative"))
    assert str(caught.value) == (
        f"dataset 'D', {path}: the tree has none of the formats of the analysis: FCCSchema"
    )


@pytest.mark.samples
def test_branches_that_the_format_does_not_need_are_not_looked_at(nanoaod, open_events):
    """Coffea would warn about hundreds that uproot cannot read, and warnings are errors here."""
    both = any_format(ReducedPHYSLITESchema, ReducedNanoAODSchema)
    path = nanoaod / "PHYSLITE_example.root"
    one, other = (
        open_events(path, schema, "CollectionTree") for schema in (both, ReducedPHYSLITESchema)
    )
    assert one.fields == other.fields
    assert one.Electrons.fields == other.Electrons.fields
    assert one.Electrons.pt.to_list() == other.Electrons.pt.to_list()
    nano = nanoaod / "nano_dimuon.root"
    with uproot.open(path) as file, uproot.open(nano) as nano_file:
        looked_at = cloudpickle.loads(cloudpickle.dumps(branch_filter(both)))
        alone = form_of(file, "CollectionTree", branch_filter(ReducedPHYSLITESchema))
        assert form_of(file, "CollectionTree", looked_at)["fields"] == alone["fields"]
        # the same filter, for a file of another format
        assert form_of(nano_file, "Events", looked_at)["fields"] == nano_file["Events"].keys()


def test_a_schema_of_several_formats_travels():
    schema = any_format(WZTreeSchema, FCCSchema)
    assert cloudpickle.loads(cloudpickle.dumps(schema)).formats == (WZTreeSchema, FCCSchema)
