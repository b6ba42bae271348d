"""Momenta of leptons against coffea and correctionlib called by hand, lepton by lepton."""

import functools
import itertools
import math
import pickle

import awkward as ak
import correctionlib
import energy_payloads
import numpy as np
import pytest
import uproot
from coffea.lookup_tools.doublecrystalball import doublecrystalball
from coffea.lookup_tools.rochester_lookup import rochester_lookup
from coffea.lookup_tools.txt_converters import convert_rochester_file
from samples import SlimNanoAODSchema
from scipy.special import erf, erfinv

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    ElectronEnergy,
    Histogram,
    MuonMomentum,
    Objects,
    Region,
    Selection,
    TauEnergy,
    Variable,
    each,
    number_of,
    quantity,
)
from bphcoffea.analysis.shifts import noise, replaced, uniform_noise
from bphcoffea.corrections import load_corrections
from bphcoffea.errors import CorrectionsError, DeclarationError
from bphcoffea.inputs import form_of
from bphcoffea.processing.processor import Processor
from bphcoffea.processing.tracing import branch_needs

pytestmark = pytest.mark.samples

SIDES = {"Up": True, "Down": False}
ROCHESTER = '[muon_momentum.Muon]\nfile = "RoccoR.txt"\n'
SCARE = '[muon_momentum.Muon]\nfile = "scare.json"\nmin_pt = 10.0\n'
EGAMMA = """
[electron_energy.Electron]
file = "egamma.json"
scale = "EGMScale_Compound_Ele_2022preEE"
smearing = "EGMSmearAndSyst_ElePTsplit_2022preEE"
min_pt = 15.0
"""
RUN2 = """
[electron_energy.Electron]
file = "egamma_run2.json"
scale_uncertainty = "UL-EGM_ScaleUnc"
inputs = { year = "2018" }
branches = ["resolution"]
"""
BRANCHES = '[electron_energy.Electron]\nbranches = ["scale", "resolution"]\n'
TAUS = """
[tau_energy.Tau]
file = "taus.json"
name = "tau_energy_scale"
out_of_range = "clamp"
inputs = { id = "DeepTau2018v2p5", wp = "Medium" }
"""
CALIBRATIONS = {
    "muon": MuonMomentum("Muon", met="PuppiMET"),
    "electron": ElectronEnergy("Electron", met="PuppiMET"),
    "tau": TauEnergy("Tau", met="PuppiMET"),
}
OF = {ROCHESTER: "muon", SCARE: "muon", EGAMMA: "electron", RUN2: "electron"}
OF |= {BRANCHES: "electron", TAUS: "tau", TAUS + "split = true\n": "tau"}


@pytest.fixture(scope="module")
def payloads(nanoaod, tmp_path_factory):
    folder = tmp_path_factory.mktemp("payloads")
    energy_payloads.rochester(nanoaod / "RoccoR2018.txt.gz", folder / "RoccoR.txt")
    energy_payloads.scare(folder / "scare.json")
    energy_payloads.egamma(folder / "egamma.json")
    energy_payloads.egamma_run2(folder / "egamma_run2.json")
    energy_payloads.taus(folder / "taus.json")
    return folder


@pytest.fixture(scope="module")
def corrections(payloads):
    numbers = itertools.count()

    @functools.cache
    def corrections(text, name="2022"):
        path = payloads / f"{next(numbers)}.toml"
        path.write_text(f'name = "{name}"\neras = ["*"]\n{text}')
        return load_corrections([path])

    return corrections


