"""Filesets and small files: NanoAOD-like ones, and ntuples of three muons."""

import copy
import json
from collections.abc import Mapping

import awkward as ak
import numpy as np
import uproot

from bphcoffea.datasets import Fileset
from bphcoffea.inputs import template_form

TREE = "Tree3Mu/ntuple"
DATA = {"is_mc": False, "era": "2017D"}
MUON_MASS = 0.10565837


def fileset_content(datasets, tree=TREE, **metadata):
    """Return what the JSON of a fileset holds.

    Parameters
    ----------
    datasets
        Files of each dataset: paths, or paths with what the fileset says of each.
    metadata
        Of every dataset; by default they are data of 2017D.
    """
    entries = {
        name: dict(files) if isinstance(files, Mapping) else dict.fromkeys(files, tree)
        for name, files in datasets.items()
    }
    return {
        name: {
            "files": {str(path): entry for path, entry in files.items()},
            "metadata": DATA | metadata,
        }
        for name, files in entries.items()
    }


def fileset_of(files, tree=TREE, **metadata):
    """Return a fileset of one dataset, ``D``; see :func:`fileset_content`."""
    return Fileset.model_validate(fileset_content({"D": files}, tree, **metadata))


def write_fileset(path, datasets, tree=TREE, **metadata):
    """Write the JSON of a fileset, and return its path; see :func:`fileset_content`."""
    path.write_text(json.dumps(fileset_content(datasets, tree, **metadata)))
    return path


def write_tree3mu(path, columns, **options):
    """Write an RNTuple where ntuples of three muons have their tree, and return the path.

    Options are those of ``uproot.recreate``.
    """
    with uproot.recreate(path, **options) as root:
        root.mkdir("Tree3Mu").mkrntuple("ntuple", columns)
    return path


def pairs_of_muons(events, seed=1):
    """Return an opposite-sign pair of 10 GeV muons near the J/ψ for each event, by field."""
    rng = np.random.default_rng(seed)
    mass = rng.normal(3.0969, 0.03, events)
    angle = 2 * np.arcsin(np.sqrt(mass**2 - 4 * MUON_MASS**2) / 20)
    phi, eta = rng.uniform(-3, -1, events), rng.uniform(-2, 2, events)
    both = {
        "pt": (np.full(events, 10.0), np.full(events, 10.0)),
        "eta": (eta, eta),
        "phi": (phi, phi + angle),
        "mass": (np.full(events, MUON_MASS), np.full(events, MUON_MASS)),
        "charge": (np.ones(events), -np.ones(events)),
    }
    kinds = dict.fromkeys(both, np.float32) | {"charge": np.int32}
    return {
        name: ak.unflatten(np.stack(pair, axis=1).ravel().astype(kinds[name]), np.full(events, 2))
        for name, pair in both.items()
    }


def write_nano(path, events, seed=1, muons=None, **branches):
    """Write NanoAOD of one pair of muons per event, with further branches; return its path."""
    data = {
        "Muon": ak.zip(muons or pairs_of_muons(events, seed)),
        "run": np.full(events, 315257, np.uint32),
        "luminosityBlock": (np.arange(events) // 10 + 1).astype(np.uint32),
        "event": np.arange(events, dtype=np.uint64) + 1,
    }
    for name, values in branches.items():
        matrix = isinstance(values, np.ndarray) and values.ndim == 2
        data[name] = ak.from_regular(ak.from_numpy(values)) if matrix else values
    kinds = {
        name: values.type.content if isinstance(values, ak.Array) else values.dtype
        for name, values in data.items()
    }
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", kinds)
        if events:
            tree.extend(data)
    return path


def write_empty_nano(path):
    """Write what a job without events leaves: a tree that lacks the branches of all collections."""
    with uproot.recreate(path) as file:
        file.mktree("Events", {"run": np.uint32, "luminosityBlock": np.uint32, "event": np.uint64})
    return path


def write_jets(path, seed, weight):
    """Write jets of all flavours; the probability to be tagged depends on flavour and weight."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 4, 400)
    number = int(counts.sum())
    flavours = rng.choice([0, 4, 5], number).astype(np.uint8)
    tagged = rng.random(number) < np.where(flavours == 5, 0.7, 0.1 * weight)
    columns = {
        "pt": rng.uniform(20.5, 120, number).astype(np.float32),
        "eta": rng.uniform(-2.4, 2.4, number).astype(np.float32),
        "phi": np.zeros(number, np.float32),
        "mass": np.ones(number, np.float32),
        "btagDeepFlavB": np.where(tagged, 0.9, 0.1).astype(np.float32),
        "hadronFlavour": flavours,
    }
    data = {
        "Jet": ak.unflatten(ak.zip(columns), counts),
        "genWeight": np.full(len(counts), weight, np.float32),
        "event": np.arange(len(counts), dtype=np.uint64),
    }
    with uproot.recreate(path) as file:
        kinds = {n: v.type.content if n == "Jet" else v.dtype for n, v in data.items()}
        file.mktree("Events", kinds).extend(data)
    return columns


def candidates_at_any_place(run, dataset="D"):
    """The table of candidates of a run without the paths of the files, which may differ."""
    return run.candidates(dataset).drop_columns(["file"])


def typed_events(schema):
    """Return an array without events with all fields that a schema knows."""
    form = schema(copy.deepcopy(template_form(schema))).form
    return ak.Array(
        ak.forms.from_dict(form).length_zero_array(highlevel=False), behavior=schema.behavior()
    )
