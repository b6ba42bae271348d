"""The number of Ds of a search: from the yield in other data, by the ratio of luminosities."""

import json
import math
from functools import reduce
from operator import add

import hist
import numpy as np
import pytest
from mass_fits import fit_of, mass_fit

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.errors import InputError
from bphcoffea.results.folder import RunFolder
from bphcoffea.searches.ds_yield import DsYield, UnknownLuminosityError
from bphcoffea.statistics.data_sample import DataSample
from bphcoffea.statistics.histogram_fit import fit_histogram, fit_simulation
from bphcoffea.statistics.mass_fit import Tail
from bphcoffea.toys.ds_phipi import SAMPLES, DsPhiPiToy
from bphcoffea.toys.ds_phipi.generation import Species
from bphcoffea.toys.ds_phipi.samples import DATA_FRACTIONS
from bphcoffea.toys.ds_phipi.truth import find

DATA = {"is_mc": False, "era": "2018D"}
SIMULATION = {"is_mc": True, "era": "2018D", "process": "ds_phipi", "filter_efficiency": 1.0}


@pytest.fixture
def write(tmp_path):
    """Make the folder of a fitted run: of some data, with sections and luminosities."""

    def write(
        name="run", fitted=("one",), luminosities=None, parts=(), sections=None, valid=True, **more
    ):
        folder = tmp_path / name
        folder.mkdir()
        luminosities = {"one": 10.0, "two": 4.0} if luminosities is None else luminosities
        datasets = {known: dict(DATA) for known in luminosities} | {"mc": dict(SIMULATION)}
        for key, metadata in more.pop("metadata", {}).items():
            datasets[key] |= metadata
        source = "fileset" if sections else "table.csv"
        problems = () if valid else ("the fit did not converge",)
        fit = fit_of(list(fitted), ["mc"], 500.0, 50.0, simulated=25.0, problems=problems)
        fit |= more.pop("fit", {})
        files = {
            "ledger": {"complete": True, "partial": more.get("partial", False), "datasets": {}},
            "provenance": {"datasets": datasets},
            "fit": fit,
            "cutflow": {"mc": [{"step": "all", "sumw": 100.0}]},
            "lumis": sections or {},
            "luminosity": {
                "sections_shared": bool(parts),
                "datasets": {
                    n: {"luminosity": value, "source": source} for n, value in luminosities.items()
                },
                "parts": parts
                or [{"datasets": [n], "luminosity": value} for n, value in luminosities.items()],
            },
        }
        for file, content in files.items():
            (folder / f"{file}.json").write_text(json.dumps(content))
        return RunFolder(folder)

    return write


def searched(luminosity=2.5, eras=("2018D",), energies=(13.0,), **more):
    known = {"run": "search", "datasets": ("data",), "complete": True, "partial": False}
    return DataSample(eras=eras, energies=energies, luminosity=luminosity, **{**known, **more})


def test_the_number_of_ds_is_scaled_by_the_ratio_of_luminosities(write):
    fitted = DsYield.of_run(write())
    assert fitted.efficiency == 0.25
    scaled = fitted.for_search(searched(2.5))
    assert scaled.luminosity_ratio == 0.25
    assert scaled.decays == pytest.approx(500 / (2.86e-4 * 0.045 * 0.25) * 2.5 / 10, rel=1e-12)
    assert scaled.uncertainties() == fitted.uncertainties()
    content = json.loads(json.dumps(scaled.as_json()))
    assert content["data"]["datasets"] == ["one"]
    assert (content["data"]["luminosity"], content["search"]["luminosity"]) == (10.0, 2.5)
    assert content["luminosity_ratio"] == 0.25
    assert content["notes"] == []


def test_sections_that_the_fitted_datasets_share_count_once(write):
    parts = [
        {"datasets": ["one"], "luminosity": 6.0},
        {"datasets": ["one", "two"], "luminosity": 4.0},
    ]
    both = DsYield.of_run(write("both", ("one", "two"), parts=parts))
    assert both.data.luminosity == 10.0
    alone = DsYield.of_run(write("alone", ("two",), parts=parts))
    assert alone.data.luminosity == 4.0


