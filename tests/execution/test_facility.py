"""Runs at a facility: its credentials, code and corrections reach all workers; nothing is lost."""

import copy
import json
import textwrap
import threading
import time
from pathlib import Path

import pytest
import services
from builders import candidates_at_any_place, fileset_of

from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.facilities import load_facility
from bphcoffea.results import RunFolder
from bphcoffea.storage.servers import ONCE

ANALYSIS = """
    import time
    from pathlib import Path
    import correctionlib
    from bphcoffea.analysis import Analysis, Axis, Candidates, Cut, Histogram, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema
    from quantities import chi2

    class Corrected(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= 0))
        histograms = (Histogram("chi2", chi2, Axis(20, 0, 20)),)
        columns = (chi2,)

        def __init__(self):
            file = Path(__file__).with_name("scale.json")
            self.corrections = correctionlib.CorrectionSet.from_file(str(file))
            self.pause_s = 0.1

        def generator_weight(self, events):
            if "entrystart" in events.metadata:
                time.sleep(self.pause_s)
            return super().generator_weight(events) * self.corrections["scale"].evaluate(2.0)
"""
QUANTITIES = """
    from bphcoffea.analysis import Variable

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)
"""
SCALE = {
    "schema_version": 2,
    "corrections": [
        {
            "name": "scale",
            "version": 1,
            "inputs": [{"name": "x", "type": "real"}],
            "output": {"name": "weight", "type": "real"},
            "data": {
                "nodetype": "formula",
                "expression": "x/4",
                "parser": "TFormula",
                "variables": ["x"],
            },
        }
    ],
}


