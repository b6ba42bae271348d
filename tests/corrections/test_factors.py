"""Factors agree to the last bit with a plain loop over muons that calls correctionlib."""

import itertools
import math
import pickle
from pathlib import Path

import cloudpickle
import numpy as np
import pytest
from correction_files import (
    binning,
    category,
    correction,
    digits,
    evaluator,
    muon_grid,
    stored,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from bphcoffea.corrections.declaration import TriggerSection
from bphcoffea.corrections.factors import MuonFactor, PileupFactor, TriggerFactor
from bphcoffea.corrections.payload_factor import WHOLE, Factor, product
from bphcoffea.corrections.section import PayloadSection
from bphcoffea.errors import InputError

SHIPPED = Path(__file__).parents[2] / "datasets" / "corrections"

NEWER = ("nominal", "stat", "syst", "systup", "systdown")
OLDER = ("AltSig", "massBin", "massRange", "stat", "syst", "tagIso", "sf", "systup", "systdown")


def section(file, name="sf", policy="error", **inputs):
    return PayloadSection(file=str(file), name=name, out_of_range=policy, inputs=inputs)


def muon_factor(file, name="sf", policy="error", **inputs):
    return MuonFactor(Path(), section(file, name, policy, **inputs), "muon_id")


def fault(function, *arguments, **named):
    with pytest.raises(InputError) as raised:
        function(*arguments, **named)
    message = str(raised.value)
    assert len(message.splitlines()) == 1
    return message


def loop(path, name, muons, **texts):
    """Evaluate the correction for each muon (pT, η) by itself."""
    oracle = evaluator(path, name)
    values = []
    for pt, eta in muons:
        inputs = {"pt": pt, "eta": eta, "abseta": abs(eta)} | texts
        values.append(oracle.evaluate(*(inputs[variable.name] for variable in oracle.inputs)))
    return values


def evaluate(factor, muons, **how):
    pt, eta = np.array(muons, dtype=float).reshape(-1, 2).T
    return factor.evaluate(pt, eta, **how)


def sums(nominal, errors):
    ups = [value + error for value, error in zip(nominal, errors, strict=True)]
    downs = [value - error for value, error in zip(nominal, errors, strict=True)]
    return ups, downs


def shifts(factor):
    return {name: (up.tolist(), down.tolist()) for name, (up, down) in factor.shifts.items()}


def bracketed(factor):
    return all(
        (up >= factor.nominal).all() and (factor.nominal >= down).all()
        for up, down in factor.shifts.values()
    )


@pytest.mark.parametrize(
    ("file", "kind", "nominal", "fixed"),
    [
        ("muon_JPsi.json.gz", "scale_factors", "nominal", {}),
        ("muon_JPsi_v1.json.gz", "ValType", "sf", {"year": "2018_UL"}),
    ],
)
def test_shipped_scale_factors_of_each_muon(file, kind, nominal, fixed):
    random = np.random.default_rng(2)
    path, name = SHIPPED / file, "NUM_LooseID_DEN_TrackerMuons"
    muons = np.stack([random.uniform(1.5, 80, 400), random.uniform(-2.39, 2.39, 400)], 1).tolist()
    edges = [1.5, 2.5, 3.5, 4.5, 6.0, 8.0, 12.0, 20.0, 30.0]
    muons += list(itertools.product(edges, [-2.1, -1.2, -0.9, -0.0, 0.0, 0.9, 1.2, 2.1]))
    made = muon_factor(path, name)
    found = evaluate(made, muons)
    expected = loop(path, name, muons, **fixed, **{kind: nominal})
    assert found.nominal.tolist() == expected
    assert shifts(found) == {
        part: sums(expected, loop(path, name, muons, **fixed, **{kind: part}))
        for part in ("stat", "syst")
    }
    assert bracketed(found)
    assert found.clamped == 0
    only = evaluate(made, muons, shifted=False)
    assert (only.nominal.tolist(), shifts(only)) == (expected, {})
    described = made.describe()
    assert described["inputs"] == fixed
    assert described["uncertainties"] == ["stat", "syst"]


def decimals(first, least=16, most=19):
    """Decimals of many digits, which correctionlib rounds otherwise than Python."""
    tails = st.text("0123456789", min_size=least, max_size=most)
    return tails.map(lambda tail: digits(f"{first}.{tail}1"))


#: Interface: its inputs, the choice that the TOML has to make, texts for correctionlib.
INTERFACES = {
    "one year": ({"year": "string", "abseta": "real", "pt": "real", "ValType": "string"}, ["2018"]),
    "years": (
        {"year": "string", "abseta": "real", "pt": "real", "ValType": "string"},
        ["2016", "2017", "2018"],
    ),
    "no year": ({"abseta": "real", "pt": "real", "ValType": "string"}, []),
    "newer": ({"abseta": "real", "pt": "real", "scale_factors": "string"}, []),
    "signed": ({"eta": "real", "pt": "real", "scale_factors": "string"}, []),
}


@st.composite
def scale_factors(draw, interface):
    inputs, years = INTERFACES[interface]
    eta, kind = list(inputs)[-3], list(inputs)[-1]
    keys = OLDER if kind == "ValType" else NEWER
    eta_edges = [0.0, 0.9, 1.2, 2.1, 2.4]
    if eta == "eta":
        eta_edges = [-2.4, *(draw(decimals(base)) for base in ("-1", "0", "1")), 2.4]

    def grid():
        pt_edges = [
            [2.0, draw(decimals(3)), *sorted(draw(st.sets(st.integers(4, 39), max_size=2)))]
            for _ in eta_edges[1:]
        ]
        pt_edges = [
            [float(edge) if isinstance(edge, int) else edge for edge in edges]
            + [draw(st.sampled_from([40.0, math.inf, "inf"]))]
            for edges in pt_edges
        ]

        def number(i, j, key):
            return draw(decimals(1 if key in ("nominal", "sf", "systup") else 0))

        return muon_grid(eta, eta_edges, pt_edges, kind, number, keys)

    data = category("year", {year: grid() for year in years}) if years else grid()
    fixed = {"year": draw(st.sampled_from(years))} if years else {}
    return correction("sf", inputs, data), kind, fixed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("factors")


@pytest.mark.parametrize("interface", INTERFACES)
@settings(max_examples=10)  # of more muons each: to make a file takes longer
@given(data=st.data())
def test_any_scale_factors_of_each_muon(folder, interface, data):
    made, kind, fixed = data.draw(scale_factors(interface))
    path = stored(folder / "sf.json.gz", made)
    pt = st.floats(2, 40, exclude_max=True) | st.integers(2, 39).map(float)
    eta = st.floats(-2.4, 2.4, exclude_min=True, exclude_max=True)
    eta |= st.sampled_from([0.0, -0.0, 0.9, -0.9, 1.2, -2.1])
    muons = data.draw(st.lists(st.tuples(pt, eta), min_size=1, max_size=20))
    chosen = fixed if interface == "years" else {}
    found = evaluate(muon_factor(path, **chosen), muons)
    nominal = "sf" if kind == "ValType" else "nominal"
    expected = loop(path, "sf", muons, **fixed, **{kind: nominal})
    assert found.nominal.tolist() == expected
    assert shifts(found) == {
        part: sums(expected, loop(path, "sf", muons, **fixed, **{kind: part}))
        for part in ("stat", "syst")
    }
    assert bracketed(found)


@pytest.fixture
def made(tmp_path):
    """Write scale factors in two bins of pT, from 2 to 40 GeV, with numbers by key."""

    def made(values, kind="scale_factors", flow="error", eta="eta"):
        edges = [-2.4, 2.4] if eta == "eta" else [0.0, 2.4]

        def number(i, j, key):
            return values[key][j]

        data = muon_grid(eta, edges, [[2.0, 10.0, 40.0]], kind, number, values, flow)
        inputs = {eta: "real", "pt": "real", kind: "string"}
        return stored(tmp_path / "sf.json", correction("sf", inputs, data))

    return made


VALUES = {
    "nominal": (0.5, 0.75),
    "stat": (0.0625, 0.125),
    "syst": (0.25, 0.03125),
    "systup": (0.875, 1.0),
    "systdown": (0.125, 0.625),
    "up": (1.875, 2.0),
    "down": (0.25, 0.375),
}
MUONS = [(3.0, 0.5), (20.0, -0.5)]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("nominal", {}),
        ("nominal stat", {"stat": ([0.5625, 0.875], [0.4375, 0.625])}),
        ("nominal stat systup systdown", {WHOLE: ([0.875, 1.0], [0.125, 0.625])}),
        ("nominal syst up down", {WHOLE: ([1.875, 2.0], [0.25, 0.375])}),
        ("nominal up down", {WHOLE: ([1.875, 2.0], [0.25, 0.375])}),
        ("nominal systup", {}),
        (
            "systup stat nominal syst systdown",
            {
                "stat": ([0.5625, 0.875], [0.4375, 0.625]),
                "syst": ([0.75, 0.78125], [0.25, 0.71875]),
            },
        ),
    ],
)
def test_parts_where_a_file_has_both_else_the_whole(made, keys, expected):
    factor = muon_factor(made({key: VALUES[key] for key in keys.split()}))
    found = evaluate(factor, MUONS)
    assert found.nominal.tolist() == [0.5, 0.75]
    assert shifts(found) == expected
    assert bracketed(found)
    names = [name or "whole" for name in expected]
    assert factor.describe()["uncertainties"] == names


