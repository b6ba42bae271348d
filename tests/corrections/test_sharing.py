"""Corrections are compiled once per process, however many chunks bring them along."""

import cloudpickle
import correctionlib
import numpy as np
import pytest
from correction_files import binning, correction, stored

from bphcoffea.corrections.compiled import CompiledCorrections
from bphcoffea.corrections.payload import Payload


@pytest.fixture
def compiled(monkeypatch):
    """List of the texts that correctionlib compiles."""
    texts = []
    original = correctionlib.CorrectionSet.from_string

    def counted(text):
        texts.append(text)
        return original(text)

    monkeypatch.setattr(correctionlib.CorrectionSet, "from_string", counted)
    return texts


def file_of(folder, values):
    data = binning("pt", [0.0, 1.0, 2.0], values)
    return stored(folder / "c.json", correction("sf", {"pt": "real"}, data))


@pytest.mark.parametrize(
    ("make", "evaluate"),
    [
        (
            lambda path: Payload(path, "sf"),
            lambda made, pt: made.evaluate({"pt": pt}, {}, "clamp").values,
        ),
        (
            lambda path: CompiledCorrections(path, ["sf"]),
            lambda made, pt: made.evaluate("sf", {"pt": pt}),
        ),
    ],
)
def test_chunks_share_what_was_compiled(make, evaluate, tmp_path, compiled):
    pt = np.array([0.5, 1.5])
    sent = cloudpickle.dumps(make(file_of(tmp_path, [0.9, 0.8])))
    first = evaluate(cloudpickle.loads(sent), pt)
    assert compiled
    compiled.clear()
    for _ in range(3):
        assert evaluate(cloudpickle.loads(sent), pt).tolist() == first.tolist() == [0.9, 0.8]
    # a processor that is pickled again, as in the next run, brings the same corrections
    again = cloudpickle.dumps(make(file_of(tmp_path, [0.9, 0.8])))
    compiled.clear()
    evaluate(cloudpickle.loads(again), pt)
    assert not compiled
    changed = cloudpickle.dumps(make(file_of(tmp_path, [0.7, 0.6])))
    assert evaluate(cloudpickle.loads(changed), pt).tolist() == [0.7, 0.6]
