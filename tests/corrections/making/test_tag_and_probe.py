"""Corrections from the Muon POG's older JSON give its numbers in each bin."""

import copy
import json
import math

import pytest

from bphcoffea.corrections.making.tag_and_probe import from_tag_and_probe_json
from bphcoffea.errors import InputError

NAME = "NUM_SoftID_DEN_TrackerMuons"


def value(number, **errors):
    return {"value": number, **errors}


#: Bins as text sorts them, with different pt bins in each of abseta.
CONTENT = {
    NAME: {
        "abseta_pt": {
            "binning": [{"variable": "abseta", "binning": [0.0, 0.9, 2.4]}],
            "abseta:[0.90,2.40]": {
                "pt:[2.00,40.00]": value(0.97, stat=0.003, syst=0.004),
            },
            "abseta:[0.00,0.90]": {
                "binning": [{"variable": "pt", "binning": [2.0, 10.0, 40.0]}],
                "pt:[10.00,40.00]": value(0.99, stat=0.03, syst=0.04),
                "pt:[2.00,10.00]": value(0.95, stat=0.006, syst=0.008),
            },
        }
    },
    "NUM_LooseID_DEN_genTracks": {
        "eta": {"eta:[-2.40,0.00]": value(0.9, error=0.1), "eta:[0.00,2.40]": value(0.8, error=0.2)}
    },
}


