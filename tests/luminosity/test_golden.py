"""A certification certifies what a loop over its ranges finds, and says what is wrong with it."""

import hashlib
import json
import pickle
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.errors import InputError
from bphcoffea.luminosity import GoldenJson

RANGES = st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda r: [r[0], r[0] + r[1]])
CONTENTS = st.dictionaries(
    st.integers(1, 6).map(str), st.lists(RANGES, max_size=5), min_size=1
).filter(lambda content: any(content.values()))
EVENTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 45)))
EXTREMES = st.sampled_from([0, 1, 7, 2**31 - 1, 2**31, 2**32 - 1])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("golden") / "Cert.json"


def load(file, content):
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return GoldenJson.load(file)


def looped(content, events):
    return [
        any(first <= lumi <= last for first, last in content.get(str(run), []))
        for run, lumi in events
    ]


@given(CONTENTS, EVENTS, st.sampled_from(["u4", "i4", "i8", "u8", "u2", "i1", ">i8"]))
def test_certifies_what_a_loop_finds(file, content, events, dtype):
    run, lumi = np.array(events, dtype=dtype).reshape(-1, 2).T
    certified = load(file, content).certifies(run, lumi)
    assert certified.dtype == bool
    assert certified.tolist() == looped(content, events)


@given(st.dictionaries(EXTREMES.map(str), st.tuples(EXTREMES, EXTREMES), min_size=1))
def test_holds_for_all_32_bits(file, content):
    content = {run: [sorted(ends)] for run, ends in content.items()}
    extremes = [0, 1, 7, 2**31 - 1, 2**31, 2**32 - 1]
    events = [(run, lumi) for run in extremes for lumi in extremes]
    run, lumi = np.array(events, dtype="u4").T
    assert load(file, content).certifies(run, lumi).tolist() == looped(content, events)


@pytest.mark.parametrize(("run", "lumi"), [(2**32, 1), (1, 2**32), (-1, 1), (1, -1), (2**40, 5)])
def test_what_is_no_32_bit_number_is_not_certified(file, run, lumi):
    golden = load(file, {"0": [[0, 2**32 - 1]], "1": [[0, 9]], "4294967295": [[0, 9]]})
    assert golden.certifies(np.array([run, 1]), np.array([lumi, 5])).tolist() == [False, True]


def test_nothing_is_certified_of_nothing(file):
    assert load(file, {"1": [[1, 2]]}).certifies([], []).tolist() == []


def test_any_shape(file):
    golden = load(file, {"1": [[1, 2]]})
    assert golden.certifies([[1, 1], [1, 2]], [[2, 3], [1, 1]]).tolist() == [
        [True, False],
        [True, False],
    ]


def test_numbers_that_are_no_integers_are_a_bug(file):
    golden = load(file, {"1": [[1, 2]]})
    with pytest.raises(TypeError, match="float64"):
        golden.certifies([1.0], [1])
    with pytest.raises(ValueError, match="differ"):
        golden.certifies([1, 1], [1])


def test_survives_pickling_and_is_a_value(file, tmp_path):
    golden = load(file, {"1": [[1, 2]]})
    copy = pickle.loads(pickle.dumps(golden))
    assert copy == golden
    assert hash(copy) == hash(golden)
    assert copy.certifies([1, 1], [2, 3]).tolist() == [True, False]
    assert golden != load(tmp_path / "other.json", {"1": [[1, 3]]})


def test_tells_file_and_hash(file):
    golden = load(file, {"1": [[1, 2]]})
    assert golden.path == file
    assert golden.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_is_fast(file):
    # the size of a year's certification and of a chunk; it takes 4 to 7 ms, as coffea's LumiMask
    # does: the bound leaves room for a loaded machine
    content = {str(run): [[10 * i + 1, 10 * i + 8] for i in range(20)] for run in range(500)}
    golden = load(file, content)
    generator = np.random.default_rng(1)
    run = generator.integers(0, 600, 100_000).astype("u4")
    lumi = generator.integers(0, 250, 100_000).astype("u4")
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        golden.certifies(run, lumi)
        seconds.append(time.perf_counter() - begin)
    assert min(seconds) < 0.1


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("{", "not a JSON file"),
        ("", "not a JSON file"),
        ("[" * 100_000, "not a JSON file"),
        ("[]", "expected {run: [[first, last], …]}, not a list"),
        ("{}", "certifies no luminosity section"),
        ('{"1": []}', "certifies no luminosity section"),
        ('{"1": [[1, 2]], "1": [[3, 4]]}', "not a JSON file (key '1' occurs twice)"),
        ('{"2018A": {"files": []}}', "'2018A' is not a run number"),
        ('{"315257": [[1, 88], [92]]}', "run 315257: [92] is not a range"),
        ('{"315257": [[88, 1]]}', "run 315257: the range [88, 1] begins after its end"),
        ('{"315257": [[1, NaN]]}', "not a JSON file"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(file, content, fault):
    with pytest.raises(InputError) as raised:
        load(file, content)
    message = str(raised.value)
    assert message.startswith(f"{file}: {fault}")
    assert len(message.splitlines()) == 1


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        GoldenJson.load(tmp_path / "none.json")
    with pytest.raises(InputError, match="cannot be read"):
        GoldenJson.load(tmp_path)
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(InputError, match="not a JSON file"):
        GoldenJson.load(tmp_path / "binary.json")


def test_file_that_is_too_large_is_refused(file, monkeypatch):
    monkeypatch.setenv("BPHCOFFEA_MAX_JSON_MB", "0.001")
    with pytest.raises(InputError, match=r"holds more than 0.001 MB; .* BPHCOFFEA_MAX_JSON_MB"):
        load(file, {"1": [[1, 2]] * 200})