@pytest.fixture(scope="module")
def events(slim_tt, open_events):
    """Events of tt̄; the taus have every origin, the electrons the branches of Run 2."""
    whole = open_events(slim_tt, SlimNanoAODSchema, "Events")
    origins = np.arange(ak.sum(ak.num(whole.Tau))) % 6
    taus = ak.with_field(whole.Tau, ak.unflatten(origins, ak.num(whole.Tau)), "genPartFlav")
    electrons = whole.Electron
    rng = np.random.default_rng(5)
    for name in ("dEscaleUp", "dEscaleDown", "dEsigmaUp", "dEsigmaDown"):
        numbers = rng.normal(0, 1, ak.sum(ak.num(electrons))).astype(np.float32)
        electrons = ak.with_field(electrons, ak.unflatten(numbers, ak.num(electrons)), name)
    whole = ak.with_field(ak.with_field(whole, taus, "Tau"), electrons, "Electron")

    def events(**metadata):
        known = {"dataset": "tt", "is_mc": True, "era": "2022C", "hlt": ()} | metadata
        return ak.with_parameter(whole, "metadata", known)

    return events


def resolved(text, corrections, is_mc=True):
    metadata = {"is_mc": is_mc, "era": "2022C"}
    return CALIBRATIONS[OF[text]].resolved(metadata, corrections(text).for_era("2022C"))


def same(got, expected):
    assert ak.to_list(got) == ak.to_list(expected)


def numbers(objects, *names):
    """Flat columns of doubles."""
    return [ak.to_numpy(ak.flatten(objects[name])).astype(np.float64) for name in names]


def moved(calibration, events):
    """The calibrated events, and the fields of each variation."""
    calibrated = calibration.calibrate(events)
    return calibrated, {
        source + side: calibration.varied(calibrated, source, up=up)
        for source in calibration.sources
        for side, up in SIDES.items()
    }


def balances(met, original, met_original, objects):
    """Check event by event that the missing momentum balances the change of objects."""
    lists = (met["pt"], met["phi"], met_original.pt, met_original.phi)
    lists = map(ak.to_list, (*lists, original.pt, original.phi, objects))
    for pt, phi, pt_before, phi_before, *of_objects in zip(*lists, strict=True):
        x, y = pt_before * math.cos(phi_before), pt_before * math.sin(phi_before)
        for old, angle, new in zip(*of_objects, strict=True):
            x -= (new - old) * math.cos(angle)
            y -= (new - old) * math.sin(angle)
        # the momentum of the file is a float
        assert pt == pytest.approx(math.hypot(x, y), rel=1e-5)
        assert phi == pytest.approx(math.atan2(y, x), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ["RoccoR.txt", "RoccoR2018.txt.gz"])
def test_rochester_is_that_of_coffea(events, corrections, payloads, nanoaod, name):
    """Uncertainties of the real file take coffea seconds, for each of its hundred members."""
    whole = events()
    path = payloads / name if name == "RoccoR.txt" else nanoaod / name
    text = ROCHESTER.replace("RoccoR.txt", str(path))
    OF[text] = "muon"
    calibration = resolved(text, corrections)
    lookup = rochester_lookup(convert_rochester_file(str(path)))
    muons = whole.Muon
    gen = ak.fill_none(muons.matched_gen.pt, 0)
    assert 20 < ak.sum(gen > 0) < ak.count(gen) - 20

    def factors(suffix):
        some, others = muons[gen > 0], muons[gen == 0]
        spread = getattr(lookup, f"kSpreadMC{suffix}")(
            some.charge, some.pt, some.eta, some.phi, gen[gen > 0]
        )
        random = uniform_noise(muons)[gen == 0]
        smear = getattr(lookup, f"kSmearMC{suffix}")(
            others.charge, others.pt, others.eta, others.phi, others.nTrackerLayers, random
        )
        flat = np.zeros(ak.count(gen))
        matched = ak.to_numpy(ak.flatten(gen > 0))
        flat[matched] = ak.flatten(spread)
        flat[~matched] = ak.flatten(smear)
        return ak.unflatten(flat, ak.num(muons))

    calibrated = calibration.calibrate(whole)
    same(calibrated.Muon.pt, muons.pt * factors(""))
    same(calibrated.Muon.pt_orig, muons.pt)
    assert ak.any(calibrated.Muon.pt != muons.pt)
    if name == "RoccoR.txt":
        nominal, errors = factors(""), factors("error")
        assert ak.all(errors > 0)
        for up, shifted in ((True, nominal + errors), (False, nominal - errors)):
            variation = calibration.varied(calibrated, "muon_momentum", up=up)
            same(variation["Muon", "pt"], muons.pt * shifted)
    assert calibration.sources == ("muon_momentum",)
    balances(
        {"pt": calibrated.PuppiMET.pt, "phi": calibrated.PuppiMET.phi},
        muons,
        whole.PuppiMET,
        calibrated.Muon.pt,
    )
    data = resolved(text, corrections, is_mc=False)
    assert data.variations({"is_mc": False}, None) == {}
    scale = lookup.kScaleDT(muons.charge, muons.pt, muons.eta, muons.phi)
    same(data.calibrate(whole).Muon.pt, muons.pt * scale)


