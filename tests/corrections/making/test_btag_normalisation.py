"""Normalisation of the weights of a b tagger's shape: what it is made of, and that it closes."""

import hist
import numpy as np
import pytest
from builders import fileset_content, write_jets
from correction_files import binning, category, correction, evaluator, formula, stored

from bphcoffea.analysis import (
    Analysis,
    Axis,
    BTagShape,
    Cut,
    Histogram,
    Objects,
    Selection,
    number_of,
    quantity,
)
from bphcoffea.cli.corrections import make_btag_normalisation
from bphcoffea.corrections import load_corrections
from bphcoffea.corrections.making import btag_normalisation
from bphcoffea.datasets import Fileset
from bphcoffea.errors import CorrectionsError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema

TOML = '[btag.bjet]\nfile = "sf.json"\nshape = "deepJet_shape"\nout_of_range = "clamp"\n'
NORMALISED = (
    'normalisation_file = "normalisation.json.gz"\n'
    'normalisation = { tt = "normalisation_tt", default = "normalisation" }\n'
)
KEYS = ("central", "hfUp", "hfDown", "lfstats1_2018Up", "lfstats1_2018Down")
jets, pt = number_of("jet"), quantity("pt", unit="GeV")


class Shaped(Analysis):
    """All events, by the number of jets."""

    schema = ReducedNanoAODSchema
    objects = (Objects("jet", "Jet", (pt > 20,)),)
    selection = Selection(Cut("jet", jets >= 0))
    histograms = (Histogram("n_jet", jets, Axis(4, -0.5, 3.5)),)
    columns = (jets,)
    weights = (BTagShape("bjet", over="jet", score="btagDeepFlavB"),)


