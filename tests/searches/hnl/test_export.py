"""Datacards and workspaces of a limit: their content, and which ones a folder keeps."""

import json

import pyhf
import pytest

from bphcoffea import statistics
from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder
from bphcoffea.searches.ds_yield import DsYield
from bphcoffea.searches.hnl.limit_record import (
    CategoryCount,
    MassLimit,
    MixingLimit,
    MixingPoint,
    SignalYield,
)
from bphcoffea.searches.hnl.search import HeavyNeutralLepton
from bphcoffea.statistics.backgrounds import Shape
from bphcoffea.statistics.counting import Channel
from bphcoffea.statistics.datacards import datacard
from bphcoffea.statistics.exclusion import Range


def test_a_datacard_says_what_the_channels_do():
    channels = [
        Channel("A", 2.0, 10.0, 12, 2.0, 1.0, signal_stat=0.1, signal_shifts={"width": -0.2}),
        Channel("B", 1.0, 0.0, 0, 0.4, signal_shifts={"width": 0.1}),
    ]
    rows = [line.split() for line in datacard(channels, {"lumi": 0.025}).splitlines()]
    table = {row[0]: row[1:] for row in rows if row}
    # 10 ± 2 are 25 events, each worth 0.4; nothing was seen beside B, where one would be worth 0.4
    assert table["bin"] == ["A", "A", "B", "B", "A_sidebands", "B_sidebands"]
    assert table["observation"] == ["12", "0", "25", "0"]
    assert table["rate"] == ["2", "10", "1", "0.4", "25", "1"]
    assert table["lumi"] == ["lnN", "1.025", "-", "1.025", "-", "-", "-"]
    assert table["width"] == ["lnN", "0.8", "-", "1.1", "-", "-", "-"]
    assert table["signal_statistics_A"] == ["lnN", "1.1", "-", "-", "-", "-", "-"]
    assert table["background_shape_A"] == ["lnN", "-", "1.1", "-", "-", "-", "-"]
    assert "signal_statistics_B" not in table
    scaled = [(row[0], row[2]) for row in rows if row[1:2] == ["rateParam"]]
    assert scaled == [(f"background_{c}", bin_) for c in "AB" for bin_ in (c, f"{c}_sidebands")]


def category(observed):
    """Background of a category whose sidebands predict 10 ± 2 ± 1 events."""
    range_ = (0.5, 1.5)
    shapes = (
        Shape("polynomial", 0, range_, (1.0,), ((1.0,),), 0.0, 10.0, 2.0),
        Shape("exponential", 1, range_, (1.0, 0.0), ((1.0, 0.0), (0.0, 1.0)), 0.0, 11.0, 2.0),
    )
    return CategoryCount(
        1.0, 0.01, (0.9, 1.1), ((0.5, 0.9),), 99, shapes, (), 0, 1, 5.0, 4, 0.3, (), observed
    )


def limit_of(masses, observed, events=2.0):
    """Limit with one category and two points per mass, at which a signal is predicted."""
    five = (0.1, 0.2, 0.3, 0.4, 0.5)
    points = tuple(
        MixingPoint(
            1.0, None, five, None, None,
            mixing=mixing, ctau=1.0, signal={"A": SignalYield(events, 0.1, {}, None)},
        )
        for mixing in (1e-4, 1e-3)
    )  # fmt: skip
    ranges = None if observed is None else (Range(1e-4, 2e-4, True, False),)
    hypotheses = tuple(
        MassLimit(
            mass, 0.01, {}, {"A": category(observed)}, 0.95, points, ranges,
            ((), (), (Range(2e-4, 1e-3, False, True),), (), ()),
        )
        for mass in masses
    )  # fmt: skip
    blinded = observed is None
    normalisation = DsYield(500.0, 50.0, 0.25, 0.01)
    return MixingLimit(
        blinded, blinded, (), 0.95, "majorana", 0, True, False, normalisation, hypotheses
    )


