"""Scale of simulation, and luminosity of data, from their metadata and sections."""

import hist
import numpy as np
import pytest

from bphcoffea.datasets import Metadata
from bphcoffea.luminosity import GoldenJson, LuminosityTable
from bphcoffea.results import normalisation as module
from bphcoffea.results.luminosities import Certification, Luminosities
from bphcoffea.results.normalisation import scaled
from bphcoffea.results.records import Normalisation, as_json


def records(datasets):
    return {name: Metadata.model_validate(metadata) for name, metadata in datasets.items()}


def scales(normalisation):
    rest = ("cross_section", "filter_efficiency", "skim_efficiency", "luminosity", "generator_sumw")
    unused = {**dict.fromkeys(rest, 1.0), "data": (), "notes": ()}
    return {n: Normalisation.model_validate(unused | each) for n, each in normalisation.items()}


def normalise(datasets, *arguments):
    """Content of normalisation.json."""
    return as_json(module.normalise(records(datasets), *arguments))


def metadata(is_mc, era, **known):
    return {"is_mc": is_mc, "era": era, "process": "x" if is_mc else "data", **known}


def counts(datasets, processed=100, held=100, expected=100):
    known = {"dataset_events": held, "expected_events": expected}
    known |= {"processed_events": processed, "uncounted_files": 0}
    return {name: dict(known) for name in datasets}


def luminosities(datasets, sections=None, certification=None, processed=100):
    return Luminosities.of(
        records(datasets),
        sections or {},
        counts(datasets, processed),
        certification or (lambda era: Certification()),
    )


def test_simulation_stands_for_data_of_the_nearest_era():
    datasets = {
        "B": metadata(False, "2017B", luminosity=1.0),
        "C": metadata(False, "2017C", luminosity=10.0),
        "D": metadata(False, "2018D", luminosity=100.0),
        "E": metadata(False, "2016E", luminosity=1000.0),
        "mc_2017B": metadata(True, "2017B", cross_section=1.0),
        "mc_2017": metadata(True, "2017", cross_section=1.0),
        "mc_2018": metadata(True, "2018", cross_section=1.0),
        "other": metadata(True, "2018", cross_section=1.0, process="y", filter_efficiency=0.5),
    }
    sumw = dict.fromkeys(datasets, 10.0)
    known = normalise(datasets, sumw, counts(datasets), luminosities(datasets))
    assert {name: each["data"] for name, each in known.items()} == {
        "mc_2017B": ["B", "E"],
        "mc_2017": ["C", "E"],
        "mc_2018": ["D", "E"],
        "other": ["B", "C", "D", "E"],
    }
    # σ [pb] · L [fb⁻¹] · 1000 · ε / Σw; three samples of one process share what is nobody's
    assert known["mc_2017B"]["scale"] == pytest.approx((1 + 1000 / 3) * 1000 / 10)
    assert known["other"]["scale"] == pytest.approx(1111 * 1000 * 0.5 / 10)
    assert known["other"]["notes"] == ["simulation of 2018 stands for data of 2016E, 2017B, 2017C"]


@pytest.mark.parametrize(
    ("change", "scale"),
    [
        ({}, 1000.0),
        ({"skim_efficiency": 0.25}, 250.0),
        ({"cross_section": None}, None),
    ],
)
def test_the_scale_is_what_the_metadata_say(change, scale):
    datasets = {
        "data": metadata(False, "2018D", luminosity=1.0),
        "mc": metadata(True, "2018D", cross_section=10.0) | change,
    }
    known = normalise(datasets, {"mc": 10.0}, counts(datasets), luminosities(datasets))
    assert known["mc"]["scale"] == scale
    assert known["mc"]["generator_sumw"] == 10.0
    assert "sumw" not in known["mc"]


