"""Fields of an RNTuple, against those that uproot finds by itself."""

import importlib.util

import awkward as ak
import numpy as np
import pytest
import uproot
from uproot.behaviors.RNTuple import HasFields

from bphcoffea.storage.rntuple_fields import index_fields


@pytest.fixture
def by_uproot(monkeypatch):
    """uproot's own property, of a second copy of its module."""
    specification = importlib.util.find_spec("uproot.behaviors.RNTuple")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    monkeypatch.setattr(HasFields, "fields", HasFields.fields)  # to be restored
    return module.HasFields.fields


def tree(path, fields):
    """Names of the fields below each field, its anonymous ones included."""
    HasFields.fields = fields
    with uproot.open(path) as file:
        ntuple = file["n"]
        below = {field.path: [f.path for f in field.fields] for field in ntuple.all_fields}
        return [f.path for f in ntuple.fields], below, ntuple.keys(), ntuple.typenames()


def test_fields_are_those_that_uproot_finds(by_uproot, tmp_path):
    tracks = ak.Array([[{"pt": 1.0, "hits": [1, 2], "at": {"x": 1.0, "y": [2.0]}}], []])
    content = {"run": np.arange(2), "name": ["a", "b"], "tracks": tracks, "deep": [[[1.0]], []]}
    with uproot.recreate(tmp_path / "n.root") as file:
        file.mkrntuple("n", content)
    index_fields()
    indexed = HasFields.fields
    assert indexed is not by_uproot
    found = tree(tmp_path / "n.root", indexed)
    assert sorted(found[0]) == ["deep", "name", "run", "tracks"]
    assert found == tree(tmp_path / "n.root", by_uproot)
