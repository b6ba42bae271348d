"""Templates of a run, against its tables and histograms read by hand."""

import json
import shutil

import numpy as np
import pytest
from template_runs import Toy, make_run

from bphcoffea.analysis import Blind, TemplateFit
from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder
from bphcoffea.statistics import StillBlindError, build_model
from bphcoffea.statistics.templates.collection import collect

EDGES = np.linspace(0, 100, 21)
FIT = TemplateFit(histogram="met", regions=("sr", "cr"))


def copy_of(run, folder, **changes):
    """Return a copy of a run with changes of its analysis.json."""
    shutil.copytree(run.path, folder)
    path = folder / "analysis.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return RunFolder(folder)


@pytest.mark.parametrize("overflow", [False, True])
def test_templates_are_the_scaled_sums_of_weights_of_the_tables(toy_run, overflow):
    fit = FIT.model_copy(update={"rebin": 5, "overflow": overflow})
    for channel in collect(fit, [toy_run]).channels:
        assert channel.name == channel.region
        for process, template in channel.templates.items():
            table = toy_run.candidates(f"{process}_mc")
            chosen = table[f"in_{channel.region}"].to_numpy()
            x, w = (table[name].to_numpy()[chosen] for name in ("met", "weight"))
            scale = toy_run.normalisation[f"{process}_mc"].scale
            edges = [0, 25, 50, 75, np.inf if overflow else 100]
            content = np.histogram(x, edges, weights=w * scale)[0]
            squares = np.histogram(x, edges, weights=(w * scale) ** 2)[0]
            np.testing.assert_allclose(template.nominal, content, rtol=1e-6)
            np.testing.assert_allclose(template.variance, squares, rtol=1e-6)
        table = toy_run.candidates("data_2022A")
        x = table["met"].to_numpy()[table[f"in_{channel.region}"].to_numpy()]
        np.testing.assert_array_equal(channel.data, np.histogram(x, edges)[0])
        assert not np.any(channel.hidden)


def test_variations_are_those_of_the_run_and_the_rates(toy_run):
    (signal, _) = collect(FIT, [toy_run]).channels
    histogram = toy_run.histograms()["met"]
    assert list(signal.templates["top"].variations) == [
        *("tilt", "top_pt", "scale", "smear", "cross_section_top")
    ]
    top = signal.templates["top"]
    scale = toy_run.normalisation["top_mc"].scale
    for name in ("tilt", "top_pt", "scale"):
        for side, varied in (("Up", top.variations[name].up), ("Down", top.variations[name].down)):
            content = histogram["top_mc", "sr", name + side, :].values() * scale
            np.testing.assert_allclose(varied.values, content)
    assert top.variations["smear"].down is None
    rate = top.variations["cross_section_top"]
    np.testing.assert_allclose(rate.up.values, top.nominal * 1.06)
    np.testing.assert_allclose(rate.down.values, top.nominal / 1.06)
    without = collect(FIT.model_copy(update={"rates": False}), [toy_run])
    assert "cross_section_top" not in without.channels[0].templates["top"].variations


def test_the_covariance_is_unknown_for_runs_of_older_versions(toy_run, tmp_path):
    run = copy_of(toy_run, tmp_path / "run")
    assert run.analysis.shapes == ("scaleUp", "scaleDown", "smearUp")
    path = run.path / "analysis.json"
    content = json.loads(path.read_text())
    del content["shapes"]
    path.write_text(json.dumps(content))
    top = collect(FIT, [run]).channels[0].templates["top"]
    assert top.variations["tilt"].up.covariance is None
    assert not any(
        finding.kind == "not significant" for finding in build_model(FIT, [run]).findings
    )


def test_the_luminosity_is_shared_by_all_processes(toy_run, tmp_path):
    run = copy_of(toy_run, tmp_path / "run")
    path = run.path / "normalisation.json"
    content = json.loads(path.read_text())
    for known in content.values():
        known["uncertainties"]["luminosity"] = 0.02
    path.write_text(json.dumps(content))
    for sample in build_model(FIT, [run]).model.channels[0].samples:
        assert sample.effects["luminosity"].factors == pytest.approx((1 / 1.02, 1.02))
        assert sample.effects["luminosity"].shapes is None