@pytest.mark.parametrize("nominal", ["nominal", "sf", "central"])
@pytest.mark.parametrize("kind", ["ValType", "scale_factors", "any"])
def test_names_of_the_nominal_value(made, nominal, kind):
    path = made({"stat": (0.1, 0.2), nominal: (0.5, 0.75)}, kind)
    assert evaluate(muon_factor(path), MUONS).nominal.tolist() == [0.5, 0.75]
    # choosing one key leaves no uncertainty
    chosen = evaluate(muon_factor(path, **{kind: nominal}), MUONS)
    assert (chosen.nominal.tolist(), shifts(chosen)) == ([0.5, 0.75], {})


FLOWS = ["error", "clamp", 1.0, 0.0]
OUTSIDE = [(1.9, 0.5), (5e-324, 0.5), (40.0, 0.5), (1e9, 0.5), (3.0, 2.4), (20.0, -2.41), (3.0, 99)]


@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("eta", ["eta", "abseta"])
def test_muons_outside_the_bins(made, flow, eta):
    path = made({key: VALUES[key] for key in ("nominal", "stat")}, flow=flow, eta=eta)
    strict, clamping = muon_factor(path), muon_factor(path, policy="clamp")
    for muon in OUTSIDE:
        message = fault(evaluate, strict, [*MUONS, muon])
        assert message.startswith("correction 'sf': 1 of 3 values outside its bins, the first at ")
        assert f"pt = {muon[0]:.9g}" in message
        shown = abs(muon[1]) if eta == "abseta" else muon[1]
        assert f"{eta} = {shown:.9g}" in message
    found = evaluate(clamping, [*MUONS, *OUTSIDE])
    expected = [0.5, 0.75, 0.5, 0.5, 0.75, 0.75, 0.5, 0.75, 0.5]
    assert found.nominal.tolist() == expected
    assert found.clamped == len(OUTSIDE)
    stat = [0.0625 if value == 0.5 else 0.125 for value in expected]
    assert shifts(found) == {"stat": sums(expected, stat)}
    # the lowest edges belong to the bins, whatever the file says of what lies beyond
    lowest = [(2.0, -2.4 if eta == "eta" else 0.0), (10.0, 0.0), (np.nextafter(40.0, 0), 2.3)]
    for factor in (strict, clamping):
        inside = evaluate(factor, lowest)
        assert (inside.nominal.tolist(), inside.clamped) == ([0.5, 0.75, 0.75], 0)


