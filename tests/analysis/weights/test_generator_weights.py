"""Variations of the generator's weights against the analysis run again with other weights."""

import awkward as ak
import numpy as np
import pytest
import uproot
from builders import fileset_of, write_nano

from bphcoffea.analysis import (
    Analysis,
    Axis,
    Cut,
    Histogram,
    Objects,
    PartonShower,
    PDFWeights,
    Region,
    ScaleWeights,
    Selection,
    WeightContext,
    each,
    nth,
    number_of,
    quantity,
)
from bphcoffea.analysis.weights.pdf_sets import pdf_errors
from bphcoffea.errors import DeclarationError
from bphcoffea.execution import Options, run
from bphcoffea.inputs import ReducedNanoAODSchema, form_of
from bphcoffea.processing import Processor, branch_needs
from bphcoffea.results import combine_generator_variations

pt = quantity("pt", unit="GeV")
muons = number_of("muon")
random = np.random.default_rng(16)
#: μ_R outside and μ_F inside, as in the titles of NanoAOD.
PAIRS = [(r, f) for r in (0.5, 1, 2) for f in (0.5, 1, 2)]
HESSIAN = {"pdf_errors": "symmhessian"}


class Weighed(Analysis):
    """Events with muons, in a region that overlaps all, with a list and a map."""

    schema = ReducedNanoAODSchema
    objects = (Objects("muon", "Muon", (pt > 5,)),)
    selection = Selection(Cut("any", muons >= 1))
    regions = (Region("two", muons >= 2), Region("one", muons.equals(1)))
    histograms = (
        Histogram("pt", nth("muon", 1, pt), Axis(4, 10, 50)),
        Histogram("second", nth("muon", 2, pt), Axis(4, 10, 50)),
        Histogram("pts", each("muon", pt), Axis(4, 10, 50)),
        Histogram("map", (muons, nth("muon", 1, pt)), (Axis(3, 0.5, 3.5), Axis(3, 10, 50))),
    )
    columns = (muons,)
    weights = (ScaleWeights(), PDFWeights(), PartonShower())


def separate(*weights):
    """The same analysis with other weights."""
    return type("Other", (Weighed,), {"weights": weights})


def events_of(lists, generator=None, **more):
    """Events with lists of pT of muons, generator weights and further fields."""
    moments = ak.Array([*lists, [1.0]])[:-1]
    generator = np.ones(len(lists)) if generator is None else np.asarray(generator, np.float64)
    fields = {"Muon": ak.zip({"pt": moments, "eta": moments * 0}), "genWeight": generator}
    for name in ("LHEScaleWeight", "LHEPdfWeight", "PSWeight"):
        if name in more:
            values = more.pop(name)
            values = ak.Array([*values, [1.0]])[:-1]
            fields[name] = ak.values_astype(values, np.float32)
    array = ak.zip(fields, depth_limit=1)
    record = ak.Array(
        array.layout, with_name="NanoEvents", behavior=ReducedNanoAODSchema.behavior()
    )
    known = {"dataset": "made", "is_mc": True, "era": "2018", "hlt": ()} | more
    return ak.with_parameter(record, "metadata", known)


def processed(events, analysis=Weighed):
    return Processor(analysis()).process(events)["made"]


def at_the_end(result):
    return combine_generator_variations(
        "made",
        result.histograms,
        result.generator_sumw,
        result.sums_of_variations,
        result.combinations,
    )


def content(histogram, variation, what="value"):
    places = list(histogram.axes[1])
    return histogram.view(flow=True)[:, places.index(variation)][what]


def sample(count):
    """Muons, generator weights, and weights of scales, PDF members and shower, of some events."""
    columns = [
        [[], [20.0, 55.0, 12.0], [60.0], [10.0, 10.0]],
        [1.0, -0.5, 2.0, 1.0],
        *(random.uniform(0.5, 2, (4, n)).astype(np.float32).tolist() for n in (9, 5, 4)),
    ]
    for _ in range(count):
        columns[0].append(random.uniform(2, 60, random.integers(0, 4)).tolist())
        columns[1].append(float(random.choice([1.0, 2.0, -0.5])))
        for column, n in zip(columns[2:], (9, 5, 4), strict=True):
            column.append(random.uniform(0.5, 2, n).astype(np.float32).tolist())
    return columns


