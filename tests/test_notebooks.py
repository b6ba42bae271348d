"""The notebooks run from the first cell to the last."""

import json
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
FEWER = {
    r"\d\d_000, 1\)": "10_000, 1)",
    "points=6": "masses=[1.5], points=2",
    "workers=2": "workers=1",
}
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# the kernel and its sockets are Jupyter's business
@pytest.mark.filterwarnings("ignore")
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        # fewer events, masses, points of a scan and workers show the same
        for pattern, fewer in FEWER.items():
            cell.source = re.sub(pattern, fewer, cell.source)
    client = nbclient.NotebookClient(
        notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
    if "keep=" in str(notebook.cells):
        again = tmp_path / "notebook_output" / "narrow" / "metrics.json"
        assert json.loads(again.read_text())["bytes_read"] == 0
    assert not any(output.get("name") == "stderr" for output in outputs), "a warning was printed"