@pytest.mark.parametrize("policy", ["error", "clamp"])
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("pt", [-99.0, 0.0, -0.0, math.nan, math.inf, -math.inf])
def test_padding_is_no_muon(made, policy, flow, pt):
    factor = muon_factor(made({"nominal": (0.5, 0.75)}, flow=flow), policy=policy)
    message = fault(evaluate, factor, [*MUONS, (pt, 0.5), (pt, 0.5)])
    assert message.startswith(f"correction 'sf': pt is {pt:g} for 2 of 4 values")


@pytest.mark.parametrize("policy", ["error", "clamp"])
@pytest.mark.parametrize("eta", [math.nan, math.inf, -math.inf])
def test_no_pseudorapidity_is_no_muon(made, policy, eta):
    for name in ("eta", "abseta"):
        factor = muon_factor(made({"nominal": (0.5, 0.75)}, flow=1.0, eta=name), policy=policy)
        message = fault(evaluate, factor, [*MUONS, (3.0, eta)])
        assert message.startswith(f"correction 'sf': {name} is ")


def test_padding_is_refused_where_pt_does_not_matter(tmp_path):
    data = binning("eta", [-2.4, 2.4], [category("scale_factors", {"nominal": 0.9})])
    inputs = {"eta": "real", "scale_factors": "string"}
    factor = muon_factor(stored(tmp_path / "sf.json", correction("sf", inputs, data)))
    assert evaluate(factor, MUONS).nominal.tolist() == [0.9, 0.9]
    assert "pt is -99 for 1 of 1 values" in fault(evaluate, factor, [(-99, 0.0)])