def slow(columns, factors):
    """Nominal contents, and Σw, of the analysis run again with other generator weights."""
    lists, generator, *_ = columns
    other = np.asarray(generator, np.float64) * np.asarray(factors, np.float64)
    result = processed(events_of(lists, other), separate())
    return result.histograms, result.generator_sumw


@pytest.mark.parametrize("count", [0, 50])
def test_each_member_is_the_analysis_run_again_with_its_weight(count):
    columns = sample(count)
    lists, generator, scales, members, shower = columns
    events = events_of(
        lists,
        generator,
        LHEScaleWeight=scales,
        LHEPdfWeight=members,
        PSWeight=shower,
        **HESSIAN,
    )
    result = processed(events)
    expected = {
        f"scale_{name}{side}": [w[PAIRS.index(pair)] for w in scales]
        for name, sides in {
            "muR": ((2, 1), (0.5, 1)),
            "muF": ((1, 2), (1, 0.5)),
            "muRF": ((2, 2), (0.5, 0.5)),
        }.items()
        for side, pair in zip(("Up", "Down"), sides, strict=True)
    }
    expected |= {f"pdf_{k}": [w[k] for w in members] for k in range(5)}
    for position, name in enumerate(("ps_isrUp", "ps_fsrUp", "ps_isrDown", "ps_fsrDown")):
        expected[name] = [w[position] for w in shower]
    assert set(result.sums_of_variations) == set(expected)
    assert set(result.histograms["pt"].axes[1]) == {"nominal", *expected}
    for name, factors in expected.items():
        histograms, sumw = slow(columns, factors)
        assert result.sums_of_variations[name] == sumw
        for of, histogram in result.histograms.items():
            if not of.startswith("nminus1_"):
                for what in ("value", "variance"):
                    # to the last bit, also beyond the axes
                    again = content(histograms[of], "nominal", what)
                    np.testing.assert_array_equal(content(histogram, name, what), again)


def combined_slowly(columns):
    """Contents of the histogram of pT under the variations that everything after a run sees."""
    *_, scales, members, shower = columns
    nominal, sumw = slow(columns, np.ones(len(scales)))
    total = content(nominal["pt"], "nominal")

    def member(factors):
        histograms, of_member = slow(columns, factors)
        return content(histograms["pt"], "nominal") * (sumw / of_member)

    six = [
        member([w[k] for w in scales])
        for k, pair in enumerate(PAIRS)
        if set(pair) != {0.5, 2} and pair != (1, 1)
    ]
    central = member([w[0] for w in members])
    square = sum((member([w[k] for w in members]) - central) ** 2 for k in range(1, 5))
    expected = {
        "nominal": total,
        "scaleUp": np.max([total, *six], axis=0),
        "scaleDown": np.min([total, *six], axis=0),
        "pdfUp": total + np.sqrt(square),
        "pdfDown": total - np.sqrt(square),
    }
    for position, name in enumerate(("ps_isrUp", "ps_fsrUp", "ps_isrDown", "ps_fsrDown")):
        expected[name] = member([w[position] for w in shower])
    return expected


def test_combinations_are_of_normalised_members_in_each_bin():
    columns = sample(200)
    lists, generator, scales, members, shower = columns
    events = events_of(
        lists, generator, LHEScaleWeight=scales, LHEPdfWeight=members, PSWeight=shower, **HESSIAN
    )
    histograms = at_the_end(processed(events))
    expected = combined_slowly(columns)
    assert set(histograms["pt"].axes[1]) == set(expected)
    for name, contents in expected.items():
        np.testing.assert_allclose(content(histograms["pt"], name), contents, rtol=1e-9, atol=1e-9)


def test_a_constant_factor_of_a_member_changes_nothing():
    lists = [[20.0], [30.0, 12.0], [], [45.0]]
    members = random.uniform(0.5, 2, (4, 5)).astype(np.float32)
    scaled = members * np.array([2.0, 1.0, 0.5, 4.0, 1.0], np.float32)
    one, other = (
        at_the_end(processed(events_of(lists, LHEPdfWeight=m.tolist(), **HESSIAN)))["pt"]
        for m in (members, scaled)
    )
    for side in ("pdfUp", "pdfDown"):
        np.testing.assert_array_equal(content(one, side), content(other, side))
        assert np.any(content(one, side) != content(one, "nominal"))


