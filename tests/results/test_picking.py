"""Single candidates of a run, found by their values."""

import math

import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.errors import RunError
from bphcoffea.results import ValueRange, pick

ENDS = st.one_of(st.none(), st.floats(1.6, 2.1))


@pytest.mark.slow
@given(low=ENDS, high=ENDS, chi2=st.floats(0, 20))
def test_candidates_in_ranges_are_those_of_a_loop(ds_phipi_run, low, high, chi2):
    ranges = [ValueRange("mass", low, high), ValueRange("vertex_chi2", None, chi2)]
    picked = pick(ds_phipi_run, ranges, datasets=["toy_201*"]).to_pylist()
    expected = []
    for name in ("toy_2017", "toy_2018"):
        for row in ds_phipi_run.candidates(name).to_pylist():
            above = low is None or row["mass"] >= low
            below = high is None or row["mass"] <= high
            if above and below and row["vertex_chi2"] <= chi2:
                expected.append({"dataset": name, **row})
    assert picked == expected


@pytest.mark.slow
def test_a_candidate_is_found_in_its_file(ds_phipi_run):
    """The entry of the tree has its event number, and a triplet of its mass."""
    for row in pick(ds_phipi_run, [ValueRange("mass", 1.9, 1.91)]).to_pylist()[::40]:
        branches = ["evt", "run", "lumi", "Triplet2_Mass"]
        with uproot.open(row["file"]) as file:
            stop = row["entry"] + 1
            tree = file["Tree3Mu/ntuple"]
            entry = tree.arrays(branches, entry_start=row["entry"], entry_stop=stop)[0]
        assert (entry.evt, entry.run, entry.lumi) == (row["event"], row["run"], row["lumi"])
        assert row["mass"] in entry.Triplet2_Mass.to_list()


@pytest.mark.parametrize("number", [0, 2**63 + 1, 2**64 - 1])
def test_numbers_of_events_are_exact(number):
    wanted = ValueRange.of(f"event {number}")
    assert (wanted.low, wanted.high) == (number, number)


@pytest.mark.parametrize("text", ["mass", "mass 1:b", "mass :", "1.9:2", "", "mass 1:2:3"])
def test_ranges_that_are_none_are_told(text):
    with pytest.raises(RunError, match="write COLUMN LOW:HIGH or COLUMN VALUE"):
        ValueRange.of(text)
    with pytest.raises(RunError, match=r"the lower end, 2, is above the upper one, 1\.9"):
        ValueRange.of("mass 2:1.9")


@pytest.mark.slow
def test_the_command_shows_place_values_and_weights(bphcoffea, ds_phipi_run, tmp_path):
    output = tmp_path / "picked.parquet"
    where = ("mass 1.95:1.99", "--dataset", "*mc", "-n", 2, "-o", output)
    ended = bphcoffea("pick", ds_phipi_run.path, *where)
    assert ended.status == 0, ended.err
    rows = pq.read_table(output).to_pylist()
    assert f"{len(rows):,} candidates; 2 shown (-n)" in ended.out
    for row in rows[:2]:
        assert f"{row['run']}:{row['lumi']}:{row['event']} of {row['dataset']}" in ended.out
        assert f"{row['file']}, entry {row['entry']}" in ended.out
        factors = {k.removeprefix("weight_"): v for k, v in row.items() if k.startswith("weight_")}
        assert math.prod(factors.values()) == pytest.approx(row["weight"])
        product = " × ".join(f"{name} {value:.6g}" for name, value in factors.items())
        assert f"weight {row['weight']:.6g} = {product}" in ended.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["mas 1:2"], "no column 'mas'; did you mean 'mass'?"),
        (["--dataset", "Toy_2017"], "no dataset matches 'Toy_2017'; did you mean 'toy_2017'?"),
        (["--region", "A"], "no candidate is in the category or region 'A'; there are: none"),
        (["-o", "x.txt"], "x.txt: the name must end in .csv or .parquet"),
    ],
)
def test_what_does_not_exist_is_told(bphcoffea, ds_phipi_run, options, message):
    ended = bphcoffea("pick", ds_phipi_run.path, *options)
    assert ended.status == 2
    assert message in ended.err
