"""Scale factors of objects against correctionlib, which is asked for one object at a time."""

import functools
import hashlib
import json
import math
import textwrap

import awkward as ak
import numpy as np
import pytest
import uproot
from builders import fileset_of, write_nano
from correction_files import binning, category, correction, evaluator, muon_grid, stored
from hypothesis import example, given, settings
from hypothesis import strategies as st
from objects_with_factors import (
    DECAY_MODES,
    GENERATED,
    KINDS,
    OBJECT,
    PT,
    assert_travels,
    evaluated,
    events_of,
    fault,
    made_object,
)

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    Objects,
    ObjectVariable,
    ObjectWeight,
    Selection,
    Shift,
    number_of,
    quantity,
)
from bphcoffea.analysis.shifts import replaced
from bphcoffea.corrections import load_corrections
from bphcoffea.errors import CorrectionsError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema
from bphcoffea.processing import Processor
from bphcoffea.processing.candidates import VariableError, values_of_events

ETA, SIGNED = [0.0, 0.9, 2.4], [-2.4, -0.7, 0.3, 2.4]
MUON_KEYS = ("stat", "syst", "systdown", "systup")
#: Even a product of a few such numbers depends on the order of its factors.
random = np.random.default_rng(16)


def numbers(nominal, *keys):
    """A number for each key, small for absolute uncertainties."""
    found = {nominal: random.uniform(0.8, 1.2)}
    small = ("stat", "syst")
    return found | {
        key: random.uniform(0.001 if key in small else 0.7, 0.1 if key in small else 1.3)
        for key in keys
    }


def grid(eta, edges, kind, nominal, *keys):
    values = {(i, j): numbers(nominal, *keys) for i in range(len(edges) - 1) for j in range(3)}
    return muon_grid(
        eta,
        edges,
        [PT] * (len(edges) - 1),
        kind,
        lambda i, j, key: values[i, j][key],
        [nominal, *keys],
    )


def by_key(of, keys, content):
    return category(of, {key: content() for key in keys})


def payloads():
    """A correction in each interface of CMS's files, with invented numbers."""
    electron = {
        "year": "string",
        "ValType": "string",
        "WorkingPoint": "string",
        "eta": "real",
        "pt": "real",
    }
    tau = {
        "pt": "real",
        "dm": "int",
        "genmatch": "int",
        "wp": "string",
        "syst": "string",
        "flag": "string",
    }
    return [
        correction(
            "v1",
            {"year": "string", "abseta": "real", "pt": "real", "ValType": "string"},
            by_key(
                "year", ["2017", "2018"], lambda: grid("abseta", ETA, "ValType", "sf", *MUON_KEYS)
            ),
        ),
        correction(
            "v2",
            {"eta": "real", "pt": "real", "scale_factors": "string"},
            grid("eta", SIGNED, "scale_factors", "nominal", *MUON_KEYS),
        ),
        correction(
            "electron",
            electron,
            by_key(
                "year",
                ["2018"],
                lambda: by_key(
                    "ValType",
                    ["sf", "sfup", "sfdown"],
                    lambda: by_key(
                        "WorkingPoint",
                        ["Medium", "Tight"],
                        lambda: binning(
                            "eta",
                            SIGNED,
                            [
                                binning("pt", PT, random.uniform(0.8, 1.2, 3).tolist())
                                for _ in SIGNED[1:]
                            ],
                        ),
                    ),
                ),
            ),
        ),
        correction(
            "vs_jet",
            tau,
            by_key(
                "genmatch",
                GENERATED,
                lambda: by_key(
                    "wp",
                    ["Medium", "Tight"],
                    lambda: by_key(
                        "flag",
                        ["dm", "pt"],
                        lambda: by_key(
                            "dm",
                            DECAY_MODES,
                            lambda: binning(
                                "pt",
                                PT,
                                [
                                    category("syst", numbers("default", "up", "down"))
                                    for _ in PT[1:]
                                ],
                            ),
                        ),
                    ),
                ),
            ),
        ),
        correction(
            "vs_e",
            {"eta": "real", "genmatch": "int", "wp": "string", "syst": "string"},
            by_key(
                "genmatch",
                GENERATED,
                lambda: by_key(
                    "wp",
                    ["Loose"],
                    lambda: binning(
                        "eta",
                        SIGNED,
                        [category("syst", numbers("nom", "up", "down")) for _ in SIGNED[1:]],
                    ),
                ),
            ),
        ),
        correction("bare", {"pt": "real"}, binning("pt", PT, random.uniform(0.8, 1.2, 3).tolist())),
    ]


