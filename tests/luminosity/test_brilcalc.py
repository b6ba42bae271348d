"""What brilcalc wrote is read as a loop over its lines would, or the line at fault is named."""

import gzip
import hashlib
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bphcoffea.errors import InputError
from bphcoffea.luminosity import LuminosityTable

TAG = "#Data tag : 24v1 , Norm tag: normtag_PHYSICS.json\n"
HEADER = "#run:fill,ls,time,beamstatus,E(GeV),delivered({0}),recorded({0}),avgpu,source\n"
HLT_HEADER = "#run:fill,ls,time,hltpath,delivered({0}),recorded({0}),avgpu,source\n"
SUMMARY = """\
#Summary:
#nfill,nrun,nls,ncms,totdelivered(/ub),totrecorded(/ub)
#1,1,3,3,118.235,115.235
"""
#: As published with CMS open data of 2011.
LINES = """\
160431:1615,19:19,03/14/11 03:14:43,STABLE BEAMS,3500,39.312,38.312,3.4,hfoc
160431:1615,20:20,03/14/11 03:15:07,STABLE BEAMS,3500,39.368,38.368,3.4,hfoc
160432:1615,1:0,03/14/11 03:15:30,STABLE BEAMS,3500,39.305,0.000,3.4,hfoc
160431:1615,3:3,03/14/11 03:15:53,STABLE BEAMS,3500,39.555,38.555,3.1,hfoc
"""
HLT = "HLT_DoubleMu3_Trk_Tau3mu_v10"
#: How many fb⁻¹ each unit is.
FB = {"/kb": 1e-18, "/b": 1e-15, "/mb": 1e-12, "/ub": 1e-9, "/nb": 1e-6, "/pb": 1e-3, "/fb": 1.0}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("brilcalc") / "lumi.csv"


def load(file, *parts):
    file.write_text("".join(parts))
    return LuminosityTable.load(file)


def row(run, section, recorded):
    return f"{run}:77,{section}:{section},t,STABLE BEAMS,6500,9e9,{recorded},30.1,hfoc\n"


def hlt_row(run, section, recorded, path=HLT):
    return f"{run}:77,{section}:{section},t,{path},9e9,{recorded},30.1,hfoc\n"


@pytest.mark.parametrize("unit", FB)
def test_reads_every_unit_and_skips_what_cms_did_not_record(file, unit):
    table = load(file, TAG, HEADER.format(unit), LINES, SUMMARY)
    assert table.sections.tolist() == [[160431, 3], [160431, 19], [160431, 20]]
    assert table.sections.dtype == np.int64
    recorded = table.recorded(table.sections)
    assert recorded.luminosity == pytest.approx((38.312 + 38.368 + 38.555) * FB[unit], rel=1e-14)
    assert recorded.unknown.shape == (0, 2)


def test_reads_units_of_inverse_area(file):
    assert load(file, HEADER.format("1e39/cm2"), row(1, 1, 2.5)).luminosity.tolist() == [2.5]


def test_reads_the_form_with_hlt_paths(file):
    table = load(file, TAG, HLT_HEADER.format("/pb"), hlt_row(5, 2, 0.25), hlt_row(5, 1, 0.5))
    assert table.sections.tolist() == [[5, 1], [5, 2]]
    assert table.luminosity.tolist() == [0.5e-3, 0.25e-3]


def test_reads_line_ends_of_dos_and_a_byte_order_mark(file):
    text = "\ufeff" + TAG + HEADER.format("/ub") + LINES + "\n"
    file.write_bytes(text.replace("\n", "\r\n").encode())
    assert len(LuminosityTable.load(file).sections) == 3


def test_reads_gzip_and_tells_file_and_hash(tmp_path):
    file = tmp_path / "lumi.csv.gz"
    file.write_bytes(gzip.compress((TAG + HEADER.format("/ub") + LINES).encode()))
    table = LuminosityTable.load(file)
    assert len(table.sections) == 3
    assert table.path == file
    assert table.sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


SECTIONS = st.tuples(st.integers(1, 4), st.integers(1, 12))


@given(
    st.dictionaries(SECTIONS, st.floats(0, 1e6), min_size=1),
    st.lists(SECTIONS),
    st.randoms(use_true_random=False),
)
def test_sums_what_a_loop_does(file, luminosities, wanted, random):
    lines = [row(run, section, value) for (run, section), value in luminosities.items()]
    random.shuffle(lines)
    table = load(file, HEADER.format("/fb"), *lines)
    total, unknown = 0.0, []
    for section in sorted(set(wanted)):
        if section in luminosities:
            total += luminosities[section]
        else:
            unknown.append(list(section))
    recorded = table.recorded(np.array(wanted, dtype=np.int64).reshape(-1, 2))
    # a plain sum rounds after each of at most 48 terms
    assert recorded.luminosity == pytest.approx(total, rel=48 * 2**-53)
    assert recorded.unknown.tolist() == unknown
    assert table.sections.tolist() == [list(section) for section in sorted(luminosities)]


def test_the_sum_does_not_round(file):
    values = [1.0] + [1e-16] * 1000
    lines = [row(1, section, value) for section, value in enumerate(values, start=1)]
    table = load(file, HEADER.format("/fb"), *lines)
    assert table.recorded(table.sections).luminosity == 1.0 + 1e-13