def test_uncertainties_of_rochester_are_those_of_the_muons_at_hand(events, corrections):
    """They are kept for the variation down of the same muons."""
    used, fresh = (resolved(ROCHESTER, corrections) for _ in range(2))
    whole = events()
    other = ak.with_field(whole, 1.1 * whole.Muon.pt, ["Muon", "pt"])
    moved(used, whole)
    for variations in zip(*(moved(one, other)[1].values() for one in (used, fresh)), strict=True):
        same(*(fields["Muon", "pt"] for fields in variations))


def crystal_ball(u, mean, sigma, n, alpha):
    """Quantile of the double-sided Crystal Ball, as it is published [CMS, MUO]."""
    core = np.sqrt(2 * np.pi) * erf(alpha / np.sqrt(2))
    tail = n / alpha / (n - 1) * np.exp(-(alpha**2) / 2)
    total = core + 2 * tail
    nearer = min(u, 1 - u) * total
    if nearer < tail:
        far = n / alpha * (1 - alpha**2 / n - (tail / nearer) ** (1 / (n - 1)))
        return mean + sigma * (far if u < 0.5 else -far)
    return mean + sigma * np.sqrt(2) * erfinv((2 * u - 1) * total / np.sqrt(2 * np.pi))


def test_muonscarekit_is_correctionlib_by_hand(events, corrections, payloads):
    whole = events()
    calibration = resolved(SCARE, corrections)
    assert calibration.sources == ("muon_scale", "muon_resolution")
    calibrated, variations = moved(calibration, whole)
    file = correctionlib.CorrectionSet.from_file(str(payloads / "scare.json"))
    value = {name: file[name].evaluate for name in file}
    columns = numbers(whole.Muon, "pt", "eta", "phi", "charge", "nTrackerLayers")
    random = ak.to_numpy(ak.flatten(uniform_noise(whole.Muon)))
    expected = {"nominal": [], **{name: [] for name in variations}}
    inside = 0
    shape = [
        [value["cb_params"](abs(eta), layers, i) for i in range(4)]
        for eta, layers in zip(columns[1], columns[4], strict=True)
    ]
    mean, sigma, n, alpha = np.transpose(shape)
    drawn = doublecrystalball.ppf(random, alpha, alpha, n, n, loc=mean, scale=sigma)
    published = [crystal_ball(u, *of) for u, of in zip(random, shape, strict=True)]
    np.testing.assert_allclose(drawn, published, rtol=1e-9, atol=1e-9)
    for pt, eta, phi, charge, layers, number in zip(*columns, drawn, strict=True):
        a, m = (value[f"{part}_mc"](eta, phi, "nom") for part in "am")
        usable = 10 <= pt <= 200
        inside += usable
        scaled = 1 / (m / pt + charge * a) if usable else pt
        one, two, three = (value["poly_params"](abs(eta), layers, i) for i in range(3))
        width = max(one + two * scaled + three * scaled * scaled, 0)
        k_mc, k_stat = (value["k_mc"](abs(eta), key) for key in ("nom", "stat"))
        k = np.sqrt(max(value["k_data"](abs(eta), "nom") ** 2 - k_mc**2, 0))
        smeared = scaled * (1 + k * width * number)
        if not 10 <= scaled <= 200 or not 0.1 <= smeared / scaled <= 2:
            smeared = scaled
        expected["nominal"].append(smeared)
        stat_a, stat_m = (value[f"{part}_mc"](eta, phi, "stat") for part in "am")
        rho = value["m_mc"](eta, phi, "rho_stat")
        variance = stat_m * stat_m / (smeared * smeared) + stat_a * stat_a
        variance += 2 * charge * rho * stat_m / smeared * stat_a
        error = smeared * smeared * np.sqrt(max(variance, 0))
        change = (smeared / scaled - 1) / k_mc
        for side, sign in (("Up", 1), ("Down", -1)):
            expected[f"muon_scale{side}"].append(smeared + sign * error)
            pt_resolution = scaled * (1 + (k_mc + sign * k_stat) * change)
            expected[f"muon_resolution{side}"].append(pt_resolution)
    assert 10 < inside < len(random) - 10
    assert ak.to_list(ak.flatten(calibrated.Muon.pt)) == expected["nominal"]
    for name, fields in variations.items():
        assert ak.to_list(ak.flatten(fields["Muon", "pt"])) == expected[name]
        assert expected[name] != expected["nominal"]
        met = {field: fields["PuppiMET", field] for field in ("pt", "phi")}
        balances(met, whole.Muon, whole.PuppiMET, fields["Muon", "pt"])
    data = resolved(SCARE, corrections, is_mc=False).calibrate(whole)
    for pt, (old, eta, phi, charge, _) in zip(
        ak.flatten(data.Muon.pt), zip(*columns, strict=True), strict=True
    ):
        a, m = (value[f"{part}_data"](eta, phi, "nom") for part in "am")
        assert pt == (1 / (m / old + charge * a) if 10 <= old <= 200 else old)