@pytest.fixture(scope="module")
def analysis(tmp_path_factory):
    """An analysis by path, with a module and a correction file beside it."""
    mine = tmp_path_factory.mktemp("mine")
    (mine / "corrected.py").write_text(textwrap.dedent(ANALYSIS))
    (mine / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (mine / "scale.json").write_text(json.dumps(SCALE))
    return load_analysis(str(mine / "corrected.py"))


@pytest.fixture(scope="module")
def fileset(shared_folders):
    """Four files of data and simulation, with twelve chunks of 100 events or fewer."""
    toys = load_fileset(shared_folders.toys("ds_phipi", 1500, 2) / "fileset.json")
    return Fileset({name: toys[name] for name in ("toy_2018", "toy_ds_phipi_mc")})


def run_alone(analysis, fileset, folder):
    """The result of this process, without pauses: there is nothing to happen meanwhile."""
    quick = copy.copy(analysis)
    quick.pause_s = 0
    return run(quick, fileset, folder, Options("iterative"))


@pytest.fixture(scope="module")
def expected(analysis, fileset, tmp_path_factory):
    return run_alone(analysis, fileset, tmp_path_factory.mktemp("alone"))


@pytest.fixture
def facility(tmp_path):
    """Write a facility."""

    def facility(text):
        path = tmp_path / "site.toml"
        path.write_text(textwrap.dedent(text))
        return load_facility(path)

    return facility


def assert_same(got, expected):
    assert got.complete
    assert got.cutflow == expected.cutflow
    for dataset in expected.cutflow:
        tables = [candidates_at_any_place(run, dataset) for run in (got, expected)]
        assert tables[0].equals(tables[1])


def when(kept, chunks, act):
    """Do something, in a thread, once so many chunks are finished."""

    def wait():
        deadline = time.monotonic() + 100
        while len(list(kept.glob("*/*.lz4"))) < chunks and time.monotonic() < deadline:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_code_and_corrections_reach_workers_that_replace_others(
    analysis, fileset, expected, tmp_path
):
    everything = expected.cutflow["toy_ds_phipi_mc"][0]
    assert everything["sumw"] == everything["events"] / 2
    kept = tmp_path / "kept"
    with services.dask_cluster(tmp_path / "cluster", 1) as cluster:
        replacing = when(kept, 4, cluster.replace_worker)
        options = Options("dask", scheduler=cluster.address, chunksize=100, checkpoints=str(kept))
        got = run(analysis, fileset, tmp_path / "run", options)
        replacing.join()
    # the only worker died in the middle: what came after is the other one's work
    assert len(cluster.workers) == 1
    assert_same(got, expected)


GRID = """
    kind = "scheduler"
    [proxy]
    required = true
    certificates = "{}"
"""


@pytest.fixture
def remote(served, fileset):
    """Files of the toys in a served folder, and their fileset at a server."""
    folder, run_folder = served
    files = [file for dataset in fileset.root.values() for file in dataset.files]
    for number, file in enumerate(files):
        (folder / f"{number}.root").write_bytes(Path(file).read_bytes())

    def remote(server):
        entries = {server.url(f"{number}.root"): "Tree3Mu/ntuple" for number in range(len(files))}
        return fileset_of(entries)

    return folder, run_folder, remote


@pytest.mark.xrootd
def test_proxy_reaches_workers_that_join_later_and_is_kept_nowhere(
    authority, remote, analysis, facility, tmp_path, monkeypatch, caplog
):
    folder, run_folder, at = remote
    proxy = authority.proxy(tmp_path / "x509up")
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    site = facility(GRID.format(authority.certificates))
    kept = tmp_path / "kept"
    none = {"X509_USER_PROXY": "/nowhere"}
    with (
        services.gsi_server(folder, run_folder, authority) as server,
        services.dask_cluster(tmp_path / "cluster", 1, environment=none) as cluster,
    ):
        joining = when(kept, 2, cluster.add_worker)
        options = Options(
            "dask",
            scheduler=cluster.address,
            chunksize=50,
            checkpoints=str(kept),
            facility=site,
            proxy_hours=0.5,
        )
        slow = copy.copy(analysis)
        slow.pause_s = 0.4
        got = run(slow, at(server), tmp_path / "run", options)
        joining.join()
        local = {
            str(folder / url.rpartition("/")[2]): "Tree3Mu/ntuple" for url in at(server)["D"].files
        }
    assert "the grid proxy is sent through a scheduler without TLS" in caplog.text
    assert got.read("metrics.json")["workers"] == 2
    here = fileset_of(local)
    assert_same(got, run_alone(analysis, here, tmp_path / "alone"))
    secrets = [line for line in proxy.read_bytes().splitlines() if len(line) > 60]
    assert len(secrets) > 20
    for left in ("run", "kept", "cluster"):
        content = b"".join(p.read_bytes() for p in (tmp_path / left).rglob("*") if p.is_file())
        assert not any(secret in content for secret in secrets), left


@pytest.mark.xrootd
def test_server_refuses_without_a_proxy_in_one_line(
    authority, remote, analysis, tmp_path, monkeypatch
):
    folder, run_folder, at = remote
    monkeypatch.setattr("bphcoffea.facilities.proxy.Proxy.find", lambda: None)
    without = {"X509_USER_PROXY": "/nowhere", "X509_CERT_DIR": str(authority.certificates)}
    with (
        services.gsi_server(folder, run_folder, authority) as server,
        services.dask_cluster(tmp_path / "cluster", 1, environment=without) as cluster,
    ):
        fileset = at(server)
        options = Options("dask", scheduler=cluster.address, retries=ONCE)
        with pytest.raises(InputError) as raised:
            run(analysis, fileset, tmp_path / "run", options)
    lines = str(raised.value).splitlines()
    assert len(lines) == len(fileset["D"].files)
    assert all("the server refuses access; is there a valid grid proxy?" in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "fault"), [(-60, "the grid proxy expired"), (60, "the grid proxy expires at")]
)
def test_proxy_that_ends_too_soon_stops_the_run(
    authority, seconds, fault, analysis, fileset, facility, tmp_path, monkeypatch
):
    monkeypatch.setenv("X509_USER_PROXY", str(authority.proxy(tmp_path / "x509up", seconds)))
    site = facility(GRID.format(authority.certificates))
    options = Options("dask", scheduler="tcp://127.0.0.1:1", facility=site, proxy_hours=1)
    with pytest.raises(InputError, match=fault) as raised:
        run(analysis, fileset, tmp_path / "run", options)
    assert len(str(raised.value).splitlines()) == 1