def test_weights_that_are_not_normalised_keep_their_sum():
    events = events_of([[20.0], [30.0]], LHEScaleWeight=[[1.5] * 9] * 2)
    for weights, total in (
        (ScaleWeights(), 2.0),
        (ScaleWeights(normalised=False), 3.0),
    ):
        result = processed(events, separate(weights))
        assert bool(result.sums_of_variations) == weights.normalised
        assert content(at_the_end(result)["pt"], "scaleUp")[0].sum() == pytest.approx(total)


def test_scales_can_be_varied_separately():
    weights = random.uniform(0.5, 2, (2, 9)).astype(np.float32)
    without_nominal = np.delete(weights, 4, axis=1)
    for lists in (weights, without_nominal):
        events = events_of([[20.0], [30.0]], LHEScaleWeight=lists.tolist())
        result = processed(events, separate(ScaleWeights(separate=("muR",), normalised=False)))
        histogram = at_the_end(result)["pt"]
        assert list(histogram.axes[1]) == ["nominal", "scale_muRUp", "scale_muRDown"]
        for side, pair in (("Up", (2, 1)), ("Down", (0.5, 1))):
            expected = weights[:, PAIRS.index(pair)].astype(float).sum()
            assert content(histogram, f"scale_muR{side}")[0].sum() == expected
    for wrong in (("mur",), "muR"):
        with pytest.raises(DeclarationError, match="a tuple of muR, muF, muRF"):
            ScaleWeights(separate=wrong)


def factor_of(weights, lists, title="", **metadata):
    context = WeightContext(None, metadata, shifted=True, title=title)
    return weights.evaluate(lambda _: ak.Array([*lists, [1.0]])[:-1], context)


@pytest.mark.parametrize(
    ("title", "count", "names", "reference"),
    [
        # PDF4LHC15_nnlo_30_pdfas and NNPDF31_nnlo_hessian_pdfas: central, members, αs down and up
        ("LHE pdf variation weights for LHA IDs 91400 - 91432", 33, range(1, 31), "pdf_0"),
        ("LHA IDs 306000 - 306102", 103, range(1, 101), "pdf_0"),
        # NNPDF30_nlo_nf_5_pdfas without its central member
        ("LHA IDs 292201 - 292302", 102, range(100), ""),
        # CT14nnlo: 28 pairs
        ("LHA IDs 13000 - 13056", 57, range(1, 57), "pdf_0"),
    ],
)
def test_the_title_says_what_the_members_are(title, count, names, reference):
    lists = [np.linspace(0.5, 2, count).tolist()]
    pdf, *alphas = factor_of(PDFWeights(), lists, title).combinations
    assert pdf.members == tuple(f"pdf_{k}" for k in names)
    assert pdf.reference == reference
    rules = {"91": "symmhessian", "30": "symmhessian", "29": "replicas", "13": "hessian"}
    assert pdf.rule == rules[title.partition("IDs ")[2][:2]]
    assert pdf.confidence == (90 if pdf.rule == "hessian" else 68)
    if pdf.rule == "hessian":
        assert alphas == []
    else:
        (of_alphas,) = alphas
        assert (of_alphas.name, of_alphas.rule) == ("pdf_alphas", "sides")
        assert of_alphas.members == (f"pdf_{count - 2}", f"pdf_{count - 1}")