def test_a_limit_is_its_json_and_is_shown_in_notebooks():
    limit = limit_of((1.0, 1.25), 37)
    assert MixingLimit.from_json(json.loads(json.dumps(limit.as_json()))) == limit
    assert repr(limit) == "MixingLimit(majorana N of 1, 1.25 GeV, 95% CL, observed)"
    table = limit._repr_html_()
    cells = ("1.25", "0.0002 to 0.001 or more", "≤ 0.0001 to 0.0002")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in table
    assert "<td>blinded</td>" in limit_of((1.0,), None)._repr_html_()


def test_export_removes_what_an_earlier_limit_left(tmp_path):
    (tmp_path / "ledger.json").write_text("{}")
    run = RunFolder(tmp_path)

    def set_limit(masses, observed):
        run.write("limit.json", limit_of(masses, observed).as_json())

    search = HeavyNeutralLepton()
    set_limit((1.0, 1.25), 37)
    assert search.windows(run) == [(0.9, 1.1)] * 2
    assert len(search.export(run, "combine")) == len(search.export(run, "pyhf")) == 4
    cards = tmp_path / "datacards"
    for name in ("mine.txt", "m1_V2_mine.json", "combined.root"):
        (cards / name).write_text("37")
    mine = set(cards.glob("*mine*")) | {cards / "combined.root"}
    set_limit((1.0,), None)
    written = search.export(run, "combine")
    assert set(cards.iterdir()) == {*written, *mine}
    assert not [path for path in written if "37" in path.read_text()]
    # both formats of one limit stand beside each other
    workspaces = search.export(run, "pyhf")
    assert set(cards.iterdir()) == {*written, *mine, *workspaces, cards / "strengths.json"}
    assert len(list(cards.glob("m1_V2_1*"))) == 4
    with pytest.raises(FitError, match="no parametric model"):
        search.export(run, "roofit")


@pytest.fixture
def plain_pyhf():
    """Restore pyhf's default backend."""
    yield pyhf
    pyhf.set_backend("numpy")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of jsonschema, which pyhf uses
@pytest.mark.parametrize(
    ("events", "optimizer"), [(0.02, "scipy"), (5.0, "minuit"), (1e5, "scipy"), (1e5, "minuit")]
)
def test_plain_pyhf_finds_our_limit(tmp_path, plain_pyhf, events, optimizer):
    """At mixings with next to no signal, with a few events, and with so many that fits failed."""
    (tmp_path / "ledger.json").write_text("{}")
    run = RunFolder(tmp_path)
    limit = limit_of((1.0,), 12, events)
    run.write("limit.json", limit.as_json())
    path = HeavyNeutralLepton().export(run, "pyhf")[0]
    about = json.loads((path.parent / "strengths.json").read_text())[path.stem]
    scale = about["signal_scale"]
    assert about["mixing"] == 1e-4
    assert f"a strength of 1 is {scale:g} times the signal" in about["meaning"]
    own = statistics.upper_limit(limit.workspace(1.0, 1e-4), toys=0)
    # the bounds that pyhf gives a strength are 0 and 10
    assert 0.1 < own.observed / scale < 10
    workspace = pyhf.Workspace(json.loads(path.read_text()))
    model = workspace.model()
    plain_pyhf.set_backend("numpy", optimizer)
    for strength, medians in ((own.observed, False), (own.expected[2], True)):
        # CLs falls through 5% within 1% of the limit
        stronger, weaker = (
            pyhf.infer.hypotest(
                factor * strength / scale, workspace.data(model), model, return_expected=True
            )[medians]
            for factor in (1.01, 0.99)
        )
        assert stronger < 0.05 < weaker
    # the card is of the same signal
    card = HeavyNeutralLepton().export(run, "combine")[0].read_text()
    assert f"\n# {about['meaning']}\n" in card
    rates = next(line.split() for line in card.splitlines() if line.startswith("rate"))
    assert float(rates[1]) == pytest.approx(scale * events)
