"""Scale factors of which a text input depends on the object, as for the vetoes of photons."""

import itertools
import math

import pytest
from correction_files import category, correction, evaluator, multibinning, stored
from hypothesis import given
from hypothesis import strategies as st
from objects_with_factors import OBJECT, evaluated, events_of, made_object

from bphcoffea.analysis import ObjectWeight
from bphcoffea.corrections import load_corrections
from bphcoffea.errors import CorrectionsError

BINS = ("EBInc", "EBHighR9", "EBLowR9", "EEInc", "EEHighR9", "EELowR9")
VALUES = {"sf": 1.0, "sfup": 1.1, "sfdown": 0.85}
TEXTS = dict.fromkeys(("year", "ValType", "WorkingPoint", "CSEVBin"), "string")
#: The objects have no R9; another small number stands for it.
RANGES = """
EBHighR9 = { abseta = [0, 1.5], deltaEtaSC = [0.02, inf] }
EBLowR9 = { abseta = [0, 1.5] }
EEHighR9 = { abseta = [1.5, 2.2], deltaEtaSC = [0.02, inf] }
EELowR9 = { abseta = [1.5, inf] }
"""
WEIGHT = ObjectWeight("veto", "Muon", after=None)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    def veto(content):
        types = {
            key: category("CSEVBin", {name: content(i, value) for i, name in enumerate(BINS)})
            for key, value in VALUES.items()
        }
        return category("year", {"2018": category("ValType", types)})

    def by_point(content):
        return category("WorkingPoint", {"Medium": content})

    def in_bins(i, value):
        edges = [[0.0, 30.0, 200.0]]
        return by_point(multibinning(["pt"], edges, [value + i / 20, value - i / 20], "clamp"))

    return stored(
        tmp_path_factory.mktemp("photon") / "photon.json",
        correction("Photon-CSEV-ID-SF", TEXTS, veto(lambda i, value: by_point(value + i / 20))),
        correction("by_pt", {**TEXTS, "pt": "real"}, veto(in_bins)),
    )


def loaded(file, name="Photon-CSEV-ID-SF", ranges=RANGES, inputs='year = "2018"', of="CSEVBin"):
    path = file.with_suffix(".toml")
    path.write_text(
        f'name = "2018"\neras = ["*"]\n[objects.veto]\nfile = "{file.name}"\nname = "{name}"\n'
        f'out_of_range = "clamp"\ninputs = {{ {inputs} }}\n[objects.veto.keys.{of}]\n{ranges}'
    )
    return load_corrections([path])


def key_of(item):
    high = item["deltaEtaSC"] >= 0.02
    if abs(item["eta"]) < 1.5:
        return "EBHighR9" if high else "EBLowR9"
    return "EEHighR9" if high and abs(item["eta"]) < 2.2 else "EELowR9"


@pytest.mark.parametrize("name", ["Photon-CSEV-ID-SF", "by_pt"])
@given(st.lists(st.lists(made_object, max_size=3), min_size=1, max_size=4))
def test_weights_are_products_of_a_loop_over_objects(file, name, lists):
    oracle = evaluator(file, name)
    numbers = {"by_pt": ("pt",)}.get(name, ())

    def products(value):
        return [
            math.prod(
                oracle.evaluate("2018", value, "Medium", key_of(i), *(float(i[n]) for n in numbers))
                for i in one
            )
            for one in lists
        ]

    factor, shifts = evaluated(WEIGHT, events_of(lists), loaded(file, name))
    assert factor.nominal.tolist() == pytest.approx(products("sf"), rel=1e-12)
    ((up, down),) = shifts.values()
    assert up == pytest.approx(products("sfup"), rel=1e-12)
    assert down == pytest.approx(products("sfdown"), rel=1e-12)


def test_every_key_is_taken(file):
    places = itertools.product((0.5, 2.0), (0.0, 0.1))
    items = [{**OBJECT, "eta": eta, "deltaEtaSC": r9} for eta, r9 in places]
    factor, _ = evaluated(WEIGHT, events_of([[item] for item in items]), loaded(file))
    assert factor.nominal.tolist() == pytest.approx([1.1, 1.05, 1.25, 1.2])


def test_an_object_without_a_key_is_refused(file):
    corrections = loaded(file, ranges="EBInc = { abseta = [0, 1.5] }")
    lists = [[OBJECT], [{**OBJECT, "eta": 2.0}, {**OBJECT, "eta": 1.75}]]
    with pytest.raises(CorrectionsError, match=r"2 of 3 objects have no key .*abseta = 2"):
        evaluated(WEIGHT, events_of(lists), corrections)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"of": "HasPixBin"}, "has no text input 'HasPixBin' without a fixed key"),
        ({"inputs": 'CSEVBin = "EBInc"'}, "has no text input 'CSEVBin' without a fixed key"),
        ({"ranges": "EB = { abseta = [0, 1] }"}, "has no key 'EB' .*it has: EBInc, EBHighR9"),
        ({"ranges": "EBInc = { abseta = [0] }"}, r"objects\.veto\.keys\.CSEVBin\.EBInc\.abseta"),
        ({"ranges": "EBInc = { abseta = [2, 1] }"}, "the range of 'abseta' must begin below"),
    ],
)
def test_faults_of_keys_are_one_line(file, change, message):
    with pytest.raises(CorrectionsError, match=message) as caught:
        loaded(file, **change)
    assert len(str(caught.value).splitlines()) == 1
