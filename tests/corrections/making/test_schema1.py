"""Upgraded files of schema version 1 evaluate as that schema defines."""

import copy
import itertools
import math

import numpy as np
import pytest

from bphcoffea.corrections.making import write
from bphcoffea.corrections.making.schema1 import upgrade_schema_1
from bphcoffea.errors import InputError


def formula(expression, *parameters, parser="TFormula"):
    return {"expression": expression, "parser": parser, "parameters": list(parameters)}


def variable(name, kind="real"):
    return {"name": name, "type": kind}


#: All kinds of nodes: category, binning, multibinning, formulas of inputs by their place, numbers.
CONTENT = {
    "schema_version": 1,
    "corrections": [
        {
            "name": "sf",
            "description": "scale factors",
            "version": 3,
            "inputs": [
                variable("syst", "string"),
                variable("eta"),
                variable("pt"),
                variable("flavour", "int"),
            ],
            "output": variable("weight"),
            "data": {
                "nodetype": "category",
                "keys": ["nominal", "up"],
                "content": [
                    {
                        "nodetype": "multibinning",
                        "edges": [[-2.4, 0.0, 2.4], [0.0, 10.0, math.inf]],
                        "content": [
                            0.9,
                            formula("1+0.1*x+y*y", 2, 1),
                            {"nodetype": "category", "keys": [4, 5], "content": [0.4, 0.5]},
                            1,
                        ],
                    },
                    {
                        "nodetype": "binning",
                        "edges": [-2.4, 1.0, 2.4],
                        "content": [
                            {
                                "nodetype": "binning",
                                "edges": [0.0, 5.0, 1000.0],
                                "content": [0.7, formula("x", 2)],
                            },
                            0.6,
                        ],
                    },
                ],
            },
        }
    ],
}


def evaluated(node, left, values):
    """Evaluate a node of version 1, which takes the next inputs in order."""
    if isinstance(node, int | float):
        return float(node)
    if "expression" in node:
        x, y = ([values[i] for i in node["parameters"]] + [0.0])[:2]
        return {"1+0.1*x+y*y": 1 + 0.1 * x + y * y, "x": x}[node["expression"]]
    if node["nodetype"] == "category":
        return evaluated(node["content"][node["keys"].index(left[0])], left[1:], values)
    edges = node["edges"] if node["nodetype"] == "multibinning" else [node["edges"]]
    position = 0
    for value, of_input in zip(left, edges, strict=False):
        (index,) = (i for i, (a, b) in enumerate(itertools.pairwise(of_input)) if a <= value < b)
        position = position * (len(of_input) - 1) + index
    return evaluated(node["content"][position], left[len(edges) :], values)


def test_evaluates_as_before(tmp_path):
    before = copy.deepcopy(CONTENT)
    upgraded = upgrade_schema_1(CONTENT)
    assert before == CONTENT
    assert upgraded.schema_version == 2
    (correction,) = upgraded.corrections
    assert (correction.name, correction.version) == ("sf", 3)
    assert correction.description == "scale factors"
    evaluator = correction.to_evaluator()
    data = CONTENT["corrections"][0]["data"]
    points = itertools.product(
        ["nominal", "up"], [-2.4, -1.0, 0.0, 1.0, 2.3], [0.0, 4.9, 5.0, 10.0, 500.0], [4, 5]
    )
    for point in points:
        # the formula may be summed in another order
        expected = pytest.approx(evaluated(data, point, point), rel=1e-15)
        assert evaluator.evaluate(*point) == expected
    write([correction], tmp_path / "sf.json", "can be written")


def test_values_beyond_the_bins_are_an_error():
    evaluator = upgrade_schema_1(CONTENT).corrections[0].to_evaluator()
    for syst, eta in (("nominal", 2.4), ("up", -3.0), ("down", 0.0)):
        with pytest.raises((IndexError, RuntimeError)):
            evaluator.evaluate(syst, eta, np.array([5.0]), 4)


def corrected(**changes):
    correction = copy.deepcopy(CONTENT["corrections"][0]) | changes
    return {"schema_version": 1, "corrections": [correction]}


def without(key):
    content = corrected()
    del content["corrections"][0][key]
    return content


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({}, "the file has schema_version None, not 1"),
        ({"schema_version": 2, "corrections": []}, "the file has schema_version 2, not 1"),
        ({"schema_version": 1}, "the file has no list of 'corrections'"),
        ({"schema_version": 1, "corrections": ["sf"]}, "correction 'sf': not as schema version 1"),
        (without("data"), "correction 'sf': not as schema version 1 has it (KeyError('data'))"),
        (without("version"), "corrections.0.version: is missing"),
        (corrected(data=formula("x", 7)), "correction 'sf': not as schema version 1"),
        (
            corrected(data=formula("x", 1, parser="numexpr")),
            "correction 'sf': correctionlib no longer has formulas of numexpr; write 'x' as",
        ),
        (
            corrected(inputs=[variable("syst", "string")]),
            "correction 'sf': its nodes take more than its inputs syst",
        ),
        (
            corrected(data={"nodetype": "category", "keys": ["a", "b"], "content": [1.0]}),
            "correction 'sf': 2 keys but 1 contents",
        ),
        (
            corrected(data={"nodetype": "transform", "content": []}),
            "correction 'sf': schema version 1 has no node of type 'transform'",
        ),
        (
            corrected(data={"nodetype": "binning", "edges": [1.0, 0.0], "content": [1.0]}),
            "corrections.0.data.",
        ),
    ],
)
def test_what_is_no_file_of_version_1(content, text):
    with pytest.raises(InputError) as raised:
        upgrade_schema_1(content)
    assert str(raised.value).startswith(text)
    assert len(str(raised.value).splitlines()) == 1
