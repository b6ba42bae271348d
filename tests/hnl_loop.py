"""Ds → μN, N → μπ, event by event: slow, obvious, and written without the library.

The oracle of ``processors/hnl.py``. Every line of the specification is one line here.
"""

import math

PATHS = (
    *("mu7_ip4", "mu8_ip3", "mu8p5_ip3p5", "mu8_ip5", "mu8_ip6"),
    *("mu9_ip4", "mu9_ip5", "mu9_ip6", "mu10p5_ip3p5", "mu12_ip6"),
)
#: Significance of the flight, impact parameter of the pion, and its significance of the muon.
CATEGORIES = {
    "SSlxy0to1": (35.3, 0.03, 2.8),
    "SSlxy1to5": (107.0, 0.03, 2.6),
    "SSlxy5toInf": (191.8, 0.03, 3.0),
    "OSlxy0to1": (38.2, 0.05, 3.5),
    "OSlxy1to5": (120.5, 0.03, 2.2),
    "OSlxy5toInf": (255.0, 0.03, 3.4),
}
CUTS = ("trigger", "soft_id", "hnl_charge", "category")


def steps_of(signal):
    return ("all", "gen_match", *CUTS, "gen_best") if signal else ("all", *CUTS)


def run_loop(events, signal):
    """Select events that are dictionaries of branches.

    Returns
    -------
    The cutflow as rows of step, events and candidates, those of each category after the last cut,
    and (run, lumi, event, category, masses) of each best candidate, sorted.
    """
    counts = {step: [0, 0] for step in steps_of(signal)}
    of_category = {name: [0, 0] for name in CATEGORIES}
    selected = []
    for event in events:
        alive = list(range(len(event["C_Hnl_mass"])))
        counts["all"][0] += 1
        counts["all"][1] += len(alive)
        if signal:
            if not any(is_generated(event, i) for i in alive):
                alive = []
            count(counts["gen_match"], alive)
        for cut in CUTS:
            alive = [i for i in alive if passes(cut, event, i)]
            count(counts[cut], alive)
        for name in CATEGORIES:
            count(of_category[name], [i for i in alive if category_of(event, i) == name])
        if not alive:
            continue
        best = min(alive, key=lambda i: abs(event["C_Ds_mass"][i] - 1.96835))  # first of equals
        if signal:
            if not is_generated(event, best):
                continue
            count(counts["gen_best"], [best])
        selected.append(
            (
                *(event["run"], int(event["lumi"]), event["event"]),
                category_of(event, best),
                *(event["C_Hnl_mass"][best], event["C_Ds_mass"][best]),
            )
        )
    rows = [
        {"step": step, "events": events, "candidates": candidates}
        for step, (events, candidates) in counts.items()
    ]
    return rows, of_category, sorted(selected)


def count(totals, alive):
    totals[0] += bool(alive)
    totals[1] += len(alive)


def is_generated(event, i):
    flags = ("C_mu_Hnl_isHnlDaughter", "C_mu_Ds_isHnlBrother", "C_pi_isHnlDaughter")
    return all(event[flag][i] > 0 for flag in flags)


def passes(cut, event, i):
    if cut == "trigger":
        return any(
            fired(event, i, leg, j, path)
            for path in PATHS
            for j in range(len(event["HLT_mu_trig_idx"]))
            for leg in ("Ds", "Hnl")
        )
    if cut == "soft_id":
        return event["C_mu_Hnl_isSoft"][i] > 0 and event["C_mu_Ds_isSoft"][i] > 0
    if cut == "hnl_charge":
        return event["C_mu_Hnl_charge"][i] + event["C_pi_charge"][i] == 0
    name = category_of(event, i)
    if name is None:
        return False
    flight, pion, muon = CATEGORIES[name]
    return (
        event["C_Hnl_vertex_2DSig_BS"][i] > flight
        and abs(event["C_pi_BS_ip_xy"][i]) > pion
        and event["C_mu_Hnl_BS_ips_xy"][i] > muon
    )


def fired(event, i, leg, j, path):
    pt = event[f"C_mu_{leg}_pt"][i]
    at_trigger = event[f"HLT_{path}_pt"][j]
    if event["HLT_mu_trig_idx"][j] != event[f"C_mu_{leg}_idx"][i]:
        return False
    if not event[f"HLT_{path}_matched"][j] > 0:
        return False
    return (
        event[f"HLT_{path}_dr"][j] < 0.05
        and abs(at_trigger - pt) / pt < 0.1
        and at_trigger > 7.5
        and abs(event[f"HLT_{path}_eta"][j]) < 1.45
    )


def category_of(event, i):
    sign = event["C_mu_Hnl_charge"][i] * event["C_mu_Ds_charge"][i]
    lxy = event["C_Hnl_vertex_2DDist_BS"][i]
    if sign == 0 or not lxy >= 0:
        return None
    side = "SS" if sign > 0 else "OS"
    for name, low, high in (("0to1", 0, 1), ("1to5", 1, 5), ("5toInf", 5, math.inf)):
        if low <= lxy < high or (lxy == high == math.inf):
            return f"{side}lxy{name}"
    return None
