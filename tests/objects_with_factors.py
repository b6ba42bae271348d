"""Events with a collection of objects, for the tests of weights that scale factors give them."""

import pickle

import awkward as ak
import numpy as np
import pytest
from hypothesis import strategies as st

from bphcoffea.analysis import ObjectWeight, WeightContext
from bphcoffea.corrections import load_corrections
from bphcoffea.errors import CorrectionsError, DeclarationError
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing.candidates import values_of_events

PT = [10.0, 25.0, 40.0, 200.0]
DECAY_MODES, GENERATED = (0, 1, 10, 11), range(6)


def real(low, high):
    return st.floats(low, high, width=32).map(np.float32)


made_object = st.fixed_dictionaries(
    {
        "pt": real(10, 199),
        "eta": real(-2.25, 2.25),
        "deltaEtaSC": real(-0.125, 0.125),
        "decayMode": st.sampled_from(DECAY_MODES),
        "genPartFlav": st.sampled_from(GENERATED),
    }
)
KINDS = {"decayMode": np.uint8, "genPartFlav": np.uint8}
OBJECT = {"pt": 30.0, "eta": 0.5, "deltaEtaSC": 0.0, "decayMode": 1, "genPartFlav": 5}


def events_of(lists, **metadata):
    """Events with a collection Muon, of lists of objects that are dictionaries."""
    flat = [item for one in lists for item in one]
    columns = {
        field: np.array([item[field] for item in flat], KINDS.get(field, np.float32))
        for field in OBJECT
    }
    muons = ak.unflatten(ak.zip(columns), np.array([len(one) for one in lists], dtype=np.int64))
    array = ak.zip({"Muon": muons, "genWeight": np.ones(len(lists))}, depth_limit=1)
    record = ak.Array(
        array.layout, with_name="NanoEvents", behavior=ReducedNanoAODSchema.behavior()
    )
    known = {"dataset": "made", "is_mc": True, "era": "2018", "hlt": ()} | metadata
    return ak.with_parameter(record, "metadata", known)


def evaluated(weight, events, corrections, shifted=True):
    """Factor of each event, and its shifts as lists."""
    context = WeightContext(corrections.for_era("2018"), events.metadata, shifted)
    factor = weight.evaluate(lambda variable: values_of_events(variable, events), context)
    sides = {name: (up.tolist(), down.tolist()) for name, (up, down) in factor.shifts.items()}
    return factor, sides


def fault(function, *arguments, **named):
    """The only line of an error."""
    with pytest.raises((CorrectionsError, DeclarationError)) as raised:
        function(*arguments, **named)
    (line,) = str(raised.value).splitlines()
    return line


def assert_travels(path, name):
    """Assert that the corrections of a TOML, and a weight by them, survive being pickled."""
    corrections = load_corrections([path])
    again = pickle.loads(pickle.dumps(corrections))
    weight = ObjectWeight(name, of="Muon", after=None)
    events = events_of([[OBJECT], [OBJECT, OBJECT]])
    (first, sides), (second, other_sides) = (
        evaluated(pickle.loads(pickle.dumps(weight)), events, of) for of in (corrections, again)
    )
    assert (first.nominal.tolist(), sides) == (second.nominal.tolist(), other_sides)