def test_same_result_through_a_tls_scheduler(
    authority, analysis, fileset, expected, facility, tmp_path
):
    tls = authority.dask_certificates()
    site = facility(
        f"""
        kind = "scheduler"
        [security]
        ca = "{tls.ca}"
        cert = "{tls.certificate}"
        key = "{tls.key}"
        """
    )
    with services.dask_cluster(tmp_path / "cluster", 2, tls=tls) as cluster:
        assert cluster.address.startswith("tls://")
        options = Options("dask", scheduler=cluster.address, chunksize=100, facility=site)
        got = run(analysis, fileset, tmp_path / "run", options)
        assert_same(got, expected)
        # those who have no certificate are not let in
        with pytest.raises(InputError, match="no Dask scheduler answers"):
            run(
                analysis,
                fileset,
                tmp_path / "stranger",
                Options("dask", scheduler=cluster.address, chunksize=100),
            )


SLURM = """
    kind = "slurm"
    [workers]
    count = 2
    cores = 1
    memory = "1GB"
    walltime = "00:10:00"
    partition = "{}"
    logs = "{}"
    setup = ["export TMPDIR={}"]
    [security]
    folder = "{}"
"""


@pytest.mark.slurm
def test_same_result_through_slurm_where_a_job_is_cancelled(
    analysis, fileset, expected, facility, tmp_path, monkeypatch
):
    why_not = services.why_no_slurm()
    if why_not:
        pytest.skip(why_not)
    kept, scratch, folder = tmp_path / "kept", tmp_path / "scratch", tmp_path / "tls"
    scratch.mkdir()
    found = []

    def cancel(slurm):
        found.extend((path, path.stat().st_mode) for path in folder.rglob("*"))
        found.extend((path, path.stat().st_mode) for path in scratch.iterdir())
        slurm.cancel(slurm.jobs()[0])

    with services.slurm() as slurm:
        for name, value in slurm.environment.items():
            monkeypatch.setenv(name, value)
        site = facility(SLURM.format(slurm.partition, tmp_path / "logs", scratch, folder))
        cancelling = when(kept, 4, lambda: cancel(slurm))
        options = Options("dask", chunksize=100, checkpoints=str(kept), facility=site)
        got = run(analysis, fileset, tmp_path / "run", options)
        cancelling.join()
    assert_same(got, expected)
    # the jobs had a key, which nobody else could read, and folders of their own
    assert sorted(mode for _, mode in found) == [0o40700, 0o40700, 0o40700, 0o100600]
    assert not any(path.exists() for path, _ in found)
    log = b"".join(path.read_bytes() for path in (tmp_path / "logs").iterdir())
    assert b"tls://" in log
    assert b"tcp://" not in log


@pytest.mark.xrootd
@pytest.mark.parametrize("protocol", ["root", "http"])
def test_results_are_staged_out(protocol, analysis, fileset, facility, served, tmp_path):
    folder, run_folder = served
    with services.xrootd_server(folder, run_folder, http=True) as server:
        url = (server.url if protocol == "root" else server.http_url)("results/one")
        site = facility(f"""kind = "local"\n[storage]\nstage_out = "{url}"\n""")
        assert site.storage.stage_out == url
        options = Options("iterative", stage_out=url)
        got = run(analysis, fileset, tmp_path / "run", options)
    there = RunFolder(folder / "results" / "one")
    assert_same(there, got)
    for path in got.path.rglob("*"):
        if path.is_file():
            copy = there.path / path.relative_to(got.path)
            assert copy.read_bytes() == path.read_bytes()


def test_target_that_cannot_be_written_stops_the_run_before_it_begins(analysis, fileset, tmp_path):
    (tmp_path / "file").touch()
    options = Options("iterative", stage_out=str(tmp_path / "file" / "below"))
    with pytest.raises(InputError, match="results cannot be written there"):
        run(analysis, fileset, tmp_path / "run", options)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.xrootd
def test_files_below_store_are_read_at_the_redirectors(remote, analysis, facility, tmp_path):
    folder, run_folder, _ = remote
    (folder / "store").mkdir()
    (folder / "0.root").rename(folder / "store" / "a.root")
    with services.xrootd_server(folder, run_folder) as server:
        dead = f"root://127.0.0.1:{services.free_port()}//"
        site = facility(
            f"""
            kind = "local"
            [workers]
            count = 1
            [storage]
            redirectors = ["{dead}", "{server.url()}"]
            """
        )
        lists = fileset_of(["/store/a.root"])
        got = run(analysis, lists, tmp_path / "run", Options("dask", facility=site))
    assert got.complete
    (detour,) = got.read("ledger.json")["detours"]
    assert detour["file"] == f"{dead}store/a.root"
    assert detour["used"] == f"{server.url()}store/a.root"
