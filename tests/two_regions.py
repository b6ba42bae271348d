"""A model of two regions with five nuisance parameters, for tests and the benchmark of coverage."""

import numpy as np

#: Peaking signal over a falling background in four bins, and three bins without signal.
SIGNAL = (4.0, 16.0, 14.0, 5.0)
TOP = {"signal_region": (60.0, 45.0, 30.0, 20.0), "control_region": (150.0, 120.0, 90.0)}
OTHER = {"signal_region": (20.0, 18.0, 14.0, 9.0), "control_region": (25.0, 20.0, 15.0)}


def two_regions(observed=None):
    """Return the workspace; by default, its data are the expectation rounded up."""
    channels, observations = [], []
    for region, top in TOP.items():
        other = OTHER[region]
        samples = [
            sample("top", top, [free("top_norm"), *shape("scale", top, 0.06)]),
            sample("other", other, [factor("theory", 1.15, 0.87), factor("lumi", 1.02, 0.98)]),
        ]
        total = np.add(top, other)
        if region == "signal_region":
            modifiers = [free("mu"), factor("tagging", 1.06, 0.95), factor("lumi", 1.02, 0.98)]
            samples.append(sample("signal", SIGNAL, [*modifiers, *shape("scale", SIGNAL, -0.05)]))
            total = total + SIGNAL
        samples[0]["modifiers"] += [
            factor("tagging", 1.04, 0.97),
            *shape("parton_shower", top, 0.1),
        ]
        channels.append({"name": region, "samples": samples})
        observations.append({"name": region, "data": np.ceil(total).tolist()})
    if observed is not None:
        for entry in observations:
            entry["data"] = list(observed[entry["name"]])
    parameters = [{"name": "mu", "inits": [1.0], "bounds": [[-5.0, 10.0]]}]
    config = {"poi": "mu", "parameters": parameters}
    return {
        "channels": channels,
        "observations": observations,
        "measurements": [{"name": "observed", "config": config}],
        "version": "1.0.0",
    }


def sample(name, contents, modifiers):
    errors = (0.04 * np.sqrt(np.array(contents) * 10)).tolist()
    modifiers = [*modifiers, {"name": f"stat_{len(contents)}", "type": "staterror", "data": errors}]
    return {"name": name, "data": list(contents), "modifiers": modifiers}


def free(name):
    return {"name": name, "type": "normfactor", "data": None}


def factor(name, high, low):
    return {"name": name, "type": "normsys", "data": {"hi": high, "lo": low}}


def shape(name, contents, size):
    """A tilt of the contents, asymmetric."""
    tilt = size * np.linspace(-1, 1, len(contents))
    moved = {
        "hi_data": (np.array(contents) * (1 + tilt)).tolist(),
        "lo_data": (np.array(contents) * (1 - 0.8 * tilt)).tolist(),
    }
    return [{"name": name, "type": "histosys", "data": moved}]