def test_numbers_that_no_section_has_are_unknown(file):
    table = load(file, HEADER.format("/fb"), row(1, 1, 1.0))
    wanted = np.array([[-1, 1], [1, 1], [1, 2**32 + 1], [2**32 + 1, 1]])
    recorded = table.recorded(wanted)
    assert recorded.luminosity == 1.0
    assert recorded.unknown.tolist() == [[-1, 1], [1, 2**32 + 1], [2**32 + 1, 1]]


def test_is_a_value_that_survives_pickling(file):
    table = load(file, HEADER.format("/fb"), row(1, 1, 1.0))
    copy = pickle.loads(pickle.dumps(table))
    assert copy == table
    assert copy.recorded(copy.sections).luminosity == 1.0


def test_sections_that_stand_twice_count_once(file):
    hlt = [hlt_row(5, 1, 0.5, path) for path in ("HLT_Mu9_v1", "HLT_Mu12_v3")]
    assert load(file, HLT_HEADER.format("/pb"), *hlt).luminosity.tolist() == [0.5e-3]


def test_files_after_one_another_may_differ_in_unit_and_columns(file):
    parts = [
        *(TAG, HEADER.format("/ub"), row(1, 1, 39.312), SUMMARY),
        *(TAG, HLT_HEADER.format("/nb"), hlt_row(1, 1, 0.039312), hlt_row(1, 2, 1), SUMMARY),
    ]
    assert load(file, *parts).luminosity.tolist() == pytest.approx([39.312e-9, 1e-6], rel=1e-14)


@pytest.mark.parametrize(
    ("parts", "line", "fault"),
    [
        ((LINES,), 1, "data before a header"),
        ((TAG, LINES), 2, "data before a header"),
        ((TAG, HEADER.format("hz/ub"), LINES), 2, "the unit 'hz/ub' of recorded is instantaneous"),
        ((HEADER.format("1e30/cm2s"), LINES), 1, "the unit '1e30/cm2s' of recorded is instant"),
        ((HEADER.format("/zb"), LINES), 1, "the unit '/zb' of recorded is not known"),
        (("#run:fill,time,nls,ncms,delivered(/fb),recorded(/fb)\n",), 1, "the luminosity is not"),
        (("#run:fill,ls,time,delivered(/fb)\n",), 1, "the header has 0 columns 'recorded(unit)'"),
        (("#run:fill,ls,recorded(/fb),recorded(/pb)\n",), 1, "the header has 2 columns"),
        ((HEADER.format("/ub"), LINES[:-20]), 5, "6 columns, but 9 in the header"),
        ((HEADER.format("/ub"), row(1, 1, "x")), 2, "'x' is not a recorded luminosity"),
        ((HEADER.format("/ub"), row(1, 1, "nan")), 2, "'nan' is not a recorded luminosity"),
        ((HEADER.format("/ub"), row(1, 1, "inf")), 2, "'inf' is not a recorded luminosity"),
        ((HEADER.format("/ub"), row(1, 1, "-1.5")), 2, "'-1.5' is not a recorded luminosity"),
        ((HEADER.format("/ub"), row("B", 1, 1)), 2, "'B:77' is not run:fill"),
        ((HEADER.format("/ub"), row(-1, 1, 1)), 2, "'-1:77' is not run:fill"),
        ((HEADER.format("/ub"), row(2**32, 1, 1)), 2, "'4294967296:77' is not run:fill"),
        ((HEADER.format("/ub"), row(1, 1.5, 1)), 2, "'1.5:1.5' is not ls"),
        (
            (HLT_HEADER.format("/pb"), hlt_row(5, 1, 0.5), hlt_row(5, 1, 0.25, "HLT_Mu9_v1")),
            3,
            "run 5, section 1 has 0.00025/fb, but 0.0005/fb in line 2; make one csv for each HLT",
        ),
    ],
)
def test_the_line_at_fault_is_named(file, parts, line, fault):
    with pytest.raises(InputError) as raised:
        load(file, *parts)
    message = str(raised.value)
    assert message.startswith(f"{file}, line {line}: {fault}")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("parts", [(), (TAG, HEADER.format("/ub"), SUMMARY)], ids=["none", "only"])
def test_a_table_of_nothing_is_refused(file, parts):
    with pytest.raises(InputError, match="holds no luminosity section"):
        load(file, *parts)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such file; make it"):
        LuminosityTable.load(tmp_path / "none.csv")
    with pytest.raises(InputError, match="cannot be read"):
        LuminosityTable.load(tmp_path)
    for name, content, fault in (
        ("plain.csv.gz", b"#run", "holds no luminosity section"),
        ("cut.csv.gz", gzip.compress(LINES.encode())[:-9], "truncated or corrupt gzip"),
        ("damaged.csv.gz", gzip.compress(b"#")[:10] + b"\xff" * 20, "truncated or corrupt gzip"),
        ("binary.csv", b"\xff\xfe\xfa", "not a csv"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=fault):
            LuminosityTable.load(tmp_path / name)
