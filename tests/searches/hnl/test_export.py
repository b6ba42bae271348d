"""Datacards and workspaces of a limit: their content, and which ones a folder keeps."""

from bphcoffea.results import RunFolder
from bphcoffea.searches.hnl.export import export_limit
from bphcoffea.statistics.counting import Channel
from bphcoffea.statistics.datacards import datacard


def test_a_datacard_says_what_the_channels_do():
    channels = [
        Channel("A", 2.0, 10.0, 12, 0.1, 2.0, 1.0, {"width": -0.2}),
        Channel("B", 1.0, 0.0, 0, 0.0, 0.4, 0.0, {"width": 0.1}),
    ]
    rows = [line.split() for line in datacard(channels, {"lumi": 0.025}).splitlines()]
    table = {row[0]: row[1:] for row in rows if row}
    assert table["observation"] == ["12", "0"]
    assert table["rate"] == ["2", "10", "1", "0"]
    assert table["lumi"] == ["lnN", "1.025", "-", "1.025", "-"]
    assert table["width"] == ["lnN", "0.8", "-", "1.1", "-"]
    assert table["signal_stat_A"] == ["lnN", "1.1", "-", "-", "-"]
    # 10 ± 2 are 25 events, each worth 0.4; nothing was seen in B, where one would be worth 0.4
    assert table["background_A"] == ["gmN", "25", "-", "0.4", "-", "-"]
    assert table["background_B"] == ["gmN", "0", "-", "-", "-", "0.4"]
    assert table["shape_A"] == ["lnN", "-", "1.1", "-", "-"]
    assert "signal_stat_B" not in table


def test_export_removes_what_an_earlier_limit_left(tmp_path):
    fit = {"prediction": 10.0, "stat": 2.0, "shape_uncertainty": 1.0, "observed": None}
    points = [
        {"mixing": v2, "signal": {"A": {"events": 2.0, "stat": 0.1, "shifts": {}}}}
        for v2 in (1e-4, 1e-3)
    ]
    hypotheses = [{"mass": m, "categories": {"A": fit}, "points": points} for m in (1.0, 1.25)]
    for hypothesis in hypotheses:
        hypothesis["uncertainties"] = {}
    (tmp_path / "ledger.json").write_text("{}")
    run = RunFolder(tmp_path)

    def set_limit(hypotheses, observed):
        for hypothesis in hypotheses:
            hypothesis["categories"] = {"A": {**fit, "observed": observed}}
        run.write("limit.json", {"blinded": observed is None, "hypotheses": hypotheses})

    set_limit(hypotheses, 37)
    assert len(export_limit(run, "combine")) == len(export_limit(run, "pyhf")) == 4
    cards = tmp_path / "datacards"
    for name in ("mine.txt", "m1_V2_mine.json", "combined.root"):
        (cards / name).write_text("37")
    mine = set(cards.glob("*mine*")) | {cards / "combined.root"}
    set_limit(hypotheses[:1], None)
    written = export_limit(run, "combine")
    assert set(cards.iterdir()) == {*written, *mine}
    assert not [path for path in written if "37" in path.read_text()]
    # both formats of one limit stand beside each other
    assert set(cards.iterdir()) | set(export_limit(run, "pyhf")) == set(cards.iterdir())
    assert len(list(cards.glob("m1_V2_1*"))) == 4