def test_no_muons(made):
    found = evaluate(muon_factor(made({key: VALUES[key] for key in NEWER})), [])
    assert found.nominal.shape == (0,)
    assert {name: len(up) for name, (up, _) in found.shifts.items()} == {"stat": 0, "syst": 0}


def two_years(**of_2017):
    grids = {
        "2017": category("ValType", of_2017 or {"sf": 0.9}),
        "2018": category("ValType", {"sf": 0.8, "systup": 0.875, "systdown": 0.75}),
    }
    inputs = {"pt": "real", "year": "string", "ValType": "string"}
    data = binning("pt", [2.0, 40.0], [category("year", grids)])
    return correction("sf", inputs, data)


def test_uncertainties_are_those_of_the_chosen_year(tmp_path):
    path = stored(tmp_path / "sf.json", two_years())
    found = evaluate(muon_factor(path, year="2018"), MUONS[:1])
    assert (found.nominal.tolist(), shifts(found)) == ([0.8], {WHOLE: ([0.875], [0.75])})
    assert evaluate(muon_factor(path, year="2017"), MUONS[:1]).shifts == {}


def test_choices_that_are_not_there(tmp_path):
    path = stored(tmp_path / "sf.json", two_years())
    source = f"{path}: correction 'sf'"
    assert fault(muon_factor, path) == (
        f"{source}: input 'year' may be 2017, 2018, none of which is the nominal value "
        "(nominal, sf, central, nom, default); choose one in the TOML: "
        '[muon_id] inputs = { year = "…" }'
    )
    assert fault(muon_factor, path, year="2016") == (
        f"{source}: input 'year' has no key '2016' (muon_id.inputs); "
        "did you mean '2018'? It has: 2017, 2018"
    )
    for name in ("era", "pt"):
        assert fault(muon_factor, path, **{name: "2018"}) == (
            f"{source} has no text input '{name}' (muon_id.inputs); "
            "its inputs are pt (real), year (string), ValType (string)"
        )
    stored(path, two_years(up=1.0, down=0.9))
    assert "input 'ValType' may be up, down, none of which" in fault(muon_factor, path, year="2017")
    stored(path, two_years(stat=0.1))
    assert "input 'ValType' may be stat, none of which" in fault(muon_factor, path, year="2017")


def test_two_texts_with_a_nominal_value(tmp_path):
    kinds = category("a", {"nominal": category("b", {"sf": 0.9, "up": 1.0}), "up": 2.0})
    inputs = {"pt": "real", "a": "string", "b": "string"}
    made = correction("sf", inputs, binning("pt", [2.0, 40.0], [kinds]))
    path = stored(tmp_path / "sf.json", made)
    assert fault(muon_factor, path) == (
        f"{path}: correction 'sf': the inputs a and b both have a key of the nominal value; "
        'choose one in the TOML: [muon_id] inputs = { a = "…" }'
    )
    assert evaluate(muon_factor(path, a="nominal"), MUONS[:1]).nominal.tolist() == [0.9]


def test_texts_that_are_no_use(tmp_path):
    inputs = {"pt": "real", "unused": "string"}
    path = stored(
        tmp_path / "sf.json",
        correction("sf", inputs, binning("pt", [2.0, 40.0], [0.9])),
        correction("constant", {"scale_factors": "string"}, category("scale_factors", {"sf": 1.0})),
    )
    assert "input 'unused' has no key that is the nominal value (nom" in fault(muon_factor, path)
    message = fault(muon_factor, path, "constant")
    assert message.endswith("takes scale_factors (string), none of which is a number")