def test_without_a_table_shared_sections_leave_the_luminosity_unknown(write):
    """The fileset says it of each dataset, and nobody of what they share."""
    shared = {"one": {"7": [[1, 10]]}, "two": {"7": [[12, 20], [10, 10]]}}
    apart = {"one": {"7": [[1, 10]]}, "two": {"7": [[11, 20]], "8": [[1, 10]]}}
    fitted = ("one", "two")
    assert DsYield.of_run(write("apart", fitted, sections=apart)).data.luminosity == 14.0
    unknown = DsYield.of_run(write("shared", fitted, sections=shared))
    assert unknown.data.luminosity is None
    with pytest.raises(UnknownLuminosityError, match=r"the luminosity of one, two is not known"):
        unknown.for_search(searched())


@pytest.mark.parametrize(("search", "fitted"), [(None, 10.0), (2.5, None), (0.0, 10.0), (2.5, 0.0)])
def test_an_unknown_luminosity_is_refused_unless_the_data_are_the_same(write, search, fitted):
    ds_yield = DsYield.of_run(write(luminosities={"one": fitted}))
    with pytest.raises(UnknownLuminosityError, match=r"^[^\n]* assert that [^\n]* the same data$"):
        ds_yield.for_search(searched(search))
    same = ds_yield.for_search(searched(search), same_data=True)
    assert same.decays == ds_yield.decays
    assert same.as_json()["same_data"]


def test_a_fit_of_simulation_is_no_yield(write):
    for number, fitted in enumerate((("mc",), ("one", "mc"))):
        with pytest.raises(InputError, match=r"its fit is of simulation \(mc\), which has no"):
            DsYield.of_run(write(str(number), fitted))


def test_a_fit_that_is_not_valid_is_no_yield(write):
    with pytest.raises(InputError, match=r"its fit is not valid: the fit did not converge"):
        DsYield.of_run(write(valid=False))


@pytest.mark.parametrize(
    ("metadata", "energies"),
    [
        ({}, (13.6,)),
        ({}, (13.0, 13.6)),
        ({"one": {"era": "2012B"}}, (13.0,)),
        ({"mc": {"era": "2012"}}, (13.0,)),
        ({"mc": {"energy": 8}}, ()),
    ],
)
def test_collision_energies_that_differ_are_refused(write, metadata, energies):
    ds_yield = DsYield.of_run(write(metadata=metadata))
    for same_data in (False, True):
        with pytest.raises(InputError, match=r"the collision energies differ: .* in the search"):
            ds_yield.for_search(searched(energies=energies), same_data=same_data)


def test_energies_that_nobody_knows_do_not_differ(write):
    metadata = {"one": {"era": "Run2"}, "mc": {"era": "Run2"}}
    ds_yield = DsYield.of_run(write(metadata=metadata))
    assert ds_yield.for_search(searched(eras=("Run2",))).luminosity_ratio == 0.25


def test_eras_that_differ_are_noted(write):
    (note,) = DsYield.of_run(write()).for_search(searched(eras=("2018A", "2018B"))).notes
    assert note.startswith("the eras differ: Ds → φπ is fitted in 2018D, the search is made in ")
    assert "2018A, 2018B" in note


def test_both_efficiencies_of_the_metadata_count(write):
    """Σw/(ε_filter·ε_skim) is what was generated: the number of Ds is that times smaller."""
    known = DsYield.of_run(write())
    assert known.remarks == ()
    metadata = {"mc": {"filter_efficiency": 0.02, "skim_efficiency": 0.5}}
    filtered = DsYield.of_run(write("filtered", metadata=metadata))
    assert filtered.efficiency == pytest.approx(0.01 * known.efficiency, rel=1e-12)
    assert filtered.decays == pytest.approx(100 * known.decays, rel=1e-12)
    assert filtered.uncertainties() == known.uncertainties()
    unknown = DsYield.of_run(write("unknown", metadata={"mc": {"filter_efficiency": None}}))
    assert unknown.remarks == ("mc: no filter_efficiency, which is taken to be 1",)
    assert unknown.for_search(searched(eras=("2018A",))).notes[0] == unknown.remarks[0]


def test_the_uncertainties_of_the_number_of_ds(write):
    uncertainties = DsYield.of_run(write(), 0.9, 0.045).uncertainties()
    expected = {
        "ds_yield": 0.1,
        "ds_efficiency": 0.2,
        "ds_fit_model": 0.02,  # 510 events instead of 500, with the same efficiency
        "f_prompt": 0.05,
        "br_ds_phipi": 0.4 / 4.5,
        "br_phi_mumu": 0.19 / 2.86,
    }
    assert uncertainties == pytest.approx(expected)