def test_parts_of_one_sample_share_the_luminosity():
    """A dataset that is split in two, of which one was skimmed, is normalised as the whole."""
    data = {"data": metadata(False, "2018D", luminosity=3.0)}
    sample = metadata(True, "2018D", kind="signal", cross_section=10.0, filter_efficiency=0.1)
    whole = {**data, "mc": sample}
    parts = {**data, "mc": sample, "mc_ext": {**sample, "skim_efficiency": 0.5, "label": "more"}}
    sumw, sumw_of_parts = {"mc": 40.0}, {"mc": 30.0, "mc_ext": 5.0}
    once = normalise(whole, sumw, counts(whole), luminosities(whole))
    twice = normalise(parts, sumw_of_parts, counts(parts), luminosities(parts))
    assert once["mc"]["luminosity"] == 3.0
    assert [twice[name]["luminosity"] for name in sumw_of_parts] == pytest.approx([2.25, 0.75])
    assert twice["mc_ext"]["notes"] == [
        "shares the luminosity with mc, in proportion to the decays generated: parts of one sample"
    ]
    # what a decay counts is the same in both, and in the whole
    for known in twice.values():
        assert known["scale"] == pytest.approx(once["mc"]["scale"])
        assert known["scale"] == pytest.approx(10.0 * 3.0 * 1000 / (40.0 / 0.1))

    axes = [hist.axis.StrCategory(["all"]), hist.axis.StrCategory(["nominal"], name="variation")]
    filled = []
    for known, contents in ((once, {"mc": 12}), (twice, {"mc": 7, "mc_ext": 5})):
        names = hist.axis.StrCategory(list(contents), name="dataset")
        histogram = hist.Hist(names, *axes, hist.axis.Regular(1, 0, 1), storage="weight")
        for name, content in contents.items():
            histogram.fill(name, "all", "nominal", np.full(content, 0.5))
        normalised = scaled({"x": histogram}, scales(known), records(parts))["x"]
        filled.append(normalised[sum, sum, "nominal", :].view()[0])
    assert filled[0].value == pytest.approx(filled[1].value)
    assert filled[0].variance == pytest.approx(filled[1].variance)


@pytest.mark.parametrize(
    "change",
    [
        {"cross_section": 2.0},
        {"filter_efficiency": 0.5},
        {"mass": 1.5},
        {"ctau": 10.0},
        {"kind": "signal"},
        {"process": "y"},
        {"process": None},
    ],
)
def test_other_physics_has_a_luminosity_of_its_own(change):
    sample = metadata(True, "2018D", cross_section=1.0)
    datasets = {
        "data": metadata(False, "2018D", luminosity=3.0),
        "mc": sample | ({"process": None} if change == {"process": None} else {}),
        "other": {**sample, **change},
    }
    known = normalise(datasets, {"mc": 1, "other": 2}, counts(datasets), luminosities(datasets))
    assert [known[name]["luminosity"] for name in ("mc", "other")] == [3.0, 3.0]
    assert not any(each["notes"] for each in known.values())


def test_parts_of_one_sample_share_only_what_both_stand_for():
    """Two years, and data of a third: those are shared; without Σw there is no part."""
    datasets = {
        "B": metadata(False, "2017B", luminosity=1.0),
        "E": metadata(False, "2016E", luminosity=1000.0),
        "mc_2017": metadata(True, "2017B", cross_section=1.0),
        "mc_2018": metadata(True, "2018", cross_section=1.0),
        "mc_empty": metadata(True, "2018", cross_section=1.0),
        "alone": metadata(True, "2018", cross_section=1.0, process="y"),
    }
    sumw = {"mc_2017": 10.0, "mc_2018": 30.0, "mc_empty": 0.0, "alone": 1.0}
    known = normalise(datasets, sumw, counts(datasets), luminosities(datasets))
    assert known["mc_2017"]["luminosity"] == pytest.approx(1 + 250)
    assert known["mc_2018"]["luminosity"] == pytest.approx(750)
    assert known["mc_empty"]["scale"] is None
    assert known["alone"]["luminosity"] == 1001.0


def test_simulation_of_another_energy_has_no_scale():
    """13 TeV does not stand for 8 TeV, whatever its name; what the metadata say comes first."""
    datasets = {
        "data_2012": metadata(False, "2012B", luminosity=1.0),
        "mc": metadata(True, "2018", cross_section=1.0),
        "mc_8": metadata(True, "2018", cross_section=1.0, process="y", energy=8),
        "mc_nameless": metadata(True, "Run", cross_section=1.0, process="z"),
    }
    known = normalise(
        datasets, dict.fromkeys(datasets, 10.0), counts(datasets), luminosities(datasets)
    )
    assert known["mc"]["scale"] is None
    assert known["mc"]["notes"][-1].startswith(
        "simulation of 13 TeV does not stand for data of 8 TeV (data_2012): no scale; "
    )
    assert known["mc_8"]["scale"] == known["mc_nameless"]["scale"] == 100.0


def test_data_have_the_simulation_of_their_energy():
    """Even where the name of an era would say otherwise."""
    datasets = {
        "data_8": metadata(False, "2012B", luminosity=1.0),
        "data_13": metadata(False, "2018D", luminosity=10.0),
        "mc_8": metadata(True, "Summer", cross_section=1.0, energy=8.0),
        "mc_13": metadata(True, "Summer", cross_section=1.0, energy=13.0),
        "mc_other": metadata(True, "2012", cross_section=1.0, energy=13.0),
    }
    known = normalise(
        datasets, dict.fromkeys(datasets, 10.0), counts(datasets), luminosities(datasets)
    )
    assert known["mc_8"]["data"] == ["data_8"]
    assert known["mc_13"]["data"] == ["data_13"]
    assert known["mc_8"]["scale"] == 100.0
    # it shares the data with the other one of their energy
    assert known["mc_13"]["scale"] == known["mc_other"]["scale"] == 500.0