def test_what_is_no_scale_factor_of_a_muon(tmp_path):
    path = stored(
        tmp_path / "sf.json",
        correction("bare", {"pt": "real"}, binning("pt", [2.0, 40.0], [0.9])),
        correction(
            "jet",
            {"mass": "real", "scale_factors": "string"},
            binning("mass", [2.0, 40.0], [category("scale_factors", {"nominal": 1.0})]),
        ),
    )
    needs = "; a muon's scale factor takes eta or abseta, pt, and a text of which one key is nom"
    assert f"correction 'bare' takes pt (real){needs}" in fault(muon_factor, path, "bare")
    assert f"takes mass (real), scale_factors (string){needs}" in fault(muon_factor, path, "jet")


def pileup(path, name="pu", policy="error", **inputs):
    return PileupFactor(Path(), section(path, name, policy, **inputs), "pileup")


def test_shipped_pileup_weights():
    path, name = SHIPPED / "puWeights.json.gz", "Collisions_toys_goldenJSON"
    interactions = np.concatenate([np.random.default_rng(4).uniform(0, 100, 300), np.arange(100)])
    found = pileup(path, name).evaluate(interactions)
    oracle = evaluator(path, name)
    expected = {
        key: [oracle.evaluate(value, key) for value in interactions.tolist()]
        for key in ("nominal", "up", "down")
    }
    assert found.nominal.tolist() == expected["nominal"]
    assert shifts(found) == {WHOLE: (expected["up"], expected["down"])}
    assert "values outside its bins, the first at NumTrueInteractions = 100;" in fault(
        pileup(path, name).evaluate, np.array([3.0, 100.0])
    )
    clamping = pileup(path, name, "clamp").evaluate(np.array([3.0, 100.0]), shifted=False)
    assert clamping.nominal[1] == expected["nominal"][-1]
    assert (clamping.clamped, clamping.shifts) == (1, {})


@pytest.mark.parametrize("policy", ["error", "clamp"])
@pytest.mark.parametrize("value", [-99.0, -1.0, math.nan, math.inf])
def test_what_is_no_number_of_interactions(policy, value):
    made = pileup(SHIPPED / "puWeights.json.gz", "Collisions_toys_goldenJSON", policy)
    message = fault(made.evaluate, np.array([3.0, value]))
    assert f"NumTrueInteractions is {value:g} for 1 of 2 values" in message


def test_pileup_weights_of_other_forms(tmp_path):
    both = binning("n", [0.0, 1.0], [0.5])
    path = stored(
        tmp_path / "pu.json",
        correction("bare", {"n": "real"}, both),
        correction("one", {"n": "real", "kind": "string"}, category("kind", {"PU": both})),
        correction("up", {"n": "real", "kind": "string"}, category("kind", {"up": both})),
        correction("two", {"n": "real", "m": "real"}, both),
    )
    for name in ("bare", "one"):
        found = pileup(path, name).evaluate(np.array([0.5]))
        assert (found.nominal.tolist(), found.shifts) == ([0.5], {})
    # a shifted value is not taken for the nominal one
    assert "may be up, none of which is the nominal value" in fault(pileup, path, "up")
    assert fault(pileup, path, "two").endswith(
        "takes n (real), m (real); a pile-up weight takes one number, the true number of "
        "interactions"
    )


def trigger(data, simulation):
    return TriggerFactor(Path(), TriggerSection(data=data, simulation=simulation), "trigger")


def shipped_trigger(policy="error"):
    sides = (section(SHIPPED / "trigger.json.gz", f"efficiency_{side}", policy) for side in SIDES)
    return trigger(*sides)


SIDES = ("data", "simulation")


def any_fires(efficiencies):
    """Return ε₁ + ε₂ - ε₁ε₂, and so on for more muons."""
    either = efficiencies[0]
    for efficiency in efficiencies[1:]:
        either = either + efficiency - either * efficiency
    return either


