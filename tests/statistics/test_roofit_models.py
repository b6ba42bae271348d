"""Parametric models against this package, with ROOT itself. ``make root`` runs these tests."""

import importlib.util
import sys
import warnings
from dataclasses import replace

import hist
import numpy as np
import pytest
import tau3mu_cards
from combine_card import CombineCard, ParametricCard, integrals
from mass_fits import VALUES, write_run
from typer.testing import CliRunner

from bphcoffea import cli
from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.errors import FitError
from bphcoffea.statistics import fit_mass, write_roofit_model, write_roofit_models
from bphcoffea.statistics.cls_limits import upper_limit
from bphcoffea.statistics.counting import Channel, counting_workspace
from bphcoffea.statistics.datacards import write_datacard
from bphcoffea.statistics.mass_background import Background, fit_background
from bphcoffea.statistics.mass_fit import MassFit, Parameter, Tail
from bphcoffea.statistics.mass_shapes import parameter_names
from bphcoffea.statistics.roofit_spectra import write_roofit_spectra
from bphcoffea.statistics.scaled_model import prepare
from bphcoffea.statistics.shape_workspace import MassChannel, mass_workspace
from bphcoffea.statistics.signal_shape import SignalShape
from bphcoffea.statistics.strength import fit_strength

LOW, HIGH, BINS = 1.65, 2.01, 45
EDGES = np.linspace(LOW, HIGH, BINS + 1)
DS = Peak(name="ds", label="$D_s$", mass=1.968, width=0.010, process="ds_phipi")
DPLUS = Peak(name="dplus", label="$D^+$", mass=1.870, width=0.010)
MODEL = MassModel(histogram="mass", peaks=(DS, DPLUS))


