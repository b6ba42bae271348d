"""Records of fits and limits: their JSON, and what notebooks show of them."""

import json
import sys
from subprocess import run

import pytest
from mass_fits import fit_of, mass_fit

from bphcoffea.errors import FitError, RunError
from bphcoffea.results import RunFolder
from bphcoffea.statistics.exclusion import Range
from bphcoffea.statistics.fit_record import FitRecord
from bphcoffea.statistics.limit_results import Limit
from bphcoffea.statistics.mass_fit import MassFit


def test_a_record_is_its_json():
    content = fit_of(["data"], ["mc"], 500.0, 50.0)
    content["by"] = {"2018": fit_of(["data"], ["mc"], 300.0, 40.0)}
    record = FitRecord.from_json(content)
    assert record.as_json() == json.loads(json.dumps(content))
    assert record.by["2018"].parameters["n_ds"].value == 300.0
    assert record.nominal.simulation["ds"].datasets == ("mc",)


def test_a_fit_is_shown_in_notebooks():
    fit = MassFit.from_json(mass_fit(512.25, 31.5, "no minimum in <data>"))
    assert repr(fit) == "MassFit(not valid: n_ds = 512 ± 32)"
    table = fit._repr_html_()
    assert "<td>n_ds</td><td>512 ± 32</td>" in table
    assert "not valid: no minimum in &lt;data&gt;" in table
    assert "<data>" not in table
    record = FitRecord.from_json(fit_of(["one", "two"], ["mc"], 500.0, 50.0))
    assert repr(record) == "FitRecord(mass of one, two: MassFit(valid: n_ds = 500 ± 50))"
    assert record._repr_html_() == record.fit._repr_html_()


@pytest.mark.parametrize(
    ("tails", "shape"), [("low", "crystal_ball"), ("both", "double_crystal_ball")]
)
def test_fits_of_older_versions_are_read(tails, shape):
    content = fit_of(["data"], ["mc"], 500.0, 50.0)
    model = {key: known for key, known in content["model"].items() if key[:2] not in ("sh", "ba")}
    record = FitRecord.from_json(content | {"model": model | {"tails": tails}})
    assert (record.fit.model.shape, record.fit.model.background) == (shape, "exponential")


def test_unusable_content_is_named(tmp_path):
    content = fit_of(["data"], ["mc"], 500.0, 50.0)
    with pytest.raises(
        FitError, match=r"the stored fit is unusable \('complete'\); fit the run again"
    ):
        FitRecord.from_json({key: content[key] for key in content if key != "complete"})
    with pytest.raises(FitError, match=r"the stored fit is unusable \(.*shape.*\); fit the run"):
        FitRecord.from_json(content | {"model": content["model"] | {"shape": "none"}})
    with pytest.raises(FitError, match=r"the stored fit is unusable \(.*shape.*\); fit the run"):
        FitRecord.from_json(content | {"model": content["model"] | {"tails": "none"}})
    with pytest.raises(FitError, match=r"unusable \(low: is missing; .*\); make it again"):
        Range.from_json({"high": 1.0})
    run = tmp_path / "my run"
    run.mkdir()
    (run / "ledger.json").write_text("{}")
    with pytest.raises(RunError, match=r"not fitted; do so with: bphcoffea fit '.*my run'$"):
        FitRecord.of_run(RunFolder(run))


def test_infinite_limits_survive_json():
    limit = Limit(float("inf"), (1.0, 2.0, 3.0, 4.0, float("inf")), 0.95)
    content = json.loads(json.dumps(limit.as_json(), allow_nan=False))
    assert content["observed"] == content["expected"][-1] == "inf"
    assert Limit.from_json(content) == limit


def test_a_mass_fit_does_not_import_pyhf():
    code = "import sys; from bphcoffea.statistics import fit_mass; sys.exit('pyhf' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