def test_processes_are_groups_of_datasets(toy_run):
    fit = TemplateFit(
        histogram="met",
        regions="sr",
        processes={"signal": "signal", "background": ("top", "w_*_mc")},
    )
    grouped = collect(fit, [toy_run])
    single = collect(FIT, [toy_run]).channels[0].templates
    template = grouped.channels[0].templates["background"]
    assert grouped.processes == {"signal": ("signal_mc",), "background": ("top_mc", "w_jets_mc")}
    np.testing.assert_allclose(template.nominal, single["top"].nominal + single["w_jets"].nominal)
    # what a dataset lacks is nominal there, and is reported
    up = single["top"].variations["top_pt"].up.values + single["w_jets"].nominal
    np.testing.assert_allclose(template.variations["top_pt"].up.values, up)
    assert template.lacking == {"top_pt": ("w_jets_mc",)}
    covariances = [single[p].variations["tilt"].up.covariance for p in ("top", "w_jets")]
    np.testing.assert_allclose(template.variations["tilt"].up.covariance, sum(covariances))


def test_eras_have_channels_and_decorrelated_parameters(both_runs):
    fit = TemplateFit(
        histogram="met",
        regions="cr",
        eras={"A": "2022*", "B": "2023*"},
        variations=(
            {"names": "tilt", "between_eras": "decorrelated"},
            {"names": "scale", "between_processes": "decorrelated"},
        ),
        free=({"name": "norm", "processes": "top"},),
        normalisations=({"name": "l", "size": 0.1, "eras": "B", "correlation": "decorrelated"},),
    )
    model = build_model(fit, both_runs).model
    assert [channel.name for channel in model.channels] == ["cr_A", "cr_B"]
    first, second = (
        {s.name: [*s.effects, *s.free] for s in channel.samples} for channel in model.channels
    )
    assert first["top"] == ["tilt_A", "top_pt", "scale_top", "smear", "norm_A"]
    assert second["top"] == ["tilt_B", "top_pt", "scale_top", "smear", "l_B", "norm_B"]
    assert first["signal"] == ["tilt_A", "scale_signal", "smear"]
    assert set(model.bounds) == {"mu", "norm_A", "norm_B"}


def test_histograms_of_two_variables_are_put_in_a_row(toy_run):
    fit = TemplateFit(histogram="map", regions="sr")
    (channel,) = collect(fit, [toy_run]).channels
    histogram = toy_run.histograms()["map"]["data_2022A", "sr", "nominal", ...]
    np.testing.assert_array_equal(channel.data, histogram.values().ravel())
    np.testing.assert_array_equal(channel.edges, np.arange(9))


def test_regions_that_share_events_are_found(toy_run):
    fit = TemplateFit(histogram="met", regions=("sr", "cr", "wide"))
    assert set(collect(fit, [toy_run]).overlaps) == {("sr", "wide"), ("cr", "wide")}


def test_a_lost_uncertainty_is_a_finding(toy_run):
    fit = TemplateFit(histogram="met", regions=("sr", "cr"), rebin=(95, 100), signal="w_jets")
    built = build_model(fit, [toy_run])
    lost = [step for step in built.prepared.steps if "no events on one side" in step.done]
    assert lost
    texts = [str(finding) for finding in built.findings]
    for step in lost:
        where = " ".join(step.place)
        assert f"large: {where}: {step.done}; symmetrise, smooth or exclude it" in texts


