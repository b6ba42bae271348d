"""The notebooks run from the first cell to the last."""

import json
import re
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
FEWER = {
    r"TOYS\[(.+?)\]\((folder / .+?), \d\d_000, 1\)": r"shared_toys(\1, \2)",
    "points=6": "masses=[1.5], points=2",
    "workers=2": "workers=1",
}
#: First cell: toys are those of all notebooks.
SHARED_TOYS = """
def shared_toys(name, folder):
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to({folders}[name])
    return folder / "fileset.json"
"""
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def bars_of(notebook):
    """Texts of the progress bars, which are widgets."""
    widgets = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    outputs = [o for widget in widgets.values() for o in widget["state"].get("outputs", ())]
    return ["".join(output["data"]["text/plain"]) for output in outputs]


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# the kernel and its sockets are Jupyter's business
@pytest.mark.filterwarnings("ignore")
def test_notebook_runs(path, tmp_path, shared_folders):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        # fewer events, masses, points of a scan and workers show the same
        for pattern, fewer in FEWER.items():
            cell.source = re.sub(pattern, fewer, cell.source)
    used = {"ds_phipi", path.stem} - {"facility"}
    folders = {name: str(shared_folders.toys(name, 10_000, 1)) for name in used}
    cell = nbformat.v4.new_code_cell(SHARED_TOYS.format(folders=folders))
    notebook.cells.insert(0, cell)
    client = nbclient.NotebookClient(
        notebook, timeout=180, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
    for bar in bars_of(notebook):
        assert "100%" in bar
        assert "done in" in bar
    if "keep=" in str(notebook.cells):
        again = tmp_path / "notebook_output" / "narrow" / "metrics.json"
        assert json.loads(again.read_text())["bytes_read"] == 0
    assert not any(output.get("name") == "stderr" for output in outputs), "a warning was printed"
