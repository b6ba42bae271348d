"""Variables of events and of candidates are told apart by the values that they give."""

import awkward as ak
import numpy as np
import pytest

from bphcoffea.analysis import Variable
from bphcoffea.processing.candidates import Candidates

EVENTS = ak.Array(
    {"Pair": [[{"m": 1.0}, {"m": 2.0}], [], [{"m": 3.0}], []], "vertices": [4, 5, 6, 7]}
)
MASS = Variable("mass", lambda events: events.Pair.m)
VERTICES = Variable("vertices", lambda events: events.vertices)


@pytest.mark.parametrize("positions", [[0, 1, 2], [2]])
def test_variables_with_one_number_per_event_are_known(positions):
    candidates = Candidates(EVENTS, "Pair")
    values = candidates.at(np.array(positions))
    assert values(MASS).tolist() == [[1, 2, 3][p] for p in positions]
    assert values(VERTICES).tolist() == [[4, 4, 6][p] for p in positions]
    assert candidates.per_event == {"vertices"}
