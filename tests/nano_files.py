"""Small NanoAOD-like files, and the counts that they must give."""

import awkward as ak
import numpy as np
import uproot

MUON_MASS = 0.10565837


def pairs_of_muons(events, seed=1):
    """An opposite-sign pair of 10 GeV muons near the J/ψ in each event, by field."""
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


def write(path, events, seed=1, muons=None, **branches):
    """Write a file of one pair of muons an event, with further branches; gives its path."""
    data = {
        "Muon": ak.zip(muons or pairs_of_muons(events, seed)),
        "run": np.full(events, 315257, np.uint32),
        "luminosityBlock": (np.arange(events) // 10 + 1).astype(np.uint32),
        "event": np.arange(events, dtype=np.uint64) + 1,
    }
    for name, values in branches.items():
        data[name] = ak.from_regular(ak.from_numpy(values)) if np.ndim(values) == 2 else values
    kinds = {
        name: values.type.content if isinstance(values, ak.Array) else values.dtype
        for name, values in data.items()
    }
    with uproot.recreate(path) as file:
        tree = file.mktree("Events", kinds)
        if events:
            tree.extend(data)
    return path


def write_without_events(path):
    """Write what a job without events leaves: a tree that lacks the branches of all collections."""
    with uproot.recreate(path) as file:
        file.mktree("Events", {"run": np.uint32, "luminosityBlock": np.uint32, "event": np.uint64})
    return path