def test_electrons_of_run_3_are_correctionlib_by_hand(events, corrections, payloads):
    whole = events()
    calibration = resolved(EGAMMA, corrections)
    assert calibration.sources == ("electron_scale", "electron_resolution")
    calibrated, variations = moved(calibration, whole)
    file = correctionlib.CorrectionSet.from_file(str(payloads / "egamma.json"))
    smearing = file["EGMSmearAndSyst_ElePTsplit_2022preEE"].evaluate
    columns = numbers(whole.Electron, "pt", "eta", "deltaEtaSC", "r9", "seedGain")
    flat = ak.flatten(whole.Electron)
    supercluster = ak.to_numpy(flat.eta + flat.deltaEtaSC).astype(np.float64)
    random = ak.to_numpy(ak.flatten(noise(whole.Electron)))
    expected = {"nominal": [], **{name: [] for name in variations}}
    for (pt, _, _, r9, _), eta, number in zip(
        zip(*columns, strict=True), supercluster, random, strict=True
    ):
        width, width_error, error = (
            smearing(key, pt, r9, abs(eta)) if pt >= 15 else 0.0
            for key in ("smear", "esmear", "escale")
        )
        expected["nominal"].append(pt * (1 + width * number))
        for side, sign in (("Up", 1), ("Down", -1)):
            expected[f"electron_scale{side}"].append((1 + sign * error) * pt * (1 + width * number))
            smeared = pt * (1 + (width + sign * width_error) * number)
            expected[f"electron_resolution{side}"].append(smeared)
    assert 10 < np.sum(columns[0] < 15) < len(random) - 50
    got = {"nominal": calibrated.Electron.pt}
    got |= {name: fields["Electron", "pt"] for name, fields in variations.items()}
    for name, pt in got.items():
        # the product of three factors may be rounded in another order
        np.testing.assert_allclose(ak.flatten(pt), expected[name], rtol=3e-16)
    data = resolved(EGAMMA, corrections, is_mc=False).calibrate(whole)
    scale = file.compound["EGMScale_Compound_Ele_2022preEE"].evaluate
    run = np.repeat(ak.to_numpy(whole.run).astype(np.float64), ak.num(whole.Electron))
    for new, r, (pt, _, _, r9, gain), eta in zip(
        ak.flatten(data.Electron.pt), run, zip(*columns, strict=True), supercluster, strict=True
    ):
        assert new == (pt * scale("scale", r, eta, r9, abs(eta), pt, gain) if pt >= 15 else pt)


