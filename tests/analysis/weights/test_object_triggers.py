"""Triggers that any of an event's objects can fire, against correctionlib."""

import numpy as np
import pytest
from correction_files import binning, category, correction, evaluator, stored
from hypothesis import example, given
from hypothesis import strategies as st
from objects_with_factors import (
    OBJECT,
    PT,
    assert_travels,
    evaluated,
    events_of,
    fault,
    made_object,
)

from bphcoffea.analysis import ObjectWeight
from bphcoffea.corrections import load_corrections

random = np.random.default_rng(17)
EFFICIENCY = {"pt": "real", "key": "string"}
SIDES = ("data", "simulation")


@pytest.fixture(scope="module")
def efficiencies(tmp_path_factory):
    """Efficiencies in data and in simulation, whose uncertainties may reach 0 and 1."""
    keys = {"nominal": (0.3, 0.9), "stat": (0.05, 0.25)}
    made = [
        correction(
            side,
            EFFICIENCY,
            binning(
                "pt",
                PT,
                [
                    category("key", {key: random.uniform(*range_) for key, range_ in keys.items()})
                    for _ in PT[1:]
                ],
            ),
        )
        for side in SIDES
    ]
    return stored(tmp_path_factory.mktemp("trigger") / "trigger.json", *made)


def trigger_toml(file, more="", sides=SIDES):
    text = 'name = "2018UL"\neras = ["2018*"]\n'
    for side in sides:
        text += f'[objects.trigger.{side}]\nfile = "{file}"\nname = "{side}"\n'
        text += 'out_of_range = "clamp"\n'
    path = file.parent / "era.toml"
    path.write_text(text + more)
    return path


def trigger_loop(file, lists):
    """Ratio for each event, nominal and shifted; of no object it is 1."""
    oracles = {side: evaluator(file, side) for side in SIDES}

    def fires(one, side, sign):
        found = None
        for item in one:
            pt = float(item["pt"])
            value = oracles[side].evaluate(pt, "nominal")
            if sign:
                value = min(max(value + sign * oracles[side].evaluate(pt, "stat"), 0.0), 1.0)
            found = value if found is None else found + value - found * value
        return found

    def ratios(data, simulation):
        return [
            fires(one, "data", data) / fires(one, "simulation", simulation) if one else 1.0
            for one in lists
        ]

    shifted = {
        "data_stat": (ratios(1, 0), ratios(-1, 0)),
        "simulation_stat": (ratios(0, -1), ratios(0, 1)),
    }
    return ratios(0, 0), shifted


@given(lists=st.lists(st.lists(made_object, max_size=4), min_size=1, max_size=6))
@example(lists=[[], [OBJECT], [OBJECT] * 3])
@example(lists=[[], []])
def test_any_object_fires_a_trigger(efficiencies, lists):
    corrections = load_corrections([trigger_toml(efficiencies)])
    weight = ObjectWeight("trigger", of="Muon", after=None)
    factor, sides = evaluated(weight, events_of(lists), corrections)
    assert (factor.nominal.tolist(), sides) == trigger_loop(efficiencies, lists)
    assert factor.clamped == 0


def test_triggers_of_objects_know_fields_eras_and_clamped_values(efficiencies):
    more = 'decorrelated = true\n[objects.trigger.fields]\npt = "eta"\n'
    corrections = load_corrections([trigger_toml(efficiencies, more)])
    weight = ObjectWeight("trigger", of="Muon", after=None)
    lists = [[OBJECT | {"eta": 500.0}, OBJECT | {"eta": 30.0}], [], [OBJECT | {"eta": 5.0}]]
    factor, sides = evaluated(weight, events_of(lists), corrections)
    by_pt = [[OBJECT | {"pt": 199.0}, OBJECT], [], [OBJECT | {"pt": 10.0}]]
    assert factor.nominal.tolist() == trigger_loop(efficiencies, by_pt)[0]
    assert factor.clamped == 4  # two objects, on both sides
    assert list(sides) == ["data_stat", "simulation_stat_2018UL"]
    (era,) = corrections
    assert era.describe()["objects"]["trigger"]["fields"] == {"pt": "eta"}
    assert era.describe()["objects"]["trigger"]["data"]["name"] == "data"


def test_faults_of_a_trigger_of_objects_are_one_line(efficiencies):
    path = trigger_toml(efficiencies, sides=("data",))
    assert fault(load_corrections, [path]) == f"{path}: objects.trigger.simulation: is missing"
    path = trigger_toml(efficiencies, "names = 1\n")
    expected = f"{path}: objects.trigger.simulation.names: is not known here"
    assert fault(load_corrections, [path]) == expected
    path = trigger_toml(efficiencies, '[objects.trigger.fields]\neta = "pt"\n')
    assert fault(load_corrections, [path]).endswith(
        "objects.trigger.fields: there is no input 'eta' that is a number; there are: pt"
    )


def test_factors_of_triggers_travel_to_workers(efficiencies):
    assert_travels(trigger_toml(efficiencies), "trigger")
