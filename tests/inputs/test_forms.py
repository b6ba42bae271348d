"""Forms of trees are those that coffea makes, although they are made once for files alike."""

import io

import awkward as ak
import numpy as np
import pytest
import uproot
from coffea.nanoevents import BaseSchema, NanoEventsFactory

from bphcoffea.inputs import form_of, template_form

FLAT = np.zeros(2, np.float32)
LISTS = ak.Array([[1.5], [2.5, 3.5]])
#: Trees that differ in one thing each.
TREES = [
    {"x": FLAT},
    {"x": FLAT.astype(np.float64)},
    {"x": FLAT.astype(np.int32)},
    {"x": FLAT.astype(np.uint32)},
    {"x": FLAT.astype(np.bool_)},
    {"x": np.zeros((2, 3), np.float32)},
    {"x": np.zeros((2, 4), np.float32)},
    {"x": LISTS},
    {"x": ak.values_astype(LISTS, np.float32)},
    {"y": FLAT},
    {"x": FLAT, "y": FLAT},
    {"y": FLAT, "x": FLAT},
    {"x": ak.zip({"pt": LISTS, "eta": LISTS})},
]


def written(columns, title=""):
    buffer = io.BytesIO()
    with uproot.recreate(buffer) as root:
        types = {name: ak.type(values).content for name, values in columns.items()}
        root.mktree("Events", types, title=title).extend(columns)
        content = buffer.getvalue()
    return uproot.open(io.BytesIO(content))


def form_of_coffea(file, tree="Events"):
    factory = NanoEventsFactory.from_root(file, treepath=tree, schemaclass=BaseSchema)
    return factory.events().attrs["@form"]


def test_each_of_trees_that_differ_in_one_thing():
    titled = [written({"x": FLAT}, title) for title in ("a", "b")]
    differing = [written(columns) for columns in TREES]
    for file in differing:
        for branch in file["Events"].branches:
            branch._members["fTitle"] = "any text, as in files of ROOT"
    for file in [*titled, *differing] * 2:
        found, expected = form_of(file, "Events"), form_of_coffea(file)
        assert found["fields"] == expected["fields"]
        assert found["contents"] == expected["contents"]
        assert found["parameters"]["__doc__"] == file["Events"].title
        assert found["typenames"] == file["Events"].typenames()


@pytest.mark.parametrize(
    ("part", "member", "value"),
    [("leaf", "fIsUnsigned", True), ("leaf", "fTitle", "x[2]"), ("branch", "fName", "y")],
)
def test_trees_whose_branches_have_the_same_titles(part, member, value):
    plain = form_of(written({"x": FLAT.astype(np.int32)}), "Events")
    file = written({"x": FLAT.astype(np.int32)})
    branch = file["Events"]["x"]
    (leaf,) = branch.member("fLeaves")
    {"leaf": leaf, "branch": branch}[part]._members[member] = value
    found, expected = form_of(file, "Events"), form_of_coffea(file)
    assert found["fields"] == expected["fields"]
    assert found["contents"] == expected["contents"] != plain["contents"]


def test_only_the_branches_that_are_looked_at():
    file = written({"x": FLAT, "y": FLAT})
    assert form_of(file, "Events")["fields"] == ["x", "y"]
    assert form_of(file, "Events", "x")["fields"] == ["x"]
    assert form_of(file, "Events", lambda branch: branch.name == "y")["fields"] == ["y"]


def test_a_changed_form_is_not_given_again():
    file = written({"x": FLAT})
    form_of(file, "Events")["fields"].clear()
    assert form_of(file, "Events")["fields"] == ["x"]


@pytest.mark.parametrize("name", ["nano_dimuon.root", "nano_tt_v15.root"])
def test_samples(nanoaod, name):
    with uproot.open(nanoaod / name) as file:
        assert form_of(file, "Events")["contents"] == form_of_coffea(file)["contents"]


def test_vectors_of_other_numbers(data):
    path, tree = data / "tree3mu_phipi_2017.root", "Tree3Mu/ntuple"
    name = "RefTrack1_Pt"
    forms = []
    for of in ("double", "float", "double", "int", "vector<double> "):
        with uproot.open(path) as file:
            branch = file[tree][name]
            branch._members["fClassName"] = f"vector<{of}>"
            found, expected = form_of(file, tree), form_of_coffea(file, tree)
        assert found["contents"] == expected["contents"]
        assert found["typenames"][name] == branch.typename
        forms.append(found)
    assert forms[0] == forms[2] != forms[1]


def test_a_schema_without_template():
    assert template_form(BaseSchema) is None