@pytest.mark.samples
def test_the_title_of_a_real_file_is_read(nanoaod, open_events):
    events = open_events(
        nanoaod / "nano_dy.root", ReducedNanoAODSchema, "Events", is_mc=True, era="2018", hlt=()
    )
    (result,) = Processor(separate(PDFWeights(), PartonShower())()).process(events).values()
    histogram = at_the_end(result)["pt"]
    sources = ("ps_isr", "ps_fsr", "pdf", "pdf_alphas")
    variations = [source + side for source in sources for side in ("Up", "Down")]
    assert list(histogram.axes[1]) == ["nominal", *variations]
    with uproot.open(nanoaod / "nano_dy.root") as file:
        forms = {"dy": form_of(file, "Events")}
    (needs,) = branch_needs(Weighed(), {"dy": dict(events.metadata)}, forms).values()
    assert needs.optional == ("LHEScaleWeight", "LHEPdfWeight", "PSWeight")
    assert not [b for b in needs.required if "Weight" in b]
    # αs by hand: the generator used another set, so that the central member is not 1
    generator = ak.to_numpy(events.genWeight).astype(np.float64)
    weights = ak.to_numpy(events.LHEPdfWeight).astype(np.float64)
    chosen = ak.to_numpy(ak.num(events.Muon[events.Muon.pt > 5]) >= 1)
    of_members = [
        (generator * w)[chosen].sum() * generator.sum() / (generator * w).sum() for w in weights.T
    ]
    alphas = of_members[32] - of_members[0]
    nominal = content(histogram, "nominal")[0].sum()
    found = content(histogram, "pdf_alphasUp")[0].sum() - nominal
    assert found == pytest.approx(alphas, rel=1e-6)


def test_metadata_take_precedence_and_mistakes_are_one_line():
    lists = [[1.0] * 5]
    title = "LHA IDs 306000 - 306102"
    (pdf,) = factor_of(PDFWeights(), lists, title, pdf_errors="hessian 90").combinations
    assert (pdf.rule, pdf.confidence, len(pdf.members)) == ("hessian", 90, 4)
    for wrong in ("Hessian", "hessian 0", "replicas x", 306000):
        (line,) = PDFWeights().faults(WeightContext(None, {"pdf_errors": wrong}))
        assert line == (
            f"weight 'pdf': 'pdf_errors' is '{wrong}', but must be one of symmhessian, "
            "symmhessian+as, hessian, hessian+as, replicas, replicas+as; append the confidence "
            'level if it is not 68%, such as "hessian 90"'
        )
    assert not list(PDFWeights().faults(WeightContext(None, {"pdf_errors": "replicas+as"})))
    assert pdf_errors({}, "LHA IDs 1 - 9") is None


def test_weights_of_unknown_meaning_are_counted():
    many = [1.5] * 44
    cases = [
        (PDFWeights(), [[1.0, 2.0]], "the 2 weights in LHEPdfWeight are of an unknown PDF set", 1),
        (
            PartonShower(),
            [many, [1.0] * 4],
            "the meaning of 44 weights in PSWeight is not known",
            1,
        ),
        (ScaleWeights(), [many], "no envelope is known for 44 weights in LHEScaleWeight", 1),
    ]
    for weights, lists, text, count in cases:
        factor = factor_of(weights, lists)
        ((note, number),) = factor.notes.items()
        assert note.startswith(text)
        assert number == count
        assert all(values[0] == 1 for values in factor.points.values())
    assert not factor_of(PartonShower(), [[1.0], []]).points  # a list of one is none
    factor = factor_of(PDFWeights(), [[2.0] * 5, [3.0] * 3], pdf_errors="symmhessian")
    (note,) = factor.notes
    assert note.startswith("some events have 3 weights in LHEPdfWeight, others 5")
    assert [values.tolist() for values in factor.points.values()] == [[2.0, 1.0]] * 5
    (note,) = factor_of(PDFWeights(), [[1.0, 2.0]], pdf_errors="symmhessian+as").notes
    assert note.startswith("the 2 weights in LHEPdfWeight do not fit their PDF set")


def test_chunks_add_up_whatever_each_of_them_has():
    lists = [[20.0], [30.0, 12.0], [2.0], [45.0], [11.0]]
    generator = [1.0, 2.0, -1.0, 1.0, 4.0]
    members = random.integers(1, 9, (5, 5)).astype(np.float32) / 4  # sums without rounding
    members[4] = 1

    def part(rows, **more):
        chosen = [lists[row] for row in rows]
        more["PSWeight"] = [[1.5, 0.5, 2.0, float(row)] for row in rows]
        return processed(events_of(chosen, [generator[row] for row in rows], **more, **HESSIAN))

    whole = part(range(5), LHEPdfWeight=members.tolist())
    first = part([0, 1], LHEPdfWeight=members[[0, 1]].tolist())
    nothing = part([2], LHEPdfWeight=members[[2]].tolist())  # nothing is selected
    third = part([3], LHEPdfWeight=members[[3]].tolist())
    absent = part([4])  # the weights are 1
    assert "pdf_1" not in nothing.histograms["pt"].axes[1]
    for order in ((first, nothing, third, absent), (absent, nothing, third, first)):
        total = sum(order[1:], order[0])
        assert total.combinations == whole.combinations
        assert total.sums_of_variations == whole.sums_of_variations
        for name in whole.histograms["pt"].axes[1]:
            for of in ("pt", "pts", "map"):
                found = content(total.histograms[of], name)
                np.testing.assert_array_equal(found, content(whole.histograms[of], name))