@pytest.mark.parametrize("muons", [1, 2, 3])
def test_any_of_some_muons_fires(muons):
    made = shipped_trigger()
    assert made.inputs == ("pt", "ips_xy")
    random = np.random.default_rng(6)
    events = [
        {"pt": random.uniform(3, 99, 200), "ips_xy": random.uniform(0, 30, 200)}
        for _ in range(muons)
    ]
    found = made.evaluate(events)
    maps = {side: evaluator(SHIPPED / "trigger.json.gz", f"efficiency_{side}") for side in SIDES}

    def efficiencies(side, event, shift):
        per_muon = []
        for muon in events:
            where = (float(muon["pt"][event]), float(muon["ips_xy"][event]))
            nominal = maps[side].evaluate(*where, "nominal")
            stat = maps[side].evaluate(*where, "stat")
            per_muon.append(min(max(nominal + shift * stat, 0), 1) if shift else nominal)
        return any_fires(per_muon)

    def ratios(of_data, of_simulation):
        return [
            efficiencies("data", i, of_data) / efficiencies("simulation", i, of_simulation)
            for i in range(200)
        ]

    assert found.nominal.tolist() == ratios(0, 0)
    assert shifts(found) == {
        "data_stat": (ratios(1, 0), ratios(-1, 0)),
        "simulation_stat": (ratios(0, -1), ratios(0, 1)),
    }
    for up, down in found.shifts.values():
        assert (up > found.nominal).all()
        assert (found.nominal > down).all()
    assert made.evaluate(events, shifted=False).shifts == {}
    assert set(made.describe()) == set(SIDES)


@pytest.fixture
def efficiencies(tmp_path):
    """Write efficiencies in two bins of pT, from 2 to 40 GeV, with numbers by key and side."""

    def efficiencies(policy="error", **sides):
        inputs = {"pt": "real", "scale_factors": "string"}
        made = [
            correction(
                side,
                inputs,
                binning(
                    "pt",
                    [2.0, 10.0, 40.0],
                    [
                        category("scale_factors", {key: values[j] for key, values in keys.items()})
                        for j in range(2)
                    ],
                ),
            )
            for side, keys in sides.items()
        ]
        path = stored(tmp_path / "trigger.json", *made)
        return trigger(*(section(path, side, policy) for side in SIDES))

    return efficiencies


def muons_of(*pts):
    return [{"pt": np.array([pt], dtype=float)} for pt in pts]


def test_shifted_efficiencies_stay_between_0_and_1(efficiencies):
    made = efficiencies(
        data={"nominal": (0.75, 0.5), "stat": (0.5, 0.75)},
        simulation={"nominal": (0.5, 0.75), "stat": (0.25, 0.75)},
    )
    found = made.evaluate(muons_of(3.0))
    assert shifts(found) == {"data_stat": ([2.0], [0.5]), "simulation_stat": ([3.0], [1.0])}
    found = made.evaluate(muons_of(3.0, 20.0))
    either = 0.5 + 0.75 - 0.5 * 0.75
    assert found.nominal.tolist() == [either / either]
    # down: 0.25 and 0; 0.25 and 0. Up: 1
    assert shifts(found) == {
        "data_stat": ([1 / either], [0.25 / either]),
        "simulation_stat": ([either / 0.25], [either]),
    }
    # the second muon alone: nothing is left of the simulation
    assert fault(made.evaluate, muons_of(20.0)) == (
        "correction 'simulation': the efficiency in simulation, shifted by its stat, is 0 for "
        "1 candidates that the trigger accepted; merge bins of its map, or cut these candidates "
        "away"
    )
    assert made.evaluate(muons_of(20.0), shifted=False).nominal.tolist() == [0.5 / 0.75]


def test_efficiencies_with_a_whole_uncertainty(efficiencies):
    made = efficiencies(
        data={"nominal": (0.5, 0.5)},
        simulation={"nominal": (0.5, 0.5), "up": (1.0, 0.625), "down": (0.25, 0.25)},
    )
    found = made.evaluate(muons_of(3.0))
    assert shifts(found) == {"simulation": ([2.0], [0.5])}


def test_no_efficiency_in_simulation(efficiencies):
    made = efficiencies(data={"nominal": (0.5, 0.5)}, simulation={"nominal": (0.0, 0.5)})
    assert made.evaluate(muons_of(3.0, 20.0)).nominal.tolist() == [1.5]
    assert "the efficiency in simulation is 0 for 1 candidates" in fault(
        made.evaluate, muons_of(3.0, 4.0)
    )