def test_electrons_of_run_2_have_their_uncertainties(events, corrections, payloads):
    whole = events()
    uncertainty = correctionlib.CorrectionSet.from_file(str(payloads / "egamma_run2.json"))
    factor = uncertainty["UL-EGM_ScaleUnc"].evaluate
    electrons = ak.flatten(whole.Electron)
    pt, eta = numbers(whole.Electron, "pt", "eta")
    supercluster = ak.to_numpy(electrons.eta + electrons.deltaEtaSC).astype(np.float64)
    gain = ak.to_numpy(electrons.seedGain).astype(np.int64)
    energy = pt * np.cosh(eta)
    for text in (RUN2, BRANCHES):
        calibrated, variations = moved(resolved(text, corrections), whole)
        same(calibrated.Electron.pt, whole.Electron.pt)
        same(calibrated.PuppiMET.pt, whole.PuppiMET.pt)
        for side in SIDES:
            # differences are the nominal energy minus the shifted one
            width, scale = numbers(whole.Electron, f"dEsigma{side}", f"dEscale{side}")
            resolution = variations[f"electron_resolution{side}"]["Electron", "pt"]
            assert ak.to_list(ak.flatten(resolution)) == (pt * (1 - width / energy)).tolist()
            of_scale = ak.to_list(ak.flatten(variations[f"electron_scale{side}"]["Electron", "pt"]))
            if text == BRANCHES:
                assert of_scale == (pt * (1 - scale / energy)).tolist()
            else:
                factors = factor("2018", f"scale{side.lower()}", supercluster, gain)
                assert of_scale == (pt * factors).tolist()
    assert resolved(RUN2, corrections, is_mc=False) is None


@pytest.mark.parametrize("split", [False, True])
def test_taus_are_correctionlib_by_hand(events, corrections, payloads, split):
    whole = events()
    calibration = resolved(TAUS + "split = true\n" * split, corrections)
    calibrated, variations = moved(calibration, whole)
    factor = correctionlib.CorrectionSet.from_file(str(payloads / "taus.json"))["tau_energy_scale"]
    parts = {
        "dm0": ((5,), (0,)),
        "dm1": ((5,), (1, 2)),
        "dm10": ((5,), (10,)),
        "dm11": ((5,), (11,)),
        "electron_dm0": ((1, 3), (0,)),
        "electron_dm1": ((1, 3), (1, 2)),
        "muon": ((2, 4), (0, 1, 2, 10, 11)),
    }
    sources = [f"tau_scale_{part}" for part in parts] if split else ["tau_scale"]
    assert calibration.sources == tuple(sources)
    columns = numbers(whole.Tau, "pt", "mass", "eta", "decayMode", "genPartFlav")
    assert {5.0, 6.0} < set(columns[3])
    for name, fields in {"nominal": None, **variations}.items():
        source = name.removesuffix("Up").removesuffix("Down")
        side = "up" if name.endswith("Up") else "down"
        origins, modes = parts.get(source.removeprefix("tau_scale_"), (range(7), range(12)))
        pts, masses = [], []
        for pt, mass, eta, mode, origin in zip(*columns, strict=True):
            value = 1.0
            if mode in (0, 1, 2, 10, 11):
                chosen = name != "nominal" and origin in origins and mode in modes
                syst = side if chosen else "nom"
                # the lowest bin begins at 20 GeV
                arguments = (pt, eta, int(mode), int(origin), "DeepTau2018v2p5", "Medium", syst)
                value = factor.evaluate(*arguments)
            pts.append(value * pt)
            masses.append(value * mass)
        new = {"pt": calibrated.Tau.pt, "mass": calibrated.Tau.mass}
        if fields is not None:
            new = {field: fields["Tau", field] for field in new}
        assert ak.to_list(ak.flatten(new["pt"])) == pts
        assert ak.to_list(ak.flatten(new["mass"])) == masses
    assert ak.any(calibrated.Tau.pt != whole.Tau.pt)
    assert resolved(TAUS, corrections, is_mc=False) is None


