"""Record of an analysis, as it is written to ``analysis.json``."""

import json
import math
from types import MappingProxyType

import pytest

from bphcoffea.analysis import (
    Analysis,
    AnalysisRecord,
    Axis,
    Blind,
    Candidates,
    Categories,
    Cut,
    Hidden,
    Histogram,
    MassModel,
    Peak,
    Selection,
    Variable,
)
from bphcoffea.execution import load_analysis

MASS = Variable("m", lambda events: events.mass, "$m$", "GeV", Axis(10, 0, 5))
SIDE = Variable("side", lambda events: events.side)


class Described(Analysis):
    """A search for nothing.

    More text.
    """

    candidates = Candidates("Pair", best=SIDE)
    selection = Selection(Cut("sound", -math.inf < MASS, MASS < 4.5))
    cuts_on_best = (Cut("late", SIDE >= 0),)
    histograms = (Histogram("mass", MASS, Axis(10, 0, 5), log_y=True, resonances=(("J", 3.1),)),)
    categories = Categories(("A", "B"), SIDE)
    blind = Blind("mass", windows={"A": ((1.0, 2.0),), "B": ((1.5, 2.5),)})
    mass_fit = MassModel(
        histogram="mass", peaks=(Peak(name="j", label="J", mass=3.1, width=0.1),), range=(2.5, 4)
    )
    absent = MappingProxyType({"trigger": "not simulated"})


def test_keys_and_values_of_analysis_json():
    hidden = Hidden(((1.0, 2.5),), (1.7,))
    record = Described().hiding(hidden).describe({"mc": ("upUp", "upDown")})
    spectrum = {
        "variable": "m",
        "label": "$m$",
        "unit": "GeV",
        "counted": "Candidates",
        "others": [],
    }
    assert record.model_dump(mode="json") == {
        "name": "test_description",
        "title": "A search for nothing",
        "collection": "Pair",
        "objects": [],
        "cuts": [
            {"name": "sound", "requirements": ["m > -inf GeV", "m < 4.5 GeV"]},
            {"name": "late", "requirements": ["side ≥ 0"]},
        ],
        "best": "side",
        "categories": {"A": "A", "B": "B"},
        "regions": [],
        "classifier": None,
        "scores": [],
        "measurements": [],
        "shapes": [],
        "histograms": {
            "mass": {
                **spectrum,
                "log_y": True,
                "resonances": [{"label": "J", "mass": 3.1}],
                "n_minus_1": None,
                "bounds": [],
                "kept": None,
                "kept_in": {},
                "regions": {},
            },
            "nminus1_m": {
                **spectrum,
                "log_y": False,
                "resonances": [],
                "n_minus_1": "sound",
                "bounds": [4.5],
                "kept": [[None, 4.5]],
                "kept_in": {},
                "regions": {},
            },
        },
        "overlay_signal": False,
        "blind": {
            "histogram": "mass",
            "variable": "m",
            "unit": "GeV",
            "windows": [[1.0, 2.5]],
            "by_category": {"A": [[1.0, 2.0]], "B": [[1.5, 2.5]]},
            "blinded": True,
            "hidden": [[1.0, 2.5]],
            "masses": [1.7],
        },
        "search": None,
        "absent": {"trigger": "not simulated"},
        "fit": {
            "histogram": "mass",
            "peaks": [
                {
                    "name": "j",
                    "label": "J",
                    "mass": 3.1,
                    "width": 0.1,
                    "mass_window": 0.02,
                    "natural_width": 0.0,
                    "process": "",
                }
            ],
            "range": [2.5, 4.0],
            "shape": "crystal_ball",
            "background": "exponential",
        },
        "variations": {"mc": ["upUp", "upDown"]},
    }


@pytest.mark.parametrize("name", ["ds_phipi", "tau3mu", "hnl", "dimuon"])
def test_a_record_is_read_back(name):
    record = load_analysis(name).describe()
    text = json.dumps(record.model_dump(mode="json"), allow_nan=False)
    assert AnalysisRecord.model_validate_json(text) == record


def test_a_record_of_an_older_version_lacks_keys():
    content = {"name": "old", "blind": {"histogram": "mass", "windows": []}, "gone": 1}
    record = AnalysisRecord.model_validate(content)
    assert (record.blind.hidden, record.variations, record.search) == ((), {}, None)


def test_histograms_of_quantities_of_the_event_count_events():
    records = Described().describe(per_event=("m",)).histograms
    # N-1 histograms are filled once for each candidate
    counted = {name: record.counted for name, record in records.items()}
    assert counted == {"mass": "Events", "nminus1_m": "Candidates"}
    assert Described().describe(per_event=("side",)).histograms["mass"].counted == "Candidates"