def test_simulation_alone_is_scaled_to_the_luminosity_that_it_names():
    datasets = {"mc": metadata(True, "2018D", cross_section=2.0, luminosity=3.0)}
    known = normalise(datasets, {"mc": 10.0}, counts(datasets), luminosities(datasets))
    assert known["mc"]["scale"] == pytest.approx(600)


def test_weights_that_sum_to_nothing_give_no_scale():
    datasets = {
        "data": metadata(False, "2018D", luminosity=1.0),
        "mc": metadata(True, "2018D", cross_section=10.0),
    }
    known = normalise(datasets, {"mc": -1.0}, counts(datasets), luminosities(datasets))
    assert known["mc"]["scale"] is None
    assert "the sum of generator weights is -1" in known["mc"]["notes"][0]


def test_without_a_table_the_luminosity_is_the_part_that_was_processed():
    datasets = {"data": metadata(False, "2018D", luminosity=8.0)}
    known = luminosities(datasets, processed=25).as_json()
    assert known["datasets"]["data"]["luminosity"] == 2.0
    assert known["datasets"]["data"]["source"] == "fileset"
    uncounted = counts(datasets)
    uncounted["data"]["uncounted_files"] = 1
    unknown = Luminosities.of(records(datasets), {}, uncounted, lambda era: Certification())
    assert unknown.as_json()["luminosity"] is None


@pytest.mark.parametrize("expected", [25, 100])
def test_the_luminosity_of_a_part_is_that_part_of_the_whole_dataset(expected):
    """Not of what was asked for: chunks, steps and files may be a part of it."""
    datasets = {"data": metadata(False, "2018D", luminosity=8.0)}
    part = counts(datasets, processed=25, expected=expected)
    known = Luminosities.of(records(datasets), {}, part, lambda era: Certification()).as_json()
    assert known["datasets"]["data"]["luminosity"] == 2.0
    assert known["datasets"]["data"]["processed"] == 0.25


def test_without_the_length_of_a_dataset_its_part_has_no_luminosity():
    datasets = {"data": metadata(False, "2018D", luminosity=8.0)}
    part = counts(datasets, processed=25, expected=25, held=None)
    known = Luminosities.of(records(datasets), {}, part, lambda era: Certification()).as_json()
    assert known["luminosity"] is None
    assert "`bphcoffea fileset check FILESET -o FILESET`" in known["datasets"]["data"]["source"]


def test_a_prescale_divides_the_luminosity_of_the_fileset_and_the_scale_of_simulation():
    datasets = {
        "data": metadata(False, "2018D", luminosity=8.0, prescale=20),
        "mc": metadata(True, "2018D", cross_section=3.0),
    }
    found = luminosities(datasets, processed=25)
    known = found.as_json()
    assert known["datasets"]["data"]["luminosity"] == pytest.approx(0.1, rel=1e-12)
    assert known["datasets"]["data"]["prescale"] == 20.0
    assert known["parts"] == [{"datasets": ["data"], "luminosity": pytest.approx(0.1, rel=1e-12)}]
    scale = normalise(datasets, {"mc": 10.0}, counts(datasets), found)["mc"]["scale"]
    assert scale == pytest.approx(1000 * 3.0 * 0.1 / 10.0, rel=1e-12)


def test_a_prescale_divides_the_luminosity_of_a_table(tmp_path):
    """Sections that two triggers share count for each; those of one trigger once."""
    lookup = table(tmp_path, {(1, 1): 20.0, (1, 2): 40.0, (1, 3): 80.0})
    datasets = {
        "a": metadata(False, "2018D", prescale=20),
        "b": metadata(False, "2018D", prescale=20.0),
        "c": metadata(False, "2018D"),
    }
    sections = {
        "a": np.array([[1, 1], [1, 2]]),
        "b": np.array([[1, 2], [1, 3]]),
        "c": np.array([[1, 3]]),
    }
    found = luminosities(datasets, sections, lambda era: Certification(table=lookup))
    known = found.as_json()
    assert {name: about["luminosity"] for name, about in known["datasets"].items()} == (
        pytest.approx({"a": 3.0, "b": 6.0, "c": 80.0}, rel=1e-12)
    )
    assert known["luminosity"] == pytest.approx(7.0 + 80.0, rel=1e-12)
    for chosen in (["a", "b"], ["b"], ["b", "c"], ["c"]):
        parts = [part for part in known["parts"] if {*part["datasets"]} & {*chosen}]
        total = sum(part["luminosity"] for part in parts)
        assert total == pytest.approx(found.together(chosen), rel=1e-12)


