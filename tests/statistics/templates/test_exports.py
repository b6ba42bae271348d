"""The workspace and the datacard of a model are the same likelihood."""

import json

import numpy as np
import pyhf
import pytest
from combine_card import CombineCard

from bphcoffea.analysis import TemplateFit
from bphcoffea.results import RunFolder
from bphcoffea.statistics import build_model
from bphcoffea.statistics.pyhf_backend import backend, schemas

MODEL = TemplateFit(
    histogram="met",
    regions=("sr", "cr"),
    rebin=(0, 25, 50, 100),
    normalisations=(
        {"name": "lumi", "size": 0.025},
        {"name": "fakes", "size": (0.85, 1.3), "processes": "w_jets"},
    ),
    free=({"name": "norm_top", "processes": "top"},),
    variations=({"names": ("smear", "cross_section_w_jets"), "exclude": True},),
)
CODES = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}


@pytest.fixture(scope="module")
def written(template_folder, tmp_path_factory):
    built = build_model(MODEL, [RunFolder(template_folder / "2022" / "results")])
    return built, built.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def card(written):
    return CombineCard(written[1] / "combine" / "datacard.txt")


@pytest.fixture(scope="module")
def workspace(written):
    spec = json.loads((written[1] / "workspace.json").read_text())
    with schemas():
        return pyhf.Workspace(spec)


def model_of(workspace, codes=CODES):
    with schemas():
        return workspace.model(modifier_settings=codes)


def test_model_has_five_nuisance_parameters_of_both_kinds(written, card):
    assert written[0].model.nuisances == ("tilt", "scale", "lumi", "top_pt", "fakes")
    kinds = {name: kind for name, (kind, _) in card.sources.items()}
    assert kinds == {
        "tilt": "shape",
        "scale": "shape",
        **dict.fromkeys(("lumi", "top_pt", "fakes"), "lnN"),
    }
    assert list(card.free) == ["norm_top"]
    assert len(card.bins) == 6


@pytest.mark.parametrize("yields", ["code1", "code4"])
def test_expected_events_agree_where_parameters_are_moved(card, workspace, yields):
    model = model_of(workspace, CODES | {"normsys": {"interpcode": yields}})
    rng = np.random.default_rng(0)
    for _ in range(20):
        pulls = {name: rng.normal(0, 1.2) for name in card.sources}
        values = {"r": 1.0, "norm_top": rng.uniform(0.5, 1.5)} | pulls
        values |= dict.fromkeys(card.bins, 0.0)
        pars = np.array(model.config.suggested_init())
        for name, value in values.items():
            name = {"r": "mu"}.get(name, name)
            if name in model.config.par_map:
                pars[model.config.par_slice(name)] = value
        expected = card.expected(values)
        found = dict(
            zip(model.config.channels, np.split(model.expected_actualdata(pars), 2), strict=True)
        )
        for channel in card.channels:
            # asymmetric factors differ within half a standard deviation
            np.testing.assert_allclose(found[channel], expected[channel], rtol=0.012)


def test_strength_error_and_limit_agree(card, workspace):
    model = model_of(workspace)
    data = workspace.data(model)
    with backend(pyhf.optimize.minuit_optimizer()):
        pars, _ = pyhf.infer.mle.fit(data, model, return_uncertainties=True, return_result_obj=True)
        # pyhf excludes a strength 1% above the limit, and none 1% below it
        limit = card.limit()
        tested = [float(pyhf.infer.hypotest(limit * scale, data, model)) for scale in (0.99, 1.01)]
    strength, error = pars[model.config.poi_index]
    _, values, card_error = card.fit()
    assert 0.3 < strength < 2.5
    assert values["r"] == pytest.approx(strength, rel=0.01)
    assert card_error == pytest.approx(error, rel=0.01)
    assert tested[0] > 0.05 > tested[1]
    for name in card.sources:
        ((pull, _),) = pars[model.config.par_slice(name)]
        # the interpolation of an asymmetric factor near 0 defines what its pull is
        assert values[name] == pytest.approx(pull, abs=0.05 if name == "fakes" else 0.02)