pt, eta = quantity("pt", unit="GeV"), quantity("eta")
met = Variable("met", lambda e: e.PuppiMET.pt, unit="GeV", axis=Axis(50, 0, 500))
leptons = Variable("ht", lambda e: sum(ak.sum(e[n].pt, axis=1) for n in OBJECTS), unit="GeV")
mass = Variable("mass", lambda e: ak.sum(e.tau.mass, axis=1), unit="GeV")
OBJECTS = ("muon", "electron", "tau")


class Leptons(Analysis):
    """Events with leptons."""

    schema = SlimNanoAODSchema
    calibrations = tuple(CALIBRATIONS.values())
    objects = tuple(
        Objects(name, name.title(), (pt > 12, eta.magnitude() < 2.5)) for name in OBJECTS
    )
    selection = Selection(Cut("leptons", leptons > 15), Cut("met", met > 20))
    regions = (Region("muons", number_of("muon") >= 1),)
    histograms = (
        Histogram("met", met, Axis(400, 0, 500)),
        Histogram("ht", leptons, Axis(400, 0, 500)),
        Histogram("mass", mass, Axis(100, 0, 3)),
        *(Histogram(f"{n}_pt", each(n, pt), Axis(400, 0, 200)) for n in OBJECTS[:2]),
    )


class Uncalibrated(Leptons):
    calibrations = ()


EVERYTHING = SCARE + EGAMMA + TAUS


def test_variations_are_analyses_of_events_shifted_by_hand(events, corrections):
    """The missing momentum by hand is the sum of the changes of all leptons."""
    declared = corrections(EVERYTHING)

    def chosen():
        whole = events()
        for name in map(str.title, OBJECTS):
            # the first events have no leptons
            objects = whole[name][(whole[name].pt > 0) & (np.arange(len(whole)) >= 5)]
            whole = ak.with_field(whole, objects, name)
        return whole

    (result,) = Processor(Leptons().corrected(declared)).process(chosen()).values()
    known = {"is_mc": True}, declared.for_era("2022C")
    calibrations = [c.resolved(*known) for c in CALIBRATIONS.values()]
    names = [name for c in calibrations for name in c.variations(*known)]
    assert len(names) == 10
    original = chosen()
    calibrated = functools.reduce(lambda moved, c: c.calibrate(moved), calibrations, original)
    for name in ("nominal", *names):
        moved = calibrated
        for calibration in calibrations:
            if name in calibration.variations(*known):
                amounts = calibration.variations(*known)[name]
                everywhere = [np.full(len(moved), amount) for amount in amounts]
                moved = replaced(moved, calibration.shifted(moved, everywhere))
        x = original.PuppiMET.pt * np.cos(original.PuppiMET.phi)
        y = original.PuppiMET.pt * np.sin(original.PuppiMET.phi)
        for collection in map(str.title, OBJECTS):
            before = original[collection]
            change = moved[collection].pt - before.pt
            x = x - ak.sum(change * np.cos(before.phi), axis=1)
            y = y - ak.sum(change * np.sin(before.phi), axis=1)
        moved = ak.with_field(moved, np.hypot(x, y), ["PuppiMET", "pt"])
        moved = ak.with_field(moved, np.arctan2(y, x), ["PuppiMET", "phi"])
        (slow,) = Processor(Uncalibrated()).process(moved).values()
        for histogram, contents in result.histograms.items():
            if histogram.startswith("nminus1"):
                continue
            assert list(contents.axes["variation"]) == ["nominal", *names]
            for category in ("all", "muons"):
                np.testing.assert_array_equal(
                    contents[category, name, :].view(flow=True),
                    slow.histograms[histogram][category, "nominal", :].view(flow=True),
                )
    contents = result.histograms["met"]
    assert contents["all", "nominal", sum].value > 50
    nominal = contents["all", "nominal", :].values()
    for name in names:
        assert not np.array_equal(contents["all", name, :].values(), nominal)


