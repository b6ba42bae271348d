"""Mass fits with zfit's PDFs against those of this package. ``make zfit`` runs these tests.

zfit brings TensorFlow, and has an environment of its own.
"""

import importlib.util
import re
import sys
from pathlib import Path

import hist
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mass_fits import VALUES, write_run

from bphcoffea.analysis.mass_model import MassModel, Peak
from bphcoffea.errors import InputError
from bphcoffea.statistics import fit_mass
from bphcoffea.statistics.mass_shapes import parameter_names
from bphcoffea.statistics.spectrum import Spectrum, expected_contents

needs_zfit = pytest.mark.skipif(
    importlib.util.find_spec("zfit") is None, reason="zfit is not installed: make zfit"
)
PAGE = Path(__file__).parents[2] / "docs" / "fits-and-limits.md"
LOW, HIGH, BINS = 1.65, 2.01, 62
DS = Peak(name="ds", label="$D_s$", mass=1.968, width=0.010)
DPLUS = Peak(name="dplus", label="$D^+$", mass=1.870, width=0.010)
MODEL = MassModel(histogram="mass", peaks=(DS, DPLUS))


def test_without_zfit_one_line_says_how_to_get_it(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "zfit", None)
    with pytest.raises(InputError, match=r"^zfit is not installed; .*'bphcoffea\[zfit\]'$"):
        fit_mass(run, backend="zfit")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a run with 4000 candidates: two peaks on an exponential."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(11)
    below = LOW - np.log1p(rng.random(2500) * np.expm1(-2.0 * (HIGH - LOW))) / 2.0
    peaks = [rng.normal(1.968, 0.010, 1200), rng.normal(1.870, 0.010, 300)]
    masses = np.concatenate([*peaks, below])
    axis = hist.axis.Regular(BINS, LOW, HIGH, name="mass", label="$m$ [GeV]")
    histogram = hist.Hist(axis, storage=hist.storage.Weight()).fill(masses)
    (folder / "candidates").mkdir()
    table = pa.table({"mass": masses, "weight": np.ones(len(masses))})
    pq.write_table(table, folder / "candidates" / "data.parquet")
    metadata = {"data": {"is_mc": False, "era": "2017B", "luminosity": 4.8}}
    gaussian = MODEL.model_copy(update={"shape": "gaussian"})
    return write_run(folder, {"data": histogram}, metadata, gaussian)


@needs_zfit
@pytest.mark.filterwarnings("ignore")  # those of TensorFlow
@pytest.mark.parametrize(
    ("shape", "background"),
    [
        ("crystal_ball", "exponential"),
        ("double_crystal_ball", "bernstein3"),
        ("voigtian", "bernstein1"),
    ],
)
def test_the_pdfs_have_the_same_integrals(shape, background):
    from bphcoffea.statistics import zfit_models

    model = MODEL.model_copy(update={"shape": shape, "background": background})
    edges = np.linspace(LOW, HIGH, BINS + 1)
    spectrum = Spectrum(model, edges, np.zeros(BINS), np.zeros(BINS))
    values = [VALUES[name] for name in parameter_names(model)]
    expected = expected_contents(spectrum).values(*values)
    found = zfit_models.expected_contents(spectrum).values(*values)
    # quadrature is less precise in the bin in which a tail begins
    np.testing.assert_allclose(found, expected, rtol=5e-5)


@needs_zfit
@pytest.mark.filterwarnings("ignore")
def test_yields_are_those_of_the_default(run):
    own, other = fit_mass(run).fit, fit_mass(run, backend="zfit").fit
    assert other.valid
    for name in ("n_ds", "n_dplus", "n_background"):
        assert other.parameters[name].value == pytest.approx(own.parameters[name].value, rel=0.01)
        assert other.parameters[name].error == pytest.approx(own.parameters[name].error, rel=0.01)
    assert other.chi2 == pytest.approx(own.chi2, abs=0.01)


@needs_zfit
@pytest.mark.filterwarnings("ignore")
def test_the_unbinned_fit_of_the_documentation(run, monkeypatch):
    """Its yields differ from those of the binned fit by what bins of half a resolution lose."""
    (code,) = (
        block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
        if "zfit_model" in block
    )  # fmt: skip
    assert 'RunFolder("results")' in code
    run.path.rename(run.path.with_name("results"))
    monkeypatch.chdir(run.path.parent)
    names = {}
    exec(code, names)
    binned, unbinned = names["record"].fit, names["result"]
    assert unbinned.valid
    for name in ("n_ds", "n_dplus", "n_background", "mean_ds", "sigma_ds"):
        found, known = unbinned.params[name], binned.parameters[name]
        assert abs(found["value"] - known.value) < 0.5 * known.error
        assert found["hesse"]["error"] == pytest.approx(known.error, rel=0.1)