@pytest.mark.parametrize("wrong", [1.02, -0.5])
def test_scale_factors_are_no_efficiencies(efficiencies, wrong):
    made = efficiencies(data={"nominal": (wrong, 0.5)}, simulation={"nominal": (0.5, 0.5)})
    assert fault(made.evaluate, muons_of(20.0, 3.0)) == (
        f"correction 'data': {wrong} is no efficiency; trigger.data takes the efficiency itself, "
        "not a scale factor"
    )


@pytest.mark.parametrize("policy", ["error", "clamp"])
@pytest.mark.parametrize("pt", [-99.0, 0.0, math.nan])
def test_padding_fires_no_trigger(efficiencies, policy, pt):
    both = {"nominal": (0.5, 0.25)}
    made = efficiencies(policy, data=both, simulation=both)
    assert f"pt is {pt:g} for 1 of 1 values" in fault(made.evaluate, muons_of(3.0, pt))


def test_clamped_efficiencies_are_counted(efficiencies):
    both = {"nominal": (0.5, 0.25)}
    made = efficiencies("clamp", data=both, simulation=both)
    found = made.evaluate(muons_of(1.0, 99.0))
    assert found.nominal.tolist() == [1.0]
    # of two muons, in data and in simulation
    assert found.clamped == 4
    strict = efficiencies(data=both, simulation=both)
    assert "outside its bins, the first at pt = 1;" in fault(strict.evaluate, muons_of(3.0, 1.0))


def test_faults_of_both_sides_are_told():
    file = SHIPPED / "trigger.json.gz"
    with pytest.raises(InputError) as raised:
        trigger(section(file, "a"), section(file, "b"))
    lines = str(raised.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == list(SIDES)


def numbers(*values):
    return np.array(values, dtype=float)


def test_products_are_correlated():
    one = Factor(
        numbers(2.0, 3.0),
        {"stat": (numbers(2.5, 4.0), numbers(1.5, 2.0)), "a": (numbers(4, 4), numbers(1, 1))},
        clamped=1,
        points={"x": numbers(0.5, 2.0), "y": numbers(2.0, 2.0)},
    )
    other = Factor(
        numbers(5.0, 7.0),
        {"stat": (numbers(6.0, 8.0), numbers(4.0, 6.0)), "b": (numbers(6, 8), numbers(3, 5))},
        clamped=2,
        points={"x": numbers(3.0, 4.0), "z": numbers(5.0, 5.0)},
    )
    both = one * other
    assert both.nominal.tolist() == [10.0, 21.0]
    assert shifts(both) == {
        "stat": ([15.0, 32.0], [6.0, 12.0]),
        "a": ([20.0, 28.0], [5.0, 7.0]),
        "b": ([12.0, 24.0], [6.0, 15.0]),
    }
    assert both.clamped == 3
    assert {name: values.tolist() for name, values in both.points.items()} == {
        "x": [1.5, 8.0],
        "y": [2.0, 2.0],
        "z": [5.0, 5.0],
    }
    assert product([one]) is one
    assert product([one, other, one]).nominal.tolist() == [20.0, 63.0]
    # neither is changed
    assert one.points["x"].tolist() == [0.5, 2.0]
    assert list(one.shifts) == ["stat", "a"]


@pytest.mark.parametrize("module", [pickle, cloudpickle])
def test_factors_can_be_pickled(module):
    name = "NUM_LooseID_DEN_TrackerMuons"
    for file in ("muon_JPsi.json.gz", "muon_JPsi_v1.json.gz"):
        before = muon_factor(SHIPPED / file, name)
        first = evaluate(before, MUONS)
        after = module.loads(module.dumps(before))
        again = evaluate(after, MUONS)
        assert again.nominal.tolist() == first.nominal.tolist()
        assert shifts(again) == shifts(first)
        assert after.describe() == before.describe()
    whole = pileup(SHIPPED / "puWeights.json.gz", "Collisions_toys_goldenJSON")
    values = np.arange(30.0)
    again = module.loads(module.dumps(whole)).evaluate(values)
    assert shifts(again) == shifts(whole.evaluate(values))
    maps = shipped_trigger()
    events = [{"pt": numbers(4.0, 11.0), "ips_xy": numbers(2.0, 9.0)}] * 2
    again = module.loads(module.dumps(maps)).evaluate(events)
    assert again.nominal.tolist() == maps.evaluate(events).nominal.tolist()
    assert shifts(module.loads(module.dumps(again))) == shifts(maps.evaluate(events))
