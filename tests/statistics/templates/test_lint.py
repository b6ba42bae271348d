"""What the checks of templates find, and what they leave alone."""

import numpy as np

from bphcoffea.analysis import StatisticalErrors, TemplateFit
from bphcoffea.statistics.templates.collection import Collection
from bphcoffea.statistics.templates.lint import lint
from bphcoffea.statistics.templates.template import Sides, Template, TemplateChannel, Varied

NOMINAL = np.array([40.0, 30.0, 20.0, 10.0])
PRECISE = np.diag(NOMINAL) / 1e4
SOUND = Sides(
    Varied(NOMINAL * [1.1, 1.0, 1.0, 0.9], PRECISE), Varied(NOMINAL * [0.9, 1.0, 1.0, 1.1], PRECISE)
)


def found(variations, nominal=NOMINAL, eras=("",), others=None, lacking=None):
    """Kinds of the findings of a background, with where they are."""
    fit = TemplateFit(histogram="x", regions="r", signal="s", name="m")
    channels = []
    for era in eras:
        of_era = variations.get(era, {}) if era else variations
        templates = {
            "s": Template(NOMINAL, NOMINAL, {"v": SOUND} if others is None else others),
            "b": Template(nominal, np.abs(nominal), of_era, lacking or {}),
        }
        channels.append(
            TemplateChannel(
                *(f"r{era}", "r", era, "x", np.arange(5.0), "x", templates),
                *(NOMINAL, np.zeros(4, dtype=bool)),
            )
        )
    collection = Collection(tuple(channels), {"s": ("s",), "b": ("b",)}, ("s",))
    return [(f.kind, f.variation, f.text) for f in lint(fit, collection)]


def sides(up, down, covariance=PRECISE):
    return Sides(*(None if v is None else Varied(np.array(v), covariance) for v in (up, down)))


def kinds(findings):
    return [kind for kind, *_ in findings]


def test_sound_templates_have_no_findings():
    assert found({"v": SOUND}) == []


def test_contents():
    findings = found({"v": SOUND}, np.array([5.0, 0.0, -1.0, 2.0]))
    assert ("empty", "", "no background is expected in bins 1, 2; merge them") in findings
    assert ("empty", "", "bins 1 are empty") in findings
    assert ("negative", "", "bins 2 are negative") in findings
    assert ("empty", "", "has no events") in found({}, np.zeros(4), others={})


def test_variations_that_do_nothing_or_too_much():
    assert kinds(found({"v": sides(NOMINAL, NOMINAL)})) == ["identical"]
    ((kind, _, text),) = found({"v": sides(NOMINAL * [1.1, 1, 1, 0.9], NOMINAL)})
    assert (kind, text) == ("identical", "its down side is identical to the nominal template")
    ((kind, _, text),) = found({"v": sides(NOMINAL * [1, 1, 1, 3], NOMINAL * [1, 1, 1, 0.9])})
    assert (kind, text) == ("large", "changes bins 3 by more than 100%")
    findings = found(
        {"v": sides(NOMINAL - np.array([0, 0, 0, 11]), NOMINAL + np.array([0, 0, 0, 5]))}
    )
    assert kinds(findings) == ["large", "negative"]


def test_one_sided_variations():
    ((kind, _, text),) = found({"v": sides(NOMINAL * [1.1, 1, 1, 0.9], None)})
    assert (kind, text) == ("one-sided", "has the side up only")
    both = sides(NOMINAL * [1.1, 1, 1, 0.9], NOMINAL * [1.2, 1, 1, 1.1])
    ((kind, _, text),) = found({"v": both})
    assert (kind, text) == ("one-sided", "both sides change bins 0 in the same direction")
    # within the statistical uncertainty of the difference
    noisy = sides(NOMINAL * [1.1, 1, 1, 0.9], NOMINAL * [1.2, 1, 1, 1.1], np.diag(NOMINAL))
    assert "one-sided" not in kinds(found({"v": noisy}))


def test_fluctuations():
    change = NOMINAL + np.array([1, -1, 1, -1])
    assert kinds(found({"v": sides(change, 2 * NOMINAL - change, np.diag(NOMINAL))})) == [
        "not significant"
    ]
    moved = sides(1.3 * change, 0.7 * (2 * NOMINAL - change), np.diag(NOMINAL) / 10)
    assert kinds(found({"v": moved})) == ["noisy shape"]
    unknown = sides(change, 2 * NOMINAL - change, None)
    assert found({"v": unknown}) == []


def test_missing_variations():
    assert found({}) == [("missing", "v", "missing for b")]
    assert found({"v": SOUND}, others={}) == [("missing", "v", "missing for s")]
    by_era = {"A": {"v": SOUND}, "B": {}}
    assert found(by_era, eras=("A", "B")) == [("missing", "v", "missing in the era B")]
    assert found({"v": SOUND}, lacking={"v": ("part_mc",)}) == [
        ("missing", "v", "missing for part_mc")
    ]


def test_a_signal_that_dominates_the_statistical_uncertainty():
    templates = {
        "s": Template(np.array([0.0, 100.0]), np.array([0.0, 400.0])),
        "b": Template(np.array([50.0, 50.0]), np.array([25.0, 25.0])),
    }
    channel = TemplateChannel(
        *("r", "r", "", "x", np.arange(3.0), "x", templates, np.ones(2), np.zeros(2, dtype=bool))
    )
    collection = Collection((channel,), {}, ("s",))
    fit = TemplateFit(histogram="x", regions="r")
    # 20.6/150 instead of 5/50
    assert "signal statistics" not in kinds_of(fit, collection)
    templates["s"] = Template(np.array([0.0, 100.0]), np.array([0.0, 900.0]))
    assert "signal statistics" in kinds_of(fit, collection)
    without = fit.model_copy(update={"statistics": StatisticalErrors(signal=False)})
    assert "signal statistics" not in kinds_of(without, collection)


def kinds_of(fit, collection):
    return [finding.kind for finding in lint(fit, collection)]


def test_declarations_without_effect():
    template = {"s": Template(NOMINAL, NOMINAL), "b": Template(NOMINAL, NOMINAL)}
    channel = TemplateChannel(
        *("r", "r", "", "x", np.arange(5.0), "x", template, NOMINAL, np.zeros(4, dtype=bool))
    )
    fit = TemplateFit(
        histogram="x",
        regions=("all", "r"),
        variations=({"names": "jes_*"},),
        envelopes=({"name": "e", "of": "mu*"},),
    )
    collection = Collection((channel,), {}, ("s",), ("other_mc",), {("r", "q"): 12})
    texts = [str(finding) for finding in lint(fit, collection)]
    assert texts == [
        "overlap: the region 'all' contains the events of all others",
        "overlap: the regions 'r' and 'q' share 12 simulated events, which the likelihood takes "
        "for independent ones",
        "unused: simulation of no process: other_mc",
        "unused: no variation matches 'jes_*'",
        "unused: no variation matches 'mu*'",
    ]
