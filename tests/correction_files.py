"""Correctionlib files in the layouts in which CMS publishes corrections, with invented numbers."""

import gzip
import json
import re

import correctionlib


def digits(text):
    """A number that is written to the file as it stands here, however many digits it has."""
    return f"#{text}#"


def binning(of, edges, content, flow="error"):
    return {"nodetype": "binning", "input": of, "edges": edges, "content": content, "flow": flow}


def multibinning(of, edges, content, flow="error"):
    node = {"nodetype": "multibinning", "inputs": of, "edges": edges, "content": content}
    return node | {"flow": flow}


def category(of, values, **default):
    items = [{"key": key, "value": value} for key, value in values.items()]
    return {"nodetype": "category", "input": of, "content": items} | default


def formula(expression, *variables):
    node = {"nodetype": "formula", "expression": expression, "parser": "TFormula"}
    return node | {"variables": list(variables)}


def transform(of, rule, content):
    return {"nodetype": "transform", "input": of, "rule": rule, "content": content}


def correction(name, inputs, data, **more):
    """A correction; inputs from their names to their types."""
    return {
        "name": name,
        "version": 1,
        "inputs": [{"name": each, "type": kind} for each, kind in inputs.items()],
        "output": {"name": "weight", "type": "real"},
        "data": data,
    } | more


def written(*corrections, **more):
    """Text of a file. Python writes infinity as Infinity, as CMS's files have it."""
    content = {"schema_version": 2, "corrections": list(corrections)} | more
    return re.sub('"#([^#]*)#"', r"\1", json.dumps(content))


def stored(path, *corrections, **more):
    """Write a file, compressed if it is called so."""
    text = written(*corrections, **more).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


def evaluator(path, name):
    """The oracle: correctionlib, which read the file itself."""
    return correctionlib.CorrectionSet.from_file(str(path))[name]


def muon_grid(eta, eta_edges, pt_edges, kind, number, keys, flow="error"):
    """Bins of pT in bins of η, and a key in each.

    Parameters
    ----------
    eta
        Name of the input: eta or abseta.
    pt_edges
        For each bin of η.
    kind
        Name of the text input.
    number
        From bin of η, bin of pT and key to a number.
    """
    return binning(
        eta,
        eta_edges,
        [
            binning(
                "pt",
                edges,
                [
                    category(kind, {key: number(i, j, key) for key in keys})
                    for j in range(len(edges) - 1)
                ],
                flow,
            )
            for i, edges in enumerate(pt_edges)
        ],
        flow,
    )


def recorded_in(table, sections):
    """Luminosity of sections, added up from the lines of the csv."""
    wanted = {f"{run}:{section}" for run, section in sections.tolist()}
    total = 0.0
    for line in table.read_text().splitlines():
        if not line.startswith("#"):
            fields = line.split(",")
            run, section = fields[0].split(":")[0], fields[1].split(":")[1]
            total += float(fields[6]) * (f"{run}:{section}" in wanted)
    return total
