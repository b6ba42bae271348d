"""Calibrations of leptons in the interfaces of CMS's files, with numbers that are made up."""

import gzip
import json
from pathlib import Path

import correctionlib.schemav2 as schema
import numpy as np

PI = 3.2
#: Text inputs and numbers of each correction, in the order of the arguments.
INPUTS = {"eta": "real", "phi": "real", "layers": "real", "parameter": "int", "var": "string"}


def store(path, corrections, compound=()):
    content = schema.CorrectionSet.model_validate(
        {
            "schema_version": 2,
            "corrections": list(corrections),
            "compound_corrections": list(compound),
        }
    )
    path.write_text(content.model_dump_json(exclude_unset=True))
    return path


def correction(name, inputs, data):
    return {
        "name": name,
        "version": 1,
        "inputs": [{"name": i, "type": kind} for i, kind in inputs.items()],
        "output": {"name": "value", "type": "real"},
        "data": data,
    }


def choice(variable, contents):
    content = [{"key": key, "value": value} for key, value in contents.items()]
    return {"nodetype": "category", "input": variable, "content": content}


def binned(variable, edges, contents, flow="error"):
    return {
        "nodetype": "binning",
        "input": variable,
        "edges": [float(edge) for edge in edges],
        "content": list(contents),
        "flow": flow,
    }


def grid(rng, axes, centre, spread):
    """A binning of several inputs with random contents."""
    (variable, edges), *others = axes
    contents = [
        grid(rng, others, centre, spread) if others else float(rng.normal(centre, spread))
        for _ in edges[1:]
    ]
    return binned(variable, edges, contents, "clamp")


def scare(path, seed=1, without=()):
    """A file of muonscarekit: curvature and scale, resolution, Crystal Ball, polynomial."""
    rng = np.random.default_rng(seed)
    wide = (("eta", [-2.5, -1, 0, 1, 2.5]), ("phi", [-PI, 0, PI]))
    narrow = (("abseta", [0, 1, 2.5]),)
    layers = (*narrow, ("layers", [0, 6, 9, 12, 25]))
    real = {"eta": "real", "phi": "real"}

    def keyed(name, inputs, axes, **contents):
        data = {key: grid(rng, axes, *content) for key, content in contents.items()}
        return correction(name, {**inputs, "var": "string"}, choice("var", data))

    def parameters(name, *centres):
        data = {number: grid(rng, layers, *centre) for number, centre in enumerate(centres)}
        inputs = {"abseta": "real", "layers": "real", "parameter": "int"}
        return correction(name, inputs, choice("parameter", data))

    corrections = [
        keyed("a_data", real, wide, nom=(0, 3e-4)),
        keyed("m_data", real, wide, nom=(1, 0.01)),
        keyed("a_mc", real, wide, nom=(0, 3e-4), stat=(1e-4, 1e-5)),
        keyed("m_mc", real, wide, nom=(1, 0.01), stat=(0.01, 1e-3), rho_stat=(0, 0.3)),
        keyed("k_data", {"abseta": "real"}, narrow, nom=(1.4, 0.05)),
        keyed("k_mc", {"abseta": "real"}, narrow, nom=(1.0, 0.05), stat=(0.2, 0.01)),
        parameters("cb_params", (0, 0.01), (0.9, 0.05), (6, 0.5), (1.4, 0.1)),
        parameters("poly_params", (0.02, 0.002), (1e-4, 1e-5), (1e-7, 1e-8)),
    ]
    return store(path, [c for c in corrections if c["name"] not in without])