def test_blind_regions_have_the_expectation(toy_run):
    fit = FIT.model_copy(update={"blind": ("s*",), "expected_strength": 2.0})
    model = build_model(fit, [toy_run]).model
    signal, control = model.channels
    assert np.all(signal.hidden)
    assert not np.any(control.hidden)
    samples = {sample.name: sample.nominal for sample in signal.samples}
    expected = 2 * samples["signal"] + samples["top"] + samples["w_jets"]
    np.testing.assert_allclose(signal.observed, expected)
    unblinded = build_model(fit, [toy_run], unblind=True).model
    assert not unblinded.blinded
    assert np.all(unblinded.channels[0].observed % 1 == 0)
    asimov = FIT.model_copy(update={"data": "asimov"})
    assert all(
        np.all(c.hidden) for c in build_model(asimov, [toy_run], unblind=True).model.channels
    )


def test_blind_windows_of_an_unblinded_run_hide_bins(toy_run, tmp_path):
    blind = {"histogram": "met", "variable": "met", "unit": "GeV", "windows": [[60, 70]]}
    run = copy_of(toy_run, tmp_path / "run", blind=blind)
    for channel in collect(FIT.model_copy(update={"rebin": 4}), [run]).channels:
        np.testing.assert_array_equal(channel.hidden, [False, False, False, True, False])
        np.testing.assert_array_equal(np.isnan(channel.data), channel.hidden)
    # other variables may show the hidden events in any bin
    (channel,) = collect(TemplateFit(histogram="map", regions="cr"), [run]).channels
    assert np.all(channel.hidden)
    (channel,) = collect(TemplateFit(histogram="met", regions="cr"), [run], unblind=True).channels
    assert not np.any(channel.hidden)


class BlindToy(Toy):
    """The toy with hidden data."""

    blind = Blind("met", windows=((60, 70),))


def test_a_blind_run_has_no_data_to_unblind(tmp_path):
    run = make_run(tmp_path, "2022A", 1, BlindToy())
    assert run.hidden == ((60, 70),)
    (channel,) = collect(TemplateFit(histogram="met", regions="sr"), [run]).channels
    np.testing.assert_array_equal(np.flatnonzero(channel.hidden), [12, 13])
    with pytest.raises(StillBlindError):
        collect(FIT, [run], unblind=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"histogram": "mass"}, "has no histogram 'mass'; there are: met, map"),
        ({"regions": ("sr", "xr")}, "has no region 'xr'; there are: all, sr, cr, wide"),
        ({"rebin": 3}, "rebin = 3: the number of bins, 20, is no multiple of it"),
        ({"rebin": (0, 33, 100)}, "rebin: 33 is no edge of the histogram; the nearest is 35"),
        ({"signal": "higgs"}, "the signal 'higgs' is no process; there are: signal, top, w_jets"),
        ({"signal": ("signal", "top", "w_jets")}, "all processes are signals"),
        ({"processes": {"signal": "signal", "x": "y"}}, "belongs to the process 'x'"),
        ({"processes": {"s": "*", "t": "top"}}, "belongs to s and t"),
        ({"processes": {"t": "top"}}, "no process is the signal; name one of: t"),
        ({"blind": "x"}, "blind: no regions match 'x'"),
        ({"eras": {"a": "2022*", "b": "2017*"}}, "no dataset of the runs belongs to the era 'b'"),
        (
            {"free": ({"name": "n", "processes": "tops"},)},
            "free normalisation 'n': no processes match 'tops'; did you mean 'top'? "
            "There are: signal, top, w_jets",
        ),
    ],
)
def test_wrong_declarations_are_one_line(toy_run, changes, message):
    fit = TemplateFit.model_validate(FIT.model_dump() | changes)
    with pytest.raises(FitError) as error:
        collect(fit, [toy_run])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_dataset_counts_once(toy_run):
    fit = FIT.model_copy(update={"eras": {"A": ("2022*",)}})
    with pytest.raises(FitError, match="would count twice"):
        collect(fit, [toy_run, toy_run])


def test_simulation_without_data_needs_asimov(tmp_path):
    run = make_run(tmp_path, "2022A", 4, data=False)
    with pytest.raises(FitError, match="set data = 'asimov'"):
        collect(FIT, [run])
    model = build_model(FIT.model_copy(update={"data": "asimov"}), [run]).model
    assert model.blinded
