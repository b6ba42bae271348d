"""ROOT files without a fileset."""

import shutil

import awkward as ak
import numpy as np
import pytest
import uproot
from builders import write_fileset

from bphcoffea.datasets import fileset_of_files
from bphcoffea.errors import FilesetError
from bphcoffea.inputs import (
    FCCSchema,
    ReducedNanoAODSchema,
    ReducedPHYSLITESchema,
    TwoMuTrackSchema,
    WZTreeSchema,
    any_format,
)
from bphcoffea.results import RunFolder


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "schema", "tree", "simulated"),
    [
        ("nano_dy", ReducedNanoAODSchema, "Events", True),
        ("nano_dimuon", ReducedNanoAODSchema, "Events", False),
        ("PHYSLITE_example", ReducedPHYSLITESchema, "CollectionTree", True),
        ("p8_ee_WW_ecm240_edm4hep", FCCSchema, "events", True),
    ],
)
def test_tree_and_kind_are_found_in_the_file(nanoaod, name, schema, tree, simulated):
    for reader in (schema, any_format(FCCSchema, ReducedPHYSLITESchema, ReducedNanoAODSchema)):
        fileset = fileset_of_files([str(nanoaod / f"{name}.root")], reader)
        assert fileset.names == [name]
        ((_, entry),) = fileset[name].files.items()
        assert entry.object_path == tree
        assert fileset[name].metadata.is_mc == simulated


@pytest.mark.parametrize(
    ("name", "schema", "simulated"),
    [
        ("wztree_hnl_data", WZTreeSchema, False),
        ("wztree_hnl_mc", WZTreeSchema, True),
        ("tree3mu_phipi_2017", TwoMuTrackSchema, False),
        ("tree3mu_phipi_2018_mc", TwoMuTrackSchema, True),
    ],
)
def test_kinds_of_ntuples_are_found(data, name, schema, simulated):
    fileset = fileset_of_files([str(data / f"{name}.root")], schema)
    assert fileset[name].metadata.is_mc == simulated


@pytest.mark.parametrize("generated", [[[], []], [[], [1.0]]])
def test_a_file_is_data_if_its_lists_of_generated_particles_are_empty(tmp_path, generated):
    path = tmp_path / "a.root"
    lists = ak.values_astype(ak.Array(generated), np.float32)
    with uproot.recreate(path) as file:
        branches = dict.fromkeys(["Triplet2_Mass", "GenParticle_Pt"], "var * float32")
        file.mktree("Tree3Mu/ntuple", branches)
        file["Tree3Mu/ntuple"].extend({"Triplet2_Mass": lists, "GenParticle_Pt": lists})
    fileset = fileset_of_files([str(path)], TwoMuTrackSchema)
    assert fileset["a"].metadata.is_mc == any(generated)


def test_files_that_say_too_little_are_told(tmp_path, data):
    ntuple = data / "tree3mu_phipi_2017.root"
    with pytest.raises(
        FilesetError, match=r"no tree is of the format .*ReducedNanoAODSchema.*: Tree3Mu/ntuple"
    ):
        fileset_of_files([str(ntuple)], ReducedNanoAODSchema)
    with pytest.raises(FilesetError, match=r"none\.root: cannot be read: no such file"):
        fileset_of_files([str(tmp_path / "none.root")], TwoMuTrackSchema)
    (tmp_path / "text.root").write_text("text")
    with pytest.raises(FilesetError, match=r"text\.root: cannot be read: "):
        fileset_of_files([str(tmp_path / "text.root")], TwoMuTrackSchema)
    shutil.copy(ntuple, tmp_path)
    with pytest.raises(FilesetError, match=r"tree3mu_phipi_2017\.root: 2 files of this name"):
        fileset_of_files([str(ntuple), str(tmp_path / ntuple.name)], TwoMuTrackSchema)


def test_a_first_look_selects_what_a_fileset_selects(bphcoffea, data, tmp_path):
    path = data / "tree3mu_phipi_2017.root"
    usual = write_fileset(tmp_path / "usual.json", {path.stem: [path]}, is_mc=False, era="2017B")
    runs = {}
    for name, given in {
        "look": (path, "--era", "2017B"),
        "usual": (usual,),
    }.items():
        folder = tmp_path / name
        ended = bphcoffea("run", "ds_phipi", *given, "-o", folder, "--executor", "iterative")
        assert ended.status == 0, ended.err
        runs[name] = RunFolder(folder)
    assert runs["look"].cutflow[path.stem] == runs["usual"].cutflow[path.stem]
    assert runs["look"].cutflow[path.stem][-1]["events"] > 0


def test_only_root_files_have_an_era_of_the_command(bphcoffea, tmp_path):
    ended = bphcoffea("run", "ds_phipi", "a.json", "--era", "2017B", "-o", tmp_path / "run")
    assert ended.status == 2
    assert ended.errors == [
        "bphcoffea: error: --era is for ROOT files; a fileset gives the era of each dataset"
    ]