def test_data_are_corrected_but_not_varied(events, corrections):
    analysis = Leptons().corrected(corrections(EVERYTHING))
    (result,) = Processor(analysis).process(events(is_mc=False)).values()
    (plain,) = Processor(Uncalibrated()).process(events(is_mc=False)).values()
    assert list(result.histograms["met"].axes["variation"]) == ["nominal"]
    for name in ("muon_pt", "electron_pt", "met"):
        assert result.histograms[name] != plain.histograms[name]
    calibrations = analysis.for_dataset(events(is_mc=False).metadata).calibrations
    assert [c.collection for c in calibrations] == ["Muon", "Electron"]


def clamped_by_hand(events, is_mc):
    """Number of leptons outside the bins of the made payloads, by section."""
    muons = zip(*numbers(events.Muon, "pt", "eta"), strict=True)
    electrons = zip(*numbers(events.Electron, "pt", "eta", "deltaEtaSC", "r9"), strict=True)
    taus = zip(*numbers(events.Tau, "pt", "eta", "decayMode", "genPartFlav"), strict=True)
    found = {
        "muon_momentum.Muon": sum(10 <= pt <= 200 and not -2.5 <= eta < 2.5 for pt, eta in muons),
        "electron_energy.Electron": sum(
            pt >= 15 and (pt < 20 or abs(eta + delta) >= 3 or not -10 <= r9 < 10)
            for pt, eta, delta, r9 in electrons
        ),
    }
    if is_mc:
        found["tau_energy.Tau"] = sum(
            mode in (0, 1, 2, 10, 11)
            and ((origin == 5 and pt < 20) or (origin in (1, 3) and not -2.5 <= eta < 2.5))
            for pt, eta, mode, origin in taus
        )
    return found


@pytest.mark.parametrize("is_mc", [True, False])
def test_leptons_outside_the_bins_are_counted(events, corrections, is_mc):
    whole = events(is_mc=is_mc)
    for name in ("Muon", "Electron", "Tau"):
        whole = ak.with_field(whole, whole[name].eta * 1.7, [name, "eta"])
    whole = ak.with_parameter(whole, "metadata", events(is_mc=is_mc).metadata)
    analysis = Leptons().corrected(corrections(EVERYTHING))
    (result,) = Processor(analysis).process(whole).values()
    expected = clamped_by_hand(whole, is_mc)
    assert {n: c for n, c in result.clamped.items() if n in expected} == expected
    assert min(expected.values()) > 0


def test_branches_of_calibrations_are_found_out(corrections, slim_tt):
    analysis = Leptons().corrected(corrections(EVERYTHING))
    with uproot.open(slim_tt) as file:
        forms = dict.fromkeys(("simulation", "data"), form_of(file, "Events"))
    datasets = {name: {"is_mc": name != "data", "era": "2022C", "hlt": ()} for name in forms}
    needs = {name: set(of.required) for name, of in branch_needs(analysis, datasets, forms).items()}
    of_both = {"Muon_charge", "Electron_r9", "Electron_deltaEtaSC"}
    of_simulation = {"Muon_genPartIdx", "Muon_nTrackerLayers", "GenPart_pt", "Tau_genPartFlav"}
    assert of_both | of_simulation <= needs["simulation"]
    assert of_both | {"Electron_seedGain"} <= needs["data"]
    assert not of_simulation & needs["data"]