@pytest.fixture(scope="module")
def root():
    """ROOT, which warns that it is a pre-release."""
    if importlib.util.find_spec("ROOT") is None:
        pytest.skip("ROOT is not installed: make root")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ROOT
    ROOT.RooMsgService.instance().setGlobalKillBelow(ROOT.RooFit.ERROR)
    return ROOT


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run with data and simulation, whose peaks have a tail."""
    rng = np.random.default_rng(11)

    def peak(mean, count):
        smeared = rng.normal(mean, 0.010, count)
        return smeared - (rng.random(count) < 0.3) * rng.exponential(0.02, count)

    def spectrum(*parts):
        axis = hist.axis.Regular(BINS, LOW, HIGH, name="mass", label="$m$ [GeV]")
        return hist.Hist(axis, storage=hist.storage.Weight()).fill(np.concatenate(parts))

    below = LOW - np.log1p(rng.random(2500) * np.expm1(-2.0 * (HIGH - LOW))) / 2.0
    spectra = {
        "data": spectrum(peak(1.968, 1500), peak(1.870, 500), below),
        "mc": spectrum(peak(1.968, 1500)),
    }
    metadata = {
        "data": {"is_mc": False, "era": "2017B", "luminosity": 4.8},
        "mc": {"is_mc": True, "era": "2017", "process": "ds_phipi"},
    }
    return write_run(tmp_path_factory.mktemp("run"), spectra, metadata, MODEL)


@pytest.fixture(scope="module")
def record(run):
    record = fit_mass(run)
    run.write("fit.json", record.as_json())
    return record


def opened(root, path):
    file = root.TFile.Open(str(path))
    return file, file.Get("w")


def contents(root, workspace):
    """Return the expected contents of all bins."""
    mass, model = workspace.var("mass"), workspace.pdf("model")
    return model.expectedEvents(root.RooArgSet(mass)) * integrals(root, model, mass, EDGES)


def test_without_root_one_line_says_how_to_get_it(run, record, monkeypatch):
    monkeypatch.setitem(sys.modules, "ROOT", None)
    result = CliRunner().invoke(cli.app, ["export", str(run.path), "--format", "roofit"])
    assert isinstance(result.exception, FitError)
    assert str(result.exception).endswith("pip install 'bphcoffea[root]'")
    assert not (run.path / "parametric").exists()


@pytest.mark.parametrize(
    ("shape", "background"),
    [
        ("crystal_ball", "exponential"),
        ("double_crystal_ball", "bernstein3"),
        ("voigtian", "bernstein1"),
        ("gaussian", "exponential"),
    ],
)
def test_the_pdfs_have_the_same_integrals(root, shape, background, tmp_path):
    model = MODEL.model_copy(update={"shape": shape, "background": background})
    parameters = {
        name: Parameter(VALUES[name], 0.1, False, (-1e5, 1e5), "")
        for name in parameter_names(model)
    }
    fit = MassFit(model, tuple(EDGES), 5100.0, parameters)
    counts = np.arange(BINS, dtype=float)
    paths = write_roofit_model(fit, counts, tmp_path / "mass")
    _file, workspace = opened(root, paths[0])
    # quadrature is less precise in the bin in which a tail begins
    expected = np.sum(list(fit.expected().values()), axis=0)
    np.testing.assert_allclose(contents(root, workspace), expected, rtol=5e-5)
    data = workspace.data("data_obs_mass")
    assert [data.weight(i) for i in range(BINS)] == counts.tolist()
    # HS3 knows no Voigtian
    assert len(paths) == (2 if shape == "voigtian" else 3)
    for path in paths[2:]:
        again = root.RooWorkspace("again")
        assert root.RooJSONFactoryWSTool(again).importJSON(str(path))
        np.testing.assert_allclose(contents(root, again), expected, rtol=5e-5)


def test_a_fit_of_roofit_has_the_same_result(root, run, record):
    paths = write_roofit_models(run)
    assert [path.name for path in paths] == ["mass.root", "mass.txt", "mass.json"]
    _file, workspace = opened(root, paths[0])
    for name, parameter in record.fit.parameters.items():
        if name.startswith(("n_", "sigma_")):
            workspace.var(name).setVal(1.1 * parameter.value)
    likelihood = workspace.pdf("constrained_model").createNLL(
        workspace.data("data_obs_mass"), root.RooFit.Extended(True), root.RooFit.IntegrateBins(1e-3)
    )
    minimizer = root.RooMinimizer(likelihood)
    minimizer.setPrintLevel(-1)
    minimizer.setStrategy(2)
    minimizer.setEps(1e-2)
    assert minimizer.minimize("Minuit2") == 0
    minimizer.hesse()
    result = minimizer.save()
    found = {parameter.GetName(): parameter for parameter in result.floatParsFinal()}
    for name, known in record.fit.parameters.items():
        if name in found:
            assert found[name].getVal() == pytest.approx(known.value, abs=0.02 * known.error), name
            # derivatives are numerical
            precision = 0.01 if name.startswith("n_") else 0.1
            assert found[name].getError() == pytest.approx(known.error, rel=precision), name
    assert {"n_ds", "n_dplus", "n_background", "slope"} <= set(found)
    # the tail of simulation is as uncertain as in this package's fit
    names = [name for name in record.fit.names if name in ("beta", "m")]
    assert names
    for name in names:
        tail = workspace.function(name)
        known = record.fit.parameters[name]
        assert tail.getVal() == pytest.approx(known.value, abs=0.05 * known.error)
        assert tail.getPropagatedError(result) == pytest.approx(known.error, rel=0.1)


def test_the_datacard_states_the_same_likelihood(root, run, record):
    """Its strength is the yield relative to the fitted one."""
    card = ParametricCard(write_roofit_models(run)[1])
    best = {name: parameter.getVal() for name, parameter in card.floating.items()}
    lowest = card.nll({"r": 1.0, **best})
    relative = record.fit.parameters["n_ds"].error / record.fit.parameters["n_ds"].value
    steps = {"r": 0.5 * relative, **{n: 0.5 * p.getError() for n, p in card.floating.items()}}
    steps |= dict.fromkeys(card.constrained, 0.5)
    for name, step in steps.items():
        for sign in (-1, 1):
            moved = {"r": 1.0, **best}
            moved[name] += sign * step
            # the curvature at fixed other parameters is at least that of the error
            assert card.nll(moved) > lowest + 0.1, name
    assert sum(card.expected({"r": 1.0, **best})["mass"]) == pytest.approx(record.fit.entries, 0.01)


def test_spectra_of_a_search_have_the_likelihood_of_their_workspace(root, tmp_path):
    """Expected events of τ → 3μ, with each parameter moved alone and all together."""
    rng = np.random.default_rng(3)
    masses = rng.triangular(1.62, 1.63, 2.0, 120)
    channel = MassChannel(
        "2017A",
        6.0,
        tuple(np.linspace(1.62, 2.0, 20)),
        SignalShape(0.3, 1.777, 0.014, 1.2, 3.0, 0.010),
        fit_background(masses),
        tuple(np.histogram(masses, np.linspace(1.62, 2.0, 20))[0].astype(float)),
        mean_error=0.004,
        width_error=0.1,
        signal_stat=0.05,
        signal_shifts={"trigger": -0.1, "muon": 0.02},
    )
    other = replace(channel, name="B", background=Background(300.0, 2.0, 0.5), observed=None)
    path = write_roofit_spectra([channel, other], tmp_path / "card.txt")[0]
    card = ParametricCard(path, middles=True)
    assert card.data["c_2017A"].tolist() == list(channel.observed)
    assert card.data["B"] == pytest.approx(other.expected_background())
    model = prepare(mass_workspace([channel, other]))
    names = model.pdf.config.par_names
    center = dict.fromkeys(card.names, 0.0) | {"r": 1.0}
    center |= {name: 1.0 for name in card.names if name.endswith("_norm")}
    # alternatives of the background exist with enough events alone
    assert {"background_power_2017A", "background_polynomial_2017A"} <= set(card.constrained)

    def of_workspace(values):
        own = {"mu": values["r"] / model.unit}
        for name in names[1:]:
            found = [k for k in (name, name.removeprefix("signal_")) if k in values]
            key = (
                found[0]
                if found
                else f"background_{'c_' if '2017' in name else ''}{name[11:]}_norm"
            )
            own[name] = values[key]
        contents = model.pdf.expected_data([own[name] for name in names], False)
        # channels in alphabetical order: 2017A, B
        return dict(zip(("c_2017A", "B"), np.split(contents, 2), strict=True))

    def compare(values, slope=False):
        found, known = card.expected(values), of_workspace(values)
        for name in found:
            scale = np.sum(found[name]) / np.sum(known[name]) if slope else 1.0
            # a ratio to another shape is that of densities, not of contents: up to 0.07 events in
            # a bin where a polynomial vanishes
            assert found[name] == pytest.approx(scale * known[name], rel=0.02, abs=0.1), values

    compare(center)
    for name in card.names:
        # yields are separate from slopes in the card
        background = name.startswith(("slope", "background_po"))
        compare(
            center | {name: center[name] + 0.5} | ({"r": 0.0} if background else {}), background
        )


def test_roofit_finds_strength_and_limit_of_spectra_as_combine_would(root, tmp_path):
    """One channel is a category of τ → 3μ, the other has few events and two shapes of background.

    Where 20 MeV hold one bin instead of two, densities in the middle of bins would not do.
    """
    from roofit_card import RooFitCard

    (first,) = tau3mu_cards.channels(names=["2017A2"])
    masses = np.random.default_rng(3).triangular(1.62, 1.63, 2.0, 120)
    edges = tuple(np.linspace(1.62, 2.0, 20))
    second = replace(
        first,
        name="B",
        edges=edges,
        signal=6.0,
        background=fit_background(masses),
        observed=tuple(np.histogram(masses, edges)[0].astype(float)),
        mean_error=0.001,
        width_error=0.03,
        signal_stat=0.05,
        signal_shifts={"trigger": -0.1, "classifier_2017": 0.1},
    )
    assert set(second.background.alternatives) == {"power", "polynomial"}
    path = write_roofit_spectra([first, second], tmp_path / "card.txt")[0]
    spec = mass_workspace([first, second], blinded=False)
    strength, limit = fit_strength(spec), upper_limit(spec)
    card = RooFitCard(ParametricCard(path))
    value, error = card.fit()
    # shapes of the background are ratios of densities here, and of contents there
    assert value == pytest.approx(strength.value, abs=0.02 * strength.error)
    assert error == pytest.approx(strength.error, rel=0.01)
    observed, expected = card.limits(0.95, limit.observed, limit.expected[2])
    assert observed == pytest.approx(limit.observed, rel=0.01)
    assert expected == pytest.approx(limit.expected[2], rel=0.01)


def test_roofit_finds_strength_and_limit_of_all_categories(root, tmp_path):
    """Six categories of τ → 3μ, with one shape of the background each."""
    from roofit_card import RooFitCard

    channels = tau3mu_cards.channels()
    path = write_roofit_spectra(channels, tmp_path / "card.txt")[0]
    spec = mass_workspace(channels, blinded=False)
    strength, card = fit_strength(spec), RooFitCard(ParametricCard(path))
    value, error = card.fit()
    assert value == pytest.approx(strength.value, abs=0.005 * strength.error)
    assert error == pytest.approx(strength.error, rel=0.005)
    compare_limits(card, spec)


@pytest.mark.parametrize("blinded", [True, False])
def test_roofit_finds_the_limit_of_counts(root, blinded, tmp_path):
    """Six categories of a search for a heavy neutral lepton, whose sidebands hold few events."""
    from roofit_card import RooFitCounts

    sidebands = [8.0, 1.5, 0.6, 3.0, 10.4, 0.0]
    channels = [
        Channel(
            f"c{i}",
            0.3 * (i + 1),
            0.46 * events,
            None if blinded else i,
            0.46 * max(events, 1) ** 0.5,
            0.05 * events,
            signal_stat=0.1,
            signal_shifts={"width": -0.01 * i},
        )
        for i, events in enumerate(sidebands)
    ]
    shared = {"ds_yield": 0.06, "branching": 0.09, "trigger": 0.03}
    path = tmp_path / "card.txt"
    write_datacard(channels, shared, path, comment="")
    spec = counting_workspace(channels, shared, blinded=blinded)
    compare_limits(RooFitCounts(CombineCard(path)), spec)


def compare_limits(card, spec):
    """Data of a blinded workspace are the expected ones."""
    limit = upper_limit(spec, toys=0)
    seen = limit.expected[2] if limit.observed is None else limit.observed
    observed, expected = card.limits(0.95, seen, limit.expected[2])
    assert observed == pytest.approx(seen, rel=1e-3)
    assert expected == pytest.approx(limit.expected[2], rel=1e-3)


def test_weighted_candidates_have_no_model(root, tmp_path):
    axis = hist.axis.Regular(BINS, LOW, HIGH, name="mass", label="$m$ [GeV]")
    masses = np.random.default_rng(1).normal(1.968, 0.01, 500)
    weighted = hist.Hist(axis, storage=hist.storage.Weight()).fill(masses, weight=2.0)
    metadata = {"mc": {"is_mc": True, "era": "2017", "process": "ds_phipi"}}
    run = write_run(tmp_path, {"mc": weighted}, metadata, MODEL)
    with pytest.raises(FitError, match="weighted"):
        write_roofit_models(run, fit_mass(run))


def test_a_tail_that_the_fit_fixed_in_part():
    from bphcoffea.statistics.roofit_models import _conditional

    covariance = np.array([[0.04, 0.03], [0.03, 0.09]])
    tail = Tail({"beta": 1.5, "m": 3.0}, "", ("beta", "m"), tuple(map(tuple, covariance)))
    fixed = {"m": Parameter(3.6, None, True, None, "")}
    mean, width = _conditional(tail, ["beta"], fixed)
    # regression of one on the other
    assert mean[0] == pytest.approx(1.5 + 0.03 / 0.09 * 0.6)
    assert width[0, 0] == pytest.approx(0.04 - 0.03**2 / 0.09)
