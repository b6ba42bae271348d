"""The notebooks run from the first cell to the last."""

import json
import math
import queue
import re
import time
from pathlib import Path

import pytest

jupyter_client = pytest.importorskip("jupyter_client")
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
FEWER = {
    r"TOYS\[(.+?)\]\((folder / .+?), \d\d_000, 1\)": r"shared_toys(\1, \2)",
    "points=6": "masses=[1.5], points=2",
    "workers=2": "workers=1",
}
#: Datasets that are left out, because each file takes a fifth of a second; the last are drawn once.
LEFT_OUT = ("mN1p0", "toy_dimuon_track_mc", "toy_phi_track_mc")
#: First cell: toys are made before, and Dask writes no report, which takes a second.
SHARED_TOYS = """
import contextlib
from bphcoffea.execution import run_analysis

def shared_toys(name, folder):
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to({folders}[name])
    return folder / "fileset.json"

run_analysis.reporting = lambda *_: contextlib.nullcontext()
"""
NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def bars_of(notebook):
    """Texts of the progress bars, which are widgets."""
    widgets = notebook.metadata["widgets"]["application/vnd.jupyter.widget-state+json"]["state"]
    outputs = [o for widget in widgets.values() for o in widget["state"].get("outputs", ())]
    return ["".join(output["data"]["text/plain"]) for output in outputs]


@pytest.fixture
def patient_channels(monkeypatch):
    """Kernels are asked for messages again and again.

    Sometimes pyzmq sees only when its time is up that a message has come.
    """
    channel = jupyter_client.channels.AsyncZMQSocketChannel
    get = channel.get_msg

    async def get_msg(self, timeout=None):
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            try:
                return await get(self, timeout=5)
            except queue.Empty:
                if time.monotonic() > end:
                    raise

    monkeypatch.setattr(channel, "get_msg", get_msg)


def fewer_toys(toys, folder, text):
    """Make a folder of toys without the datasets that a notebook with this text needs not."""
    folder.mkdir(parents=True)
    for path in toys.iterdir():
        (folder / path.name).symlink_to(path)
    content = json.loads((folder / "fileset.json").read_text())
    left_out = [name for name in LEFT_OUT if name not in text]
    few = {k: v for k, v in content.items() if not any(name in k for name in left_out)}
    (folder / "fileset.json").unlink()
    (folder / "fileset.json").write_text(json.dumps(few))
    return str(folder)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
# the kernel and its sockets are Jupyter's business
@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("patient_channels")
def test_notebook_runs(path, tmp_path, shared_folders):
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        # fewer events, masses, points of a scan and workers show the same
        for pattern, fewer in FEWER.items():
            cell.source = re.sub(pattern, fewer, cell.source)
    used = {"ds_phipi", path.stem} - {"facility"}
    text = str(notebook.cells)
    folders = {
        name: fewer_toys(shared_folders.toys(name, 10_000, 1), tmp_path / "toys" / name, text)
        for name in used
    }
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
    if "keep=" in text:
        again = tmp_path / "notebook_output" / "narrow" / "metrics.json"
        assert json.loads(again.read_text())["bytes_read"] == 0
    assert not any(output.get("name") == "stderr" for output in outputs), "a warning was printed"