def egamma(path, seed=2):
    """A file of the Egamma POG for Run 3: a compound scale, smearing with uncertainties."""
    rng = np.random.default_rng(seed)
    run, eta = ("run", [0, 357000, 400000]), ("ScEta", [-3, -1.5, 0, 1.5, 3])
    kinds = dict.fromkeys(("run", "ScEta", "r9", "AbsScEta", "pt", "seedGain"), "real")
    of_scale = {"syst": "string", **kinds}
    momenta = ("pt", [20, 35, 50, 9999])
    r9 = ("r9", [-10, 0.94, 10])
    first, second = (
        correction(
            name,
            of_scale,
            choice("syst", {"scale": grid(rng, axes, 1, 0.03), "escale": 0.001}),
        )
        for name, axes in (("Run_ScEta", (run, eta)), ("Pt_R9", (momenta, r9)))
    )
    compound = {
        "name": "EGMScale_Compound_Ele_2022preEE",
        "inputs": first["inputs"],
        "output": first["output"],
        "inputs_update": ["pt"],
        "input_op": "*",
        "output_op": "*",
        "stack": ["Run_ScEta", "Pt_R9"],
    }
    smearing = correction(
        "EGMSmearAndSyst_ElePTsplit_2022preEE",
        {"syst": "string", "pt": "real", "r9": "real", "AbsScEta": "real"},
        choice(
            "syst",
            {
                key: grid(rng, (momenta, r9, ("AbsScEta", [0, 1.5, 3])), centre, centre / 9)
                for key, centre in (("smear", 0.03), ("esmear", 0.01), ("escale", 0.02))
            },
        ),
    )
    return store(path, [first, second, smearing], [compound])


def egamma_run2(path):
    """The uncertainty of the scale of electrons of Run 2."""
    gains = {1: 0.03, 6: 0.02, 12: 0.01}
    data = {
        key: binned(
            "eta",
            [-2.6, 0, 2.6],
            [
                choice("gain", {gain: 1 + sign * side * size for gain, size in gains.items()})
                for side in (1, 2)
            ],
            "clamp",
        )
        for key, sign in (("scaleup", 1), ("scaledown", -1))
    }
    kinds = {"year": "string", "ValType": "string", "eta": "real", "gain": "int"}
    content = choice("year", {"2018": choice("ValType", data)})
    return store(path, [correction("UL-EGM_ScaleUnc", kinds, content)])


def taus(path, seed=3):
    """The energy scale of taus: by decay mode, by η for electrons, a constant for muons."""
    rng = np.random.default_rng(seed)

    def by_mode(make):
        return choice("dm", {mode: make() for mode in (0, 1, 2, 10, 11)})

    def genuine():
        return binned("pt", [20, 40, 1000], rng.normal(1, 0.03, 2).tolist(), "clamp")

    def electron():
        return binned("eta", [-2.5, -1.5, 1.5, 2.5], rng.normal(1, 0.05, 3).tolist(), "clamp")

    data = {
        syst: choice(
            "genmatch",
            {
                **dict.fromkeys((0, 6), 1.0),
                **{origin: by_mode(electron) for origin in (1, 3)},
                **dict.fromkeys((2, 4), {"nom": 1.0, "up": 1.01, "down": 0.99}[syst]),
                5: by_mode(genuine),
            },
        )
        for syst in ("nom", "up", "down")
    }
    kinds = {"pt": "real", "eta": "real", "dm": "int", "genmatch": "int"}
    kinds |= dict.fromkeys(("id", "wp", "syst"), "string")
    content = choice("wp", {"Medium": choice("syst", data)})
    by_id = choice("id", {"DeepTau2018v2p5": content})
    return store(path, [correction("tau_energy_scale", kinds, by_id)])


def rochester(source, path):
    """Rochester corrections without the hundred replicas of the second set."""
    lines = []
    for line in gzip.decompress(Path(source).read_bytes()).decode().splitlines():
        words = line.split()
        if words[0] in ("NMEM", "TVAR"):
            words.pop(2)
        elif words[0] == "NSET":
            words[1] = str(int(words[1]) - 1)
        elif words[0].isdigit():
            if words[0] == "1":
                continue
            words[0] = str(max(int(words[0]) - 1, 0))
        lines.append(" ".join(words))
    path.write_text("\n".join(lines) + "\n")
    return path


def changed(path, target, change):
    """Copy a correctionlib file after a change of its content."""
    content = json.loads(path.read_text())
    change(content)
    target.write_text(json.dumps(content))
    return target
