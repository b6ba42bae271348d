"""The truth of the toy of Ds → μN, N → μπ, and the small samples, against a loop over the files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import uproot

from bphcoffea.toys import TOYS
from bphcoffea.toys.hnl import SAMPLES, HnlToy

DATA = Path(__file__).parents[1] / "data"
EXPECTED = json.loads((DATA / "expected.json").read_text(encoding="utf-8"))
PATHS = (
    *("mu7_ip4", "mu8_ip3", "mu8p5_ip3p5", "mu8_ip5", "mu8_ip6"),
    *("mu9_ip4", "mu9_ip5", "mu9_ip6", "mu10p5_ip3p5", "mu12_ip6"),
)
#: Name, and lower bounds of the significance of the decay length, of the pion's impact parameter,
#: and of the significance of the muon's.
CUTS = {
    "SSlxy0to1": (35.3, 0.03, 2.8),
    "SSlxy1to5": (107.0, 0.03, 2.6),
    "SSlxy5toInf": (191.8, 0.03, 3.0),
    "OSlxy0to1": (38.2, 0.05, 3.5),
    "OSlxy1to5": (120.5, 0.03, 2.2),
    "OSlxy5toInf": (255.0, 0.03, 3.4),
}


def read(path: Path) -> list[dict[str, Any]]:
    with uproot.open(path) as file:
        return file[HnlToy.tree].arrays().tolist()


def fires(event: dict[str, Any], i: int) -> bool:
    for j, index in enumerate(event["HLT_mu_trig_idx"]):
        for path in PATHS:
            online = event[f"HLT_{path}_pt"][j]
            if event[f"HLT_{path}_matched"][j] <= 0 or event[f"HLT_{path}_dr"][j] >= 0.05:
                continue
            if online <= 7.5 or abs(event[f"HLT_{path}_eta"][j]) >= 1.45:
                continue
            for muon in ("Ds", "Hnl"):
                pt = event[f"C_mu_{muon}_pt"][i]
                if event[f"C_mu_{muon}_idx"][i] == index and abs(online - pt) / pt < 0.1:
                    return True
    return False


def category(event: dict[str, Any], i: int) -> str:
    length = event["C_Hnl_vertex_2DDist_BS"][i]
    sign = "SS" if event["C_mu_Hnl_charge"][i] * event["C_mu_Ds_charge"][i] > 0 else "OS"
    if length < 1:
        return f"{sign}lxy0to1"
    return f"{sign}lxy1to5" if length < 5 else f"{sign}lxy5toInf"


def matched(event: dict[str, Any], i: int) -> bool:
    flags = ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")
    return all(event[flag][i] > 0 for flag in flags)


def passes(event: dict[str, Any], i: int, step: str) -> bool:
    match step:
        case "gen_match":
            return any(matched(event, other) for other in range(len(event["C_Hnl_mass"])))
        case "trigger":
            return fires(event, i)
        case "soft_id":
            return event["C_mu_Hnl_isSoft"][i] > 0 and event["C_mu_Ds_isSoft"][i] > 0
        case "hnl_charge":
            return event["C_mu_Hnl_charge"][i] + event["C_pi_charge"][i] == 0
    significance, ip, of_muon = CUTS[category(event, i)]
    return (
        event["C_Hnl_vertex_2DSig_BS"][i] > significance
        and abs(event["C_pi_BS_ip_xy"][i]) > ip
        and event["C_mu_Hnl_BS_ips_xy"][i] > of_muon
    )


def loop(events: list[dict[str, Any]], is_signal: bool) -> tuple[list[list[Any]], Counter[str]]:
    """Return events and candidates after each step, and events in each category."""
    steps = ["trigger", "soft_id", "hnl_charge", "category"]
    if is_signal:
        steps.insert(0, "gen_match")
    counts = {step: [0, 0] for step in ("all", *steps)}
    categories: Counter[str] = Counter()
    gen_best = 0
    for event in events:
        survivors = list(range(len(event["C_Hnl_mass"])))
        counts["all"][0] += 1
        counts["all"][1] += len(survivors)
        for step in steps:
            survivors = [i for i in survivors if passes(event, i, step)]
            counts[step][0] += len(survivors) > 0
            counts[step][1] += len(survivors)
        if survivors:
            # min takes the first of several
            best = min(survivors, key=lambda i: abs(event["C_Ds_mass"][i] - 1.96835))
            if is_signal and not matched(event, best):
                continue
            gen_best += 1
            categories[category(event, best)] += 1
    if is_signal:
        counts["gen_best"] = [gen_best, gen_best]
    return [[step, *numbers] for step, numbers in counts.items()], categories


def agree(events: list[dict[str, Any]], is_signal: bool, expected: dict[str, Any]) -> None:
    cutflow, categories = loop(events, is_signal)
    assert cutflow == [[s["step"], s["events"], s["candidates"]] for s in expected["cutflow"]]
    assert categories == Counter(expected["categories"])


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return TOYS["hnl_signal"](tmp_path_factory.mktemp("toy"), 4_000, seed=11)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_a_loop_over_the_files_finds_the_truth(toy, sample):
    fileset = json.loads(toy.read_text(encoding="utf-8"))
    truth = json.loads((toy.parent / "truth.json").read_text(encoding="utf-8"))
    events = [e for name in fileset[sample.name]["files"] for e in read(toy.parent / name)]
    agree(events, sample.is_mc, truth[sample.name])


@pytest.mark.parametrize("name", ["wztree_hnl_mc.root", "wztree_hnl_data.root"])
def test_the_small_samples_hold_what_is_noted(name):
    agree(read(DATA / name), "mc" in name, EXPECTED[name])