def test_files_of_different_sets_have_no_variation(caplog):
    five = processed(events_of([[20.0]], LHEPdfWeight=[[1.0] * 5], **HESSIAN))
    three = processed(events_of([[20.0]], LHEPdfWeight=[[2.0] * 3], **HESSIAN))
    histograms = at_the_end(five + three)
    assert list(histograms["pt"].axes[1]) == ["nominal"]
    assert (
        "dataset 'made': its files have weights of different kinds for the variation 'pdf', which "
        "is left out; make them different datasets"
    ) in caplog.messages


def test_a_variation_without_a_sum_is_reported(caplog):
    events = events_of([[20.0], [20.0]], [1.0, 2.0], PSWeight=[[2.0] * 4, [-1.0] * 4])
    histogram = at_the_end(processed(events))["pt"]
    assert content(histogram, "ps_isrUp").sum() == 0
    assert caplog.messages[0] == (
        "dataset 'made': the Σw of the variation 'ps_isrUp' is 0, so it is not normalised"
    )


def test_a_run_records_the_sums_and_writes_two_sided_variations(tmp_path):
    members = random.uniform(0.5, 2, (60, 5)).astype(np.float32)
    generator = random.uniform(0.5, 2, 60).astype(np.float32)
    path = write_nano(tmp_path / "a.root", 60, LHEPdfWeight=members, genWeight=generator)
    fileset = fileset_of(
        {path: "Events"}, tree="Events", is_mc=True, era="2018", pdf_errors="symmhessian"
    )
    folders = [
        run(
            separate(PDFWeights())(),
            fileset,
            tmp_path / f"{size}",
            Options("iterative", chunksize=size),
        )
        for size in (60, 7)
    ]
    for folder in folders:
        record = folder.normalisation["D"]
        total = generator.astype(float)
        assert record.generator_sumw == pytest.approx(total.sum())
        for k in range(5):
            expected = (total * members[:, k]).sum()
            assert record.sums_of_variations[f"pdf_{k}"] == pytest.approx(expected)
        assert list(folder.histograms()["pt"].axes["variation"]) == ["nominal", "pdfUp", "pdfDown"]
        assert folder.analysis.variations == {"D": ("pdfUp", "pdfDown")}
    first, second = (folder.histograms()["pts"].values(flow=True) for folder in folders)
    np.testing.assert_allclose(first, second, rtol=1e-12)
    nominal, up = first[0, 0, 0].sum(), first[0, 0, 1].sum()
    # nothing is cut away, so that only the shape could vary, and all muons are in one bin
    assert up == pytest.approx(nominal)


def test_a_histogram_has_only_the_combinations_that_it_chooses():
    chosen = Histogram(
        "of_scale", Weighed.histograms[0].variable, Axis(4, 10, 50), variations=("scale_*",)
    )
    analysis = type("Chosen", (Weighed,), {"histograms": (*Weighed.histograms, chosen)})
    lists, generator, scales, members, shower = sample(20)
    weights = {"LHEScaleWeight": scales, "LHEPdfWeight": members, "PSWeight": shower}
    result = processed(events_of(lists, generator, **weights, **HESSIAN), analysis)
    histograms = at_the_end(result)
    of_scale, whole = histograms["of_scale"], histograms[Weighed.histograms[0].name]
    assert list(of_scale.axes[1]) == ["nominal", "scaleUp", "scaleDown"]
    for variation in of_scale.axes[1]:
        np.testing.assert_array_equal(content(of_scale, variation), content(whole, variation))
