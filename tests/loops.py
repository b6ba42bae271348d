"""What the loops over events have in common: counting steps, triggers, angles."""

import math


def run_steps(events, event_steps, steps, number_of_candidates, event_passes, passes):
    """Count events and candidates that pass steps one after the other.

    Parameters
    ----------
    events
        Dictionaries of branches.
    event_steps, steps
        Names of the steps that look at no candidate, and of all: the former come first, and count
        an event with or without candidates.
    number_of_candidates, event_passes, passes
        Functions of an event, of a step and an event, and of a step, an event and a candidate.

    Returns
    -------
    The cutflow as rows, and for each event that passes all steps the event and its survivors.
    """
    n_events = dict.fromkeys(steps, 0)
    n_candidates = dict.fromkeys(steps, 0)
    survivors = []
    for event in events:
        alive = list(range(number_of_candidates(event)))
        for step in steps:
            if step in event_steps:
                if not event_passes(step, event):
                    break
            else:
                alive = [i for i in alive if passes(step, event, i)]
                if not alive:
                    break
            n_events[step] += 1
            n_candidates[step] += len(alive)
        else:
            survivors.append((event, alive))
    rows = [
        {
            "step": s,
            "events": n_events[s],
            "candidates": n_candidates[s],
            "sumw": float(n_events[s]),
        }
        for s in steps
    ]
    return rows, survivors


def fired(names, decisions, prefixes):
    return any(
        decision == 1 and any(name.startswith(prefix) for prefix in prefixes)
        for name, decision in zip(names, decisions, strict=True)
    )


def delta_r(eta1, phi1, eta2, phi2):
    delta_phi = phi1 - phi2
    while delta_phi >= math.pi:
        delta_phi -= 2 * math.pi
    while delta_phi < -math.pi:
        delta_phi += 2 * math.pi
    return math.sqrt((eta1 - eta2) ** 2 + delta_phi**2)