def stored(folder, content):
    path = folder / "RunABCD_SF_ID.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def fault(folder, content):
    path = stored(folder, content)
    with pytest.raises(InputError) as raised:
        from_tag_and_probe_json(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix(f"{path}: ")


def test_each_bin_gives_what_stands_there(tmp_path):
    soft, loose = from_tag_and_probe_json(stored(tmp_path, CONTENT))
    assert (soft.name, loose.name) == (NAME, "NUM_LooseID_DEN_genTracks")
    assert [variable.name for variable in soft.inputs] == ["abseta", "pt", "scale_factors"]
    assert [variable.name for variable in loose.inputs] == ["eta", "scale_factors"]
    evaluator = soft.to_evaluator()
    for abseta, pt, entry in (
        (0.0, 2.0, value(0.95, stat=0.006, syst=0.008)),
        (0.5, 9.99, value(0.95, stat=0.006, syst=0.008)),
        (0.5, 10.0, value(0.99, stat=0.03, syst=0.04)),
        (0.9, 10.0, value(0.97, stat=0.003, syst=0.004)),
    ):
        total = math.sqrt(entry["stat"] ** 2 + entry["syst"] ** 2)
        for key, number in {
            "nominal": entry["value"],
            "stat": entry["stat"],
            "syst": entry["syst"],
            "systup": entry["value"] + total,
            "systdown": entry["value"] - total,
        }.items():
            # a square root of a sum of squares rounds otherwise than hypot
            assert evaluator.evaluate(abseta, pt, key) == pytest.approx(number, rel=1e-14)


def test_what_the_file_lacks_the_correction_lacks(tmp_path):
    _, loose = from_tag_and_probe_json(stored(tmp_path, CONTENT))
    evaluator = loose.to_evaluator()
    assert evaluator.evaluate(-1.0, "nominal") == 0.9
    assert evaluator.evaluate(1.0, "stat") == 0.2
    for key in ("syst", "systup", "systdown"):
        with pytest.raises(IndexError):
            evaluator.evaluate(1.0, key)


@pytest.mark.parametrize(("abseta", "pt"), [(2.4, 5.0), (0.5, 1.0), (0.5, 40.0)])
def test_values_beyond_the_bins_are_an_error(tmp_path, abseta, pt):
    soft, _ = from_tag_and_probe_json(stored(tmp_path, CONTENT))
    with pytest.raises((IndexError, RuntimeError)):
        soft.to_evaluator().evaluate(abseta, pt, "nominal")


def test_pt_is_last_however_the_bins_are_nested(tmp_path):
    bins = {"pt:[2.0,Inf]": {"eta:[-1,1]": value(0.9), "eta:[1,2]": value(0.8)}}
    (correction,) = from_tag_and_probe_json(stored(tmp_path, {"SF": {"eta_pt": bins}}))
    assert [variable.name for variable in correction.inputs] == ["eta", "pt", "scale_factors"]
    assert correction.to_evaluator().evaluate(1.5, 1e6, "nominal") == 0.8


def test_other_names_of_pt(tmp_path):
    bins = {"abseta:[0,2.4]": {"pair_newTuneP_probe_pt:[20.00,25.00]": value(0.9)}}
    content = {"SF": {"abseta_pair_newTuneP_probe_pt": bins}}
    (correction,) = from_tag_and_probe_json(stored(tmp_path, content))
    names = [variable.name for variable in correction.inputs]
    assert names == ["abseta", "pair_newTuneP_probe_pt", "scale_factors"]


def test_several_binnings_of_one_measurement(tmp_path):
    content = {"SF": {"pt": {"pt:[1,2]": value(0.9)}, "eta": {"eta:[0,1]": value(0.8)}}}
    names = [made.name for made in from_tag_and_probe_json(stored(tmp_path, content))]
    assert names == ["SF_pt", "SF_eta"]


def changed(path, new):
    """Return the content with another value at a path."""
    content = copy.deepcopy(CONTENT)
    *above, last = path
    node = content
    for key in above:
        node = node[key]
    node.update(new) if last is None else node.update({last: new})
    return content


IN = (NAME, "abseta_pt", "abseta:[0.00,0.90]")
HERE = ", ".join((f"{NAME}, abseta_pt", IN[2]))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "not a JSON file"),
        ('{"A": 1, "A": 2}', "not a JSON file (key 'A' occurs twice)"),
        ("[]", "expected {measurement: "),
        ("{}", "expected {measurement: "),
        ({"SF": 1}, "SF: expected {variables: "),
        ({"SF": {"pt": 1}}, "SF, pt: expected bins such as"),
        ({"SF": {"pt": {}}}, "SF, pt: has no bins"),
        ({"SF": {"pt": value(0.9)}}, "SF, pt: expected bins such as"),
        ({"SF": {"pt": {"pt:[1,2]": {"pt:[1,2]": value(1)}}}}, "SF, pt: bins of pt in bins of pt"),
        ({"SF": {"pt": {"pt:[2,1]": value(1)}}}, "SF, pt: 'pt:[2,1]' ends before it begins"),
        ({"SF": {"pt": {"pt:[a,1]": value(1)}}}, "SF, pt: 'pt:[a,1]' is no bin"),
        ({"SF": {"pt": {"pt 1-2": value(1)}}}, "SF, pt: 'pt 1-2' is no bin"),
        ({"SF": {"pt": {"pt:[nan,1]": value(1)}}}, "SF, pt: 'pt:[nan,1]' ends before it"),
        ({"SF": {"pt": {"eta:[0,1]": value(1)}}}, "SF, pt: its bins are of eta instead"),
        (
            changed((*IN, "pt:[41.00,50.00]"), value(1, stat=1, syst=1)),
            f"{HERE}: a gap between 'pt:[10.00,40.00]' and 'pt:[41.00,50.00]'",
        ),
        (
            changed((*IN, "pt:[39.00,50.00]"), value(1, stat=1, syst=1)),
            f"{HERE}: an overlap between 'pt:[10.00,40.00]' and 'pt:[39.00,50.00]'",
        ),
        (
            changed((*IN, "pt:[40.00,50.00]"), value(1, stat=1)),
            f"{HERE}: 'pt:[2.00,10.00]' has nominal, stat, syst, systup, systdown, but "
            "'pt:[40.00,50.00]' nominal, stat",
        ),
        (
            changed((*IN, "eta:[40.00,50.00]"), value(1, stat=1, syst=1)),
            f"{HERE}: 'eta:[40.00,50.00]' among bins of pt",
        ),
        (
            changed(IN, value(1, stat=1, syst=1)),
            f"{NAME}, abseta_pt, abseta:[0.00,0.90]: expected bins of pt",
        ),
        (
            changed((*IN, "pt:[2.00,10.00]"), {"a:[0,1]": value(1)}),
            f"{HERE}, pt:[2.00,10.00]: expected a value",
        ),
        (
            changed((*IN, "pt:[2.00,10.00]"), value(1, stat=1, error=1)),
            f"{HERE}, pt:[2.00,10.00]: both stat and error",
        ),
        (
            changed((*IN, "pt:[2.00,10.00]"), value("1")),
            f"{HERE}, pt:[2.00,10.00]: value is '1', which is no number",
        ),
        (
            changed((*IN, "pt:[2.00,10.00]"), value(1, stat=-1)),
            f"{HERE}, pt:[2.00,10.00]: stat is -1; it must be finite, and not negative",
        ),
        (
            changed((*IN, "pt:[2.00,10.00]"), value(math.nan)),
            f"{HERE}, pt:[2.00,10.00]: value is nan; it must be finite",
        ),
    ],
)
def test_the_place_of_a_fault_is_named(tmp_path, content, text):
    assert fault(tmp_path, content).startswith(text)


def test_a_missing_file_is_reported(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        from_tag_and_probe_json(tmp_path / "none.json")