@pytest.mark.parametrize(("held", "noted"), [(100, False), (50, True), (None, False)])
def test_events_that_a_skim_lacks_are_those_of_the_whole_dataset(held, noted):
    datasets = {"mc": metadata(True, "2018D", processed_events=100)}
    part = counts(datasets, processed=10, expected=10, held=held)
    known = normalise(datasets, {"mc": 10.0}, part, luminosities(datasets))
    assert ("skim_efficiency = 0.5" in " ".join(known["mc"]["notes"])) == noted
    assert bool(known["mc"]["notes"]) == noted


def table(tmp_path, rows):
    path = tmp_path / "lumi.csv"
    lines = [
        f"{run}:1,{s}:{s},01/01/18 00:00:00,STABLE BEAMS,6500,9,{value},30,HFOC"
        for (run, s), value in rows.items()
    ]
    header = "#run:fill,ls,time,beamstatus,E(GeV),delivered(/fb),recorded(/fb),avgpu,source"
    path.write_text("\n".join([header, *lines]) + "\n")
    return LuminosityTable.load(path)


def test_sections_are_certified_looked_up_and_counted_once(tmp_path):
    rows = {(1, s): 2.0**s for s in range(1, 6)}
    (tmp_path / "golden.json").write_text('{"1": [[2, 9]]}')
    known = Certification(
        GoldenJson.load(tmp_path / "golden.json"), table(tmp_path, rows), uncertainty=0.02
    )
    read = {"one": (1, 2, 3), "two": (3, 4, 6)}
    datasets = {name: metadata(False, "2018D") for name in read}
    sections = {
        "one": np.array([[1, 1], [1, 2], [1, 3]]),
        "two": np.array([[1, 3], [1, 4], [1, 6]]),
    }
    found = luminosities(datasets, sections, lambda era: known)
    content = found.as_json()
    assert content["datasets"]["one"]["luminosity"] == 4 + 8
    assert content["datasets"]["two"]["luminosity"] == 8 + 16
    assert content["datasets"]["two"]["not_in_table"] == {"1": [[6, 6]]}
    assert content["datasets"]["one"]["certified"] == 2
    assert content["luminosity"] == 4 + 8 + 16
    assert content["sections_shared"]
    assert content["parts"] == [
        {"datasets": ["one"], "luminosity": 4.0},
        {"datasets": ["one", "two"], "luminosity": 8.0},
        {"datasets": ["two"], "luminosity": 16.0},
    ]
    assert found.uncertainty(["one"]) == 0.02


def test_scaled_histograms_have_the_variations_of_rates():
    axes = [
        hist.axis.StrCategory(["data", "mc", "other"], name="dataset"),
        hist.axis.StrCategory(["all"], name="category"),
        hist.axis.StrCategory(["nominal", "aUp"], name="variation"),
        hist.axis.Regular(2, 0, 2, name="x"),
    ]
    histogram = hist.Hist(*axes, storage=hist.storage.Weight())
    histogram.fill("data", "all", "nominal", [0.5, 0.5, 1.5])
    histogram.fill("mc", "all", "nominal", [0.5, 1.5], weight=[3.0, 4.0])
    histogram.fill("mc", "all", "aUp", [0.5, 1.5], weight=[6.0, 8.0])
    histogram.fill("other", "all", "nominal", [0.5], weight=[1.0])
    normalisation = {
        "mc": {"scale": 10.0, "uncertainties": {"luminosity": 0.1, "cross_section": 0.0}},
        "other": {"scale": 1.0, "uncertainties": {"luminosity": 0.1, "cross_section": 0.5}},
    }
    datasets = {name: {"is_mc": name != "data", "era": "2018"} for name in ("data", "mc", "other")}
    total = scaled({"x": histogram}, scales(normalisation), records(datasets))["x"]
    assert list(total.axes["variation"]) == [
        *("nominal", "aUp", "luminosityUp", "luminosityDown"),
        *("cross_sectionUp", "cross_sectionDown"),
    ]
    assert total["data", "all", "nominal", :].values().tolist() == [2, 1]
    assert total["data", "all", "luminosityUp", sum].value == 0
    expected = {"nominal": [30, 40], "aUp": [60, 80], "luminosityUp": [33, 44]}
    expected |= {"luminosityDown": [27, 36], "cross_sectionUp": [30, 40]}
    for variation, values in expected.items():
        got = total["mc", "all", variation, :]
        assert got.values() == pytest.approx(values)
        factor = 10 * {"luminosityUp": 1.1, "luminosityDown": 0.9}.get(variation, 1.0)
        base = 2.0 if variation == "aUp" else 1.0
        assert got.variances() == pytest.approx((np.array([3.0, 4.0]) * base * factor) ** 2)
    assert total["other", "all", "cross_sectionUp", :].values().tolist() == [1.5, 0]
    # nothing is done to the histogram that was given
    assert histogram["mc", "all", "nominal", :].values().tolist() == [3, 4]