#: For each correction: the lines of its section, the arguments of correctionlib for an object and
#: a key, the nominal key, and the keys of each uncertainty: one if it is an absolute number.
INTERFACES = {
    "v1": (
        'inputs = { year = "2018" }',
        lambda o, key: ("2018", abs(o["eta"]), o["pt"], key),
        ("sf", {"stat": ["stat"], "syst": ["syst"]}),
    ),
    "v2": (
        "",
        lambda o, key: (o["eta"], o["pt"], key),
        ("nominal", {"stat": ["stat"], "syst": ["syst"]}),
    ),
    "electron": (
        'inputs = { WorkingPoint = "Medium" }\nfields = { eta = "superclusterEta" }',
        lambda o, key: ("2018", key, "Medium", o["superclusterEta"], o["pt"]),
        ("sf", {"": ["sfup", "sfdown"]}),
    ),
    "vs_jet": (
        'inputs = { wp = "Medium", flag = "pt" }\nfields = { dm = "decayMode" }',
        lambda o, key: (o["pt"], o["decayMode"], o["genPartFlav"], "Medium", key, "pt"),
        ("default", {"": ["up", "down"]}),
    ),
    "vs_e": (
        "",
        lambda o, key: (o["eta"], o["genPartFlav"], "Loose", key),
        ("nom", {"": ["up", "down"]}),
    ),
    "bare": ("", lambda o, key: (o["pt"],), ("", {})),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return stored(tmp_path_factory.mktemp("payloads") / "sf.json.gz", *payloads())


def toml(file, policy="error", more="", **sections):
    """Write a TOML with sections of objects, by name with the correction and further lines."""
    text = f'name = "2018UL"\neras = ["2018*"]\n{more}\n'
    for name, (of, lines) in sections.items():
        text += textwrap.dedent(f"""
            [objects.{name}]
            file = "{file}"
            name = "{of}"
            out_of_range = "{policy}"
        """)
        text += f"{lines}\n"
    path = file.parent / "era.toml"
    path.write_text(text)
    return path


def loaded(file, **how):
    return load_corrections([toml(file, **how)])


@functools.cache
def loaded_once(file, interface):
    """Return the corrections of all examples, since reading takes longer than an example."""
    return loaded(file, any=(interface, INTERFACES[interface][0]))


def loop(file, interface, lists):
    """Product for each event, nominal and shifted, with a call of correctionlib per object."""
    _, arguments, (nominal, parts) = INTERFACES[interface]
    oracle = evaluator(file, interface)

    def evaluate(item, key):
        plain = {field: float(value) for field, value in item.items()}
        whole = {field: int(item[field]) for field in KINDS}
        sc = float(np.float32(item["eta"]) + np.float32(item["deltaEtaSC"]))
        return oracle.evaluate(*arguments({**plain, **whole, "superclusterEta": sc}, key))

    def products(value):
        found = []
        for one in lists:
            product = 1.0
            for item in one:
                product *= value(item)
            found.append(product)
        return found

    shifted = {}
    for part, keys in parts.items():
        if len(keys) == 2:
            sides = tuple(products(functools.partial(evaluate, key=key)) for key in keys)
        else:
            sides = tuple(
                products(lambda o, k=part, s=sign: evaluate(o, nominal) + s * evaluate(o, k))
                for sign in (1, -1)
            )
        shifted[part] = sides
    return products(functools.partial(evaluate, key=nominal)), shifted


@pytest.mark.parametrize("interface", INTERFACES)
@settings(max_examples=12)
@given(lists=st.lists(st.lists(made_object, max_size=4), min_size=1, max_size=15))
@example(lists=[[], [OBJECT], [OBJECT] * 3])
@example(lists=[[], []])
def test_weights_are_products_of_a_loop_over_objects(file, interface, lists):
    corrections = loaded_once(file, interface)
    weight = ObjectWeight("any", of="Muon", after=None)
    factor, sides = evaluated(weight, events_of(lists), corrections)
    nominal, shifted = loop(file, interface, lists)
    assert factor.nominal.tolist() == nominal  # to the last bit
    assert sides == shifted
    assert factor.clamped == 0
    assert evaluated(weight, events_of(lists), corrections, shifted=False)[1] == {}


pt = quantity("pt", unit="GeV")
muons = number_of("muon")


class Weighed(Analysis):
    """Events with muons, one bin for each number of muons."""

    schema = ReducedNanoAODSchema
    objects = (Objects("muon", "Muon", (pt > 25,)),)
    selection = Selection(Cut("any", muons >= 0), Cut("few", muons < 4))
    histograms = (Histogram("n", muons, Axis(4, -0.5, 3.5)),)
    columns = (muons,)
    weights = (
        ObjectWeight("muon_id", of="muon", after="few"),
        ObjectWeight("isolation", of="muon", after="few"),
    )


def processed(corrections, lists, analysis=Weighed):
    return Processor(analysis().corrected(corrections)).process(events_of(lists))["made"]


TWO = {"muon_id": ("v2", ""), "isolation": ("v1", INTERFACES["v1"][0])}


@settings(max_examples=10)
@given(lists=st.lists(st.lists(made_object, max_size=3), min_size=1, max_size=18))
def test_selected_objects_of_a_whole_analysis(file, lists):
    result = processed(loaded(file, **TWO), lists)
    selected = [sorted((o for o in one if o["pt"] > 25), key=lambda o: -o["pt"]) for one in lists]
    table = result.candidates.arrays()
    expected = {name: loop(file, of, selected) for name, (of, _) in TWO.items()}
    for name, (nominal, _) in expected.items():
        assert table[f"weight_{name}"].tolist() == nominal
    names = {
        f"{name}_{part}{side}"
        for name in TWO
        for part in ("stat", "syst")
        for side in ("Up", "Down")
    }
    content = result.histograms["n"]
    assert set(content.axes["variation"]) == {"nominal", *names}
    for name, (_, shifted) in expected.items():
        (other,) = (nominal for of, (nominal, _) in expected.items() if of != name)
        for part, sides in shifted.items():
            for side, factors in zip(("Up", "Down"), sides, strict=True):
                sums = [0.0] * 4
                for one, factor, rest in zip(selected, factors, other, strict=True):
                    sums[len(one)] += factor * rest
                found = content["all", f"{name}_{part}{side}", :].values()
                np.testing.assert_allclose(found, sums, rtol=1e-14)  # sums in another order


def test_a_first_event_without_objects_changes_nothing(file):
    corrections = loaded(file, **TWO)
    lists = [[OBJECT, OBJECT | {"eta": -1.5}], [OBJECT | {"pt": 90.0}]]
    without, with_one = (processed(corrections, [*first, *lists]) for first in ([], [[]]))
    for name in TWO:
        table = with_one.candidates.arrays()[f"weight_{name}"].tolist()
        assert table == [1.0, *without.candidates.arrays()[f"weight_{name}"].tolist()]
    found = with_one.histograms["n"].values() - without.histograms["n"].values()
    assert found[0].tolist() == [[1.0, 0, 0, 0]] * found.shape[1]


def test_no_event_at_all(file):
    result = processed(loaded(file, **TWO), [])
    assert result.histograms["n"].values().sum() == 0


@pytest.mark.parametrize("after", [None, "any", "few"])
def test_a_weight_counts_from_the_cut_that_it_corrects(file, after):
    class Later(Weighed):
        weights = (ObjectWeight("muon_id", of="Muon", after=after),)

    lists = [[OBJECT], [], [OBJECT] * 4, [OBJECT] * 3]
    ((one, _, four, three), _) = loop(file, "v2", lists)
    rows = processed(loaded(file, muon_id=("v2", "")), lists, Later).cutflow.rows()
    sums = {row["step"]: row["sumw"] for row in rows}
    assert sums["all"] == pytest.approx(one + 1 + four + three if after is None else 4)
    assert sums["any"] == pytest.approx(4 if after == "few" else one + 1 + four + three)
    assert sums["few"] == pytest.approx(one + 1 + three)


@pytest.mark.parametrize(
    ("of", "names"),
    [("v2", ["stat_2018UL", "syst_2018UL"]), ("vs_e", ["2018UL"]), ("bare", [])],
)
def test_decorrelated_variations_end_with_the_era(file, of, names):
    lines = f"{INTERFACES[of][0]}\ndecorrelated = true"
    corrections = loaded(file, muon_id=(of, lines))
    weight = ObjectWeight("muon_id", of="Muon", after=None)
    lists = [[OBJECT], [OBJECT, OBJECT]]
    _, sides = evaluated(weight, events_of(lists), corrections)
    assert list(sides) == names
    assert list(sides.values()) == list(loop(file, of, lists)[1].values())
    variations = processed(corrections, lists).histograms["n"].axes["variation"]
    assert set(variations) == {
        "nominal",
        *(f"muon_id_{n}{side}" for n in names for side in ("Up", "Down")),
    }
    (era,) = corrections
    of_file = era.describe()["objects"]["muon_id"]["uncertainties"]
    assert of_file == [name if "_" in name else f"whole_{name}" for name in names]


def test_values_outside_the_bins_are_counted_for_each_object(file):
    lists = [[OBJECT | {"pt": 999.0}, OBJECT], [OBJECT | {"eta": 3.0}, OBJECT | {"pt": 200.0}]]
    result = processed(loaded(file, policy="clamp", **TWO), lists)
    assert result.clamped == {"muon_id": 3, "isolation": 3}
    table = result.candidates.arrays()["weight_muon_id"].tolist()
    inside = [[OBJECT | {"pt": 199.0}, OBJECT], [OBJECT | {"pt": 199.0}, OBJECT | {"eta": 2.3}]]
    assert table == pytest.approx(loop(file, "v2", inside)[0], rel=1e-15)
    with pytest.raises(CorrectionsError, match="3 of 4 values outside its bins"):
        processed(loaded(file, **TWO), lists)


@pytest.mark.parametrize("field", ["pt", "eta"])
def test_values_that_were_not_measured_are_refused(file, field):
    lists = [[OBJECT, OBJECT | {field: math.nan}]]
    weight = ObjectWeight("muon_id", of="Muon", after=None)
    with pytest.raises(
        CorrectionsError, match=f"correction 'v2': {field} is nan for 1 of 2 values"
    ):
        evaluated(weight, events_of(lists), loaded(file, muon_id=("v2", "")))


@pytest.mark.parametrize("field", ["pt", "genPartFlav"])
def test_missing_values_are_refused(file, field):
    events = events_of([[OBJECT], [OBJECT, OBJECT]])
    missing = ak.mask(events.Muon[field], ak.Array([[True], [True, False]]))
    events = ak.with_field(events, ak.with_field(events.Muon, missing, field), "Muon")
    weight = ObjectWeight("vs", of="Muon", after=None)
    corrections = loaded(file, vs=("vs_jet", INTERFACES["vs_jet"][0]))
    with pytest.raises(CorrectionsError, match="is nan for 1 of 3 values"):
        evaluated(weight, events, corrections)


def test_an_input_that_is_no_field_is_named(file):
    events = events_of([[OBJECT]])
    bare = ak.with_field(events, events.Muon[["pt", "decayMode"]], "Muon")
    weight = ObjectWeight("muon_id", of="Muon", after=None)
    for of, name in {"v1": "abseta", "v2": "eta"}.items():
        corrections = loaded(file, muon_id=(of, INTERFACES[of][0]))
        assert fault(evaluated, weight, bare, corrections) == (
            f"weight 'muon_id': 'Muon' has no field '{name}'; name the field to take in the TOML: "
            f'[objects.muon_id.fields] {name} = "…"'
        )
    corrections = loaded(file, muon_id=("v2", 'fields = { eta = "etaSC" }'))
    assert "'Muon' has no field 'etaSC'" in fault(evaluated, weight, events, corrections)
    absent = ObjectWeight("muon_id", of="muons", after=None)
    assert fault(evaluated, absent, events, corrections) == (
        "a weight is of 'muons', which the events do not have"
    )


@pytest.mark.parametrize(
    ("of", "lines", "message"),
    [
        ("v2", "filds = {}", "objects.muon_id.filds: is not known here"),
        ("v2", "decorrelated = 1", "objects.muon_id.decorrelated: must be true or false"),
        ("v2", 'fields = "eta"', "objects.muon_id.fields: must be a section"),
        (
            "v2",
            'fields = { abseta = "eta" }',
            "objects.muon_id.fields: there is no input 'abseta' that is a number; "
            "did you mean 'eta'? There are: eta, pt",
        ),
        (
            "v2",
            'inputs = { scale_factors = "stat" }',
            "scale_factors = 'stat' is an uncertainty (objects.muon_id.inputs); leave it out, "
            "or choose the nominal value",
        ),
        (
            "electron",
            "",
            "input 'WorkingPoint' may be Medium, Tight, none of which is the nominal value "
            "(nominal, sf, central, nom, default); choose one in the TOML: "
            '[objects.muon_id] inputs = { WorkingPoint = "…" }',
        ),
        (
            "electron",
            'inputs = { WorkingPoint = "Medum" }',
            "input 'WorkingPoint' has no key 'Medum' (objects.muon_id.inputs); "
            "did you mean 'Medium'? It has: Medium, Tight",
        ),
        ("none", "", "no correction 'none'; the file holds: v1, v2, electron, vs_jet, vs_e, bare"),
    ],
)
def test_faults_of_a_section_are_one_line(file, of, lines, message):
    assert fault(loaded, file, muon_id=(of, lines)).endswith(message)


def test_an_era_whose_name_is_unfit_for_variations(file):
    path = toml(file, muon_id=("v2", "decorrelated = true"))
    path.write_text(path.read_text().replace("2018UL", "Run 2/2018"))
    assert fault(load_corrections, [path]) == (
        f"{path}: [objects.muon_id] decorrelated: names of variations end with the name of the "
        "era, 'Run 2/2018', which must then be made of letters, digits, and the characters _ . -"
    )


def test_factors_of_objects_travel_to_workers(file):
    assert_travels(toml(file, **TWO), "muon_id")


def test_keys_that_only_some_years_have(tmp_path):
    data = category(
        "year",
        {
            year: category("WorkingPoint", {key: binning("pt", PT, [1, 2, 3]) for key in keys})
            for year, keys in {"2017": ["Loose"], "2018": ["Loose", "Tight"]}.items()
        },
    )
    inputs = {"year": "string", "WorkingPoint": "string", "pt": "real"}
    path = stored(tmp_path / "sf.json", correction("sf", inputs, data))
    chosen = 'inputs = {{ WorkingPoint = "Tight", year = "{}" }}'
    weight = ObjectWeight("id", of="Muon", after=None)
    corrections = loaded(path, id=("sf", chosen.format("2018")))
    factor, _ = evaluated(weight, events_of([[OBJECT, OBJECT]]), corrections)
    assert factor.nominal.tolist() == [4.0]
    message = fault(loaded, path, id=("sf", chosen.format("2017")))
    assert message.endswith("has no key 'Tight' (objects.id.inputs); it has: Loose")


def test_values_of_an_object_variable_are_lists(file):
    events = events_of([[OBJECT]])
    for function in (lambda e: e.Muon.pt[:, 0], lambda e: e.Muon.pt[:0]):
        with pytest.raises(VariableError, match="must give a list of numbers for each event"):
            values_of_events(ObjectVariable("x", function), events)


def test_sections_are_shown_and_the_run_names_them(file, bphcoffea):
    path = toml(file, **TWO)
    ended = bphcoffea("corrections", "show", path)
    assert ended.status == 0
    shown = json.loads(ended.out)["objects"]
    assert shown["isolation"]["name"] == "v1"
    assert shown["isolation"]["inputs"] == {"year": "2018"}
    assert shown["isolation"]["fields"] == {"abseta": "abseta", "pt": "pt"}
    (era,) = load_corrections([path])
    assert era.declared() == ("objects.muon_id", "objects.isolation")


def test_pileup_is_decorrelated_as_well(tmp_path):
    data = category(
        "weights",
        {
            key: binning("n", [0.0, 9.0], [w])
            for key, w in {"nominal": 1.0, "up": 1.5, "down": 0.5}.items()
        },
    )
    stored(tmp_path / "pu.json", correction("pu", {"n": "real", "weights": "string"}, data))
    (tmp_path / "era.toml").write_text(
        'name = "2018UL"\neras = ["*"]\n[pileup]\nfile = "pu.json"\nname = "pu"\n'
        'out_of_range = "error"\ndecorrelated = true\n'
    )
    (era,) = load_corrections([tmp_path / "era.toml"])
    assert list(era.pileup.evaluate(np.array([3.0])).shifts) == ["2018UL"]


class Moved(Shift):
    """Muons with more or less momentum."""

    @property
    def paths(self):
        return (("Muon", "pt"),)

    def variations(self, metadata, corrections):
        return {"scaleUp": (1.5,), "scaleDown": (0.75,)}

    def shifted(self, events, amounts):
        return {("Muon", "pt"): events.Muon.pt * amounts[0]}


@settings(max_examples=10)
@given(lists=st.lists(st.lists(made_object, max_size=3), min_size=1, max_size=18))
@example(lists=[[], [OBJECT | {"pt": 24.0}], [OBJECT | {"pt": 38.0}]])
def test_weights_of_a_shape_variation_are_those_of_shifted_objects(file, lists):
    class Shaken(Weighed):
        shifts = (Moved(),)

    corrections = loaded(file, policy="clamp", **TWO)
    found = processed(corrections, lists, Shaken).histograms["n"]
    for name, (factor,) in Moved().variations({}, None).items():
        events = events_of(lists)
        by_hand = replaced(events, {("Muon", "pt"): events.Muon.pt * np.full(len(lists), factor)})
        slow = Processor(Weighed().corrected(corrections)).process(by_hand)["made"]
        expected = slow.histograms["n"]["all", "nominal", :].view(flow=True)
        np.testing.assert_array_equal(found["all", name, :].view(flow=True), expected)


class Read(Weighed):
    """The same analysis, of a file."""

    objects = (Objects("muon", "Muon", (pt > 5,)),)


def test_a_run_names_what_it_applies_and_what_not(file, tmp_path, caplog):
    path = write_nano(tmp_path / "nano.root", 20)
    fileset = fileset_of({path: "Events"}, tree="Events", is_mc=True, era="2018")
    corrections = loaded(file, muon_id=("v2", ""), isolatoin=TWO["isolation"])
    with caplog.at_level("INFO"):
        folder = run(Read().corrected(corrections), fileset, tmp_path / "run", Options("iterative"))
    (line,) = [line for line in caplog.messages if line.startswith("corrections ")]
    assert line == (
        "corrections '2018UL': muon_id; declared, but not used: objects.isolatoin; "
        "not declared: objects.isolation"
    )
    table = folder.candidates("D").to_pydict()
    muons = uproot.open(path)["Events"].arrays(["Muon_pt", "Muon_eta"])
    lists = [
        [OBJECT | {"pt": p, "eta": e} for p, e in zip(*of_event, strict=True)]
        for of_event in zip(muons.Muon_pt.tolist(), muons.Muon_eta.tolist(), strict=True)
    ]
    assert table["weight_muon_id"] == loop(file, "v2", lists)[0]
    (known,) = folder.read("provenance.json")["corrections"]
    assert known["objects"]["muon_id"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