def test_without_corrections_nothing_is_calibrated(events):
    (one,) = Processor(Leptons()).process(events()).values()
    (other,) = Processor(Uncalibrated()).process(events()).values()
    assert one.histograms == other.histograms


@pytest.mark.parametrize("text", list(OF))
def test_a_lepton_is_the_same_in_every_chunk(events, corrections, text):
    whole, part = (moved(resolved(text, corrections), e) for e in (events(), events()[50:120]))
    collection = OF[text].title()
    same(whole[0][collection].pt[50:120], part[0][collection].pt)
    same(whole[0].PuppiMET.pt[50:120], part[0].PuppiMET.pt)
    for name, fields in whole[1].items():
        assert set(fields) == set(part[1][name]) == set(resolved(text, corrections).paths)
        for path, values in fields.items():
            same(values[50:120], part[1][name][path])


@pytest.mark.parametrize("text", list(OF))
def test_chunks_without_leptons_or_events(events, corrections, text):
    collection = OF[text].title()
    whole = events()
    for chunk in (whole[:0], whole[ak.num(whole[collection]) == 0]):
        calibrated, variations = moved(resolved(text, corrections), chunk)
        same(calibrated[collection].pt, chunk[collection].pt)
        for fields in variations.values():
            same(fields[collection, "pt"], chunk[collection].pt)


def test_calibrations_can_be_sent_to_a_worker(events, corrections):
    era = corrections(EVERYTHING).for_era("2022C")
    sent = pickle.loads(pickle.dumps(era))
    assert pickle.dumps(era) == pickle.dumps(sent)
    for calibration in CALIBRATIONS.values():
        pair = [calibration.resolved({"is_mc": True}, one) for one in (era, sent)]
        here, there = (one.calibrate(events()) for one in pair)
        for path in pair[0].paths:
            same(here[path[0]][path[1]], there[path[0]][path[1]])
    rochester = corrections(ROCHESTER).for_era("2022C")
    assert pickle.dumps(rochester) == pickle.dumps(pickle.loads(pickle.dumps(rochester)))
    assert list(era.energies.sections()) == [
        "muon_momentum.Muon",
        "electron_energy.Electron",
        "tau_energy.Tau",
    ]
    described = era.describe()
    assert described["muon_momentum"]["Muon"]["kind"] == "muonscarekit"
    assert described["tau_energy"]["Tau"]["uncertainties"] == ["tau_scale"]


@pytest.mark.parametrize("text", [t for t in OF if t != BRANCHES])
def test_decorrelated_uncertainties_end_with_the_name_of_the_era(corrections, text):
    (plain,) = (resolved(text, corrections).sources,)
    declared = corrections(text + "decorrelated = true\n").for_era("2022C")
    sources = CALIBRATIONS[OF[text]].resolved({"is_mc": True}, declared).sources
    assert sources == tuple(f"{source}_2022" for source in plain)


@pytest.mark.parametrize("text", [SCARE, EGAMMA, TAUS])
def test_eras_whose_names_are_unfit_for_variations(corrections, text):
    with pytest.raises(CorrectionsError, match="decorrelated: names of variations end with"):
        corrections(text + "decorrelated = true\n", name="Run 2, 2018")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (SCARE, "nTrackerLayers"),
        (EGAMMA, "r9"),
        (BRANCHES, "dEsigmaDown"),
        (TAUS, "genPartFlav"),
    ],
)
def test_missing_fields(events, corrections, text, field):
    collection = OF[text].title()
    whole = ak.with_field(events(), ak.without_field(events()[collection], field), collection)
    calibration = resolved(text, corrections)
    message = rf"\[\w+\.{collection}\]: '{collection}' of the input has no field '{field}'"
    with pytest.raises(CorrectionsError, match=message):
        calibration.calibrate(whole)


def test_two_calibrations_of_one_collection():
    with pytest.raises(DeclarationError, match=r"apply the section 'muon_momentum\.Muon'"):

        class Twice(Leptons):
            calibrations = (MuonMomentum("Muon"), MuonMomentum("Muon"))