def shape():
    """Scale factors that depend on flavour, pT and score."""

    def of(number):
        expression = f"{number} + 0.3*x - 0.002*y"
        return formula(expression, "discriminant", "pt")

    keys = {"central": {flavour: of(1 + flavour / 50) for flavour in (0, 4, 5)}}
    for side, number in (("up", 1.2), ("down", 0.8)):
        keys[f"{side}_hf"] = {5: of(number)}
        keys[f"{side}_lfstats1"] = {0: of(number)}
    inputs = {"systematic": "string", "flavor": "int"}
    inputs |= dict.fromkeys(("abseta", "pt", "discriminant"), "real")
    data = {key: category("flavor", by_flavour) for key, by_flavour in keys.items()}
    return correction("deepJet_shape", inputs, category("systematic", data))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs without weights, with them, and with normalised ones."""
    folder = tmp_path_factory.mktemp("btag")
    stored(folder / "sf.json", shape())
    content = {}
    for name, seed, weight in (("tt", 1, 1.0), ("dy", 2, 3.0), ("dy_2", 3, 1.0)):
        write_jets(folder / f"{name}.root", seed, weight)
        about = {"is_mc": True, "era": "2018", "process": name, "luminosity": 1.0}
        content |= fileset_content(
            {name: [folder / f"{name}.root"]}, "Events", **about, cross_section=2.0 * weight
        )
    fileset = Fileset.model_validate(content)

    def run_with(name, lines):
        path = folder / "era.toml"
        path.write_text(f'name = "2018"\neras = ["*"]\n{lines}')
        analysis = Shaped().corrected(load_corrections([path]))
        return run(analysis, fileset, folder / name, Options("iterative"))

    runs = {"without": run_with("without", ""), "weighted": run_with("weighted", TOML)}
    make_btag_normalisation(
        folder / "weighted",
        folder / "without",
        folder / "normalisation.json.gz",
        histogram="n_jet",
        weight="bjet",
        by_process=True,
    )
    return folder, runs | {"normalised": run_with("normalised", TOML + NORMALISED)}


def test_factors_are_ratios_of_sums_over_the_table(made):
    folder, runs = made
    table = runs["weighted"].candidates("tt").to_pandas()
    factors = evaluator(folder / "normalisation.json.gz", "normalisation_tt")
    for number, rows in table.groupby("n_jet"):
        ratio = (rows["weight"] / rows["weight_bjet"]).sum() / rows["weight"].sum()
        assert factors.evaluate("central", float(number)) == pytest.approx(ratio, rel=1e-12)
        assert (abs(ratio - 1) > 1e-3) == (number > 0)
    # beyond the bins, the factor of the nearest
    assert factors.evaluate("hfUp", 9.0) == factors.evaluate("hfUp", 3.0)


def test_the_normalised_weight_keeps_the_number_of_events(made):
    _, runs = made
    plain, weighted, closed = (of.histograms()["n_jet"] for of in runs.values())
    variations = list(closed.axes["variation"])
    assert variations == ["nominal", *(f"bjet_{key}" for key in sorted(KEYS[1:]))]
    for variation in variations:
        before = plain["tt", "all", "nominal", :].values()
        assert not np.allclose(weighted["tt", "all", variation, :].values(), before, rtol=0.01)
        found = closed["tt", "all", variation, :].values()
        np.testing.assert_allclose(found, before, rtol=1e-9)


def test_other_processes_have_the_normalisation_of_all_together(made):
    folder, runs = made
    factors = evaluator(folder / "normalisation.json.gz", "normalisation")
    _, weighted, closed = (of.histograms()["n_jet"] for of in runs.values())
    scaled = [of.normalised_histograms()["n_jet"] for of in runs.values()]
    for key in KEYS:
        variation = "nominal" if key == "central" else f"bjet_{key}"
        sums = [
            sum(h[n, "all", v, :].values() for n in ("tt", "dy", "dy_2"))
            for h, v in zip(scaled[:2], ("nominal", variation), strict=True)
        ]
        found = [factors.evaluate(key, float(number)) for number in range(4)]
        np.testing.assert_allclose(found, sums[0] / sums[1], rtol=1e-9)
        before, after = (h["dy", "all", variation, :].values() for h in (weighted, closed))
        np.testing.assert_allclose(after, before * found, rtol=1e-9)


def filled(values):
    histogram = hist.Hist(hist.axis.Regular(3, -0.5, 2.5), storage=hist.storage.Weight())
    histogram.view()["value"] = values
    return histogram


def test_bins_without_positive_sums_have_no_factor():
    made = btag_normalisation(
        filled([4.0, 0.0, -1.0]), {"central": filled([2.0, 0.0, 3.0])}, "normalisation"
    )
    factors = made.correction.to_evaluator()
    assert [factors.evaluate("central", n) for n in (0.0, 1.0, 2.0)] == [2.0, 1.0, 1.0]
    assert made.notes == ("central: 1 bins have no positive Σw; the factor is 1",)
    other = hist.Hist(hist.axis.Regular(2, -0.5, 2.5), storage=hist.storage.Weight())
    with pytest.raises(CorrectionsError, match="are in different bins"):
        btag_normalisation(other, {"central": filled([1.0, 1.0, 1.0])}, "n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--histogram", "none"), "has no histogram 'none'; there are: n"),
        (("--weight", "none"), "histogram 'n_jet' has no variations of a weight 'none'"),
    ],
)
def test_mistakes_are_one_line(made, bphcoffea, words, message):
    folder, _ = made
    given = {"--histogram": "n_jet", "--weight": "bjet", "--without": folder / "without"}
    given |= dict([words])
    options = [word for pair in given.items() for word in pair]
    ended = bphcoffea(
        *("corrections", "btag-normalisation", folder / "weighted", *options),
        *("-o", folder / "x.json"),
    )
    assert ended.status == 2
    assert message in ended.err


def test_a_normalisation_must_have_all_variations(made, tmp_path):
    stored(
        tmp_path / "sf.json",
        shape(),
        correction(
            "normalisation",
            {"systematic": "string", "n_jets": "real"},
            category("systematic", {"central": binning("n_jets", [0.0, 9.0], [1.0])}),
        ),
    )
    path = tmp_path / "era.toml"
    more = 'normalisation = "normalisation"\n'
    path.write_text(f'name = "2018"\neras = ["*"]\n{TOML}{more}')
    with pytest.raises(CorrectionsError, match="normalisation_file and normalisation need each"):
        load_corrections([path])
    path.write_text(path.read_text() + 'normalisation_file = "sf.json"\n')
    with pytest.raises(CorrectionsError, match="has no normalisation of the variation 'hfUp'"):
        load_corrections([path])