def test_the_second_model_has_an_efficiency_of_its_own(write):
    simulation = {"ds": {"datasets": ["mc"], **mass_fit(25.5, 6.0)}}
    fit = {"alternative": {**mass_fit(510.0, 60.0), "simulation": simulation}}
    assert DsYield.of_run(write(fit=fit)).fit_model == pytest.approx(0, abs=1e-12)


def test_a_second_model_that_is_not_valid_is_noted(write):
    simulation = {"ds": {"datasets": ["mc"], **mass_fit(25.0, 6.0)}}
    fit = {"alternative": {**mass_fit(510.0, 60.0, "no minimum"), "simulation": simulation}}
    known = DsYield.of_run(write(fit=fit))
    assert "ds_fit_model" not in known.uncertainties()
    assert known.remarks == (
        "no uncertainty of the fit's model: its alternative is not valid: no minimum",
    )


def test_without_a_fit_of_simulation_there_is_no_efficiency(write):
    with pytest.raises(InputError, match=r"no fit of simulated 'ds'.*then: bphcoffea fit"):
        DsYield.of_run(write(fit={"simulation": {}}))
    few = {"ds": {"datasets": ["mc"], **mass_fit(5.0, 1.0, "only 5 effective entries")}}
    with pytest.raises(InputError, match=r"efficiency is unknown.* of mc is not valid: only 5"):
        DsYield.of_run(write("few", fit={"simulation": few}))


MODEL = MassModel(
    histogram="mass",
    peaks=(
        Peak(name="ds", label="", mass=1.968, width=0.010, process="ds_phipi"),
        Peak(name="dplus", label="", mass=1.870, width=0.010, process="dplus_phipi"),
    ),
)


def toy(events, fractions, rng):
    """Masses of what is selected of toy events, and how many Ds → φπ were generated."""
    parts = []
    for number in np.diff(np.append(np.arange(0, events, 50_000), events)):
        species = rng.choice(np.array(list(fractions)), number, p=list(fractions.values()))
        parts.append(find(DsPhiPiToy().simulate(species, SAMPLES[1], rng)))
    found = reduce(add, parts)
    histogram = hist.Hist(hist.axis.Regular(62, 1.65, 2.01), storage=hist.storage.Weight())
    return histogram.fill(found.mass), found.generated["ds_phipi"]


def simulation():
    """Toys of both peaks, with the tracks of other particles that are taken for the pion."""
    rng = np.random.default_rng(1)
    ds, generated = toy(100_000, {Species.DS: 1.0}, rng)
    return {"ds": ds, "dplus": toy(50_000, {Species.DPLUS: 1.0}, rng)[0]}, generated


def test_the_number_of_ds_is_that_of_three_toys():
    """All candidates of the simulation, as its efficiency, would make the numbers 5% too small."""
    spectra, of_simulation = simulation()
    fits = fit_simulation(spectra, MODEL)
    simulated = fits["ds"].parameters["n_ds"]
    ratios, errors = [], []
    for seed in (1, 2, 3):
        data, generated = toy(300_000, DATA_FRACTIONS, np.random.default_rng([7, seed]))
        fit = fit_histogram(data, MODEL, tail=Tail.of(fits.values(), "toys"))
        assert fit.valid
        n = fit.parameters["n_ds"]
        ratios.append(n.value / simulated.value * of_simulation / generated)
        errors.append(n.error / n.value)
    common = simulated.error / simulated.value
    # two standard deviations each; one of the mean, 1.6%, of which the simulation is common
    assert np.all(np.abs(np.array(ratios) - 1) < 2 * np.hypot(errors, common))
    assert abs(np.mean(ratios) - 1) < math.hypot(np.mean(errors) / math.sqrt(3), common)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"prompt": 0.0}, "not between 0 and 1"),
        ({"prompt": 1.5}, "not between 0 and 1"),
    ],
)
def test_a_fraction_is_one(change, line, tmp_path):
    (tmp_path / "ledger.json").write_text("{}")
    with pytest.raises(InputError, match=line):
        DsYield.of_run(RunFolder(tmp_path), **change)


def test_a_run_that_was_not_fitted_is_told(tmp_path):
    (tmp_path / "ledger.json").write_text("{}")
    with pytest.raises(InputError, match="not fitted; do so with: bphcoffea fit"):
        DsYield.of_run(RunFolder(tmp_path))
