"""Runs at a facility: its credentials, code and corrections reach all workers; nothing is lost."""

import copy
import json
import shlex
import textwrap
import threading
import time
from pathlib import Path

import pytest
import services
from builders import candidates_at_any_place, fileset_of
from distributed import Client
from written_commands import written_commands

from bphcoffea.datasets import Fileset, load_fileset
from bphcoffea.errors import InputError
from bphcoffea.execution import Options, load_analysis, run
from bphcoffea.facilities import load_facility
from bphcoffea.results import RunFolder
from bphcoffea.shipped import shipped_folder
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
def analysis_file(tmp_path_factory):
    """An analysis, with a module and a correction file beside it."""
    mine = tmp_path_factory.mktemp("mine")
    (mine / "corrected.py").write_text(textwrap.dedent(ANALYSIS))
    (mine / "quantities.py").write_text(textwrap.dedent(QUANTITIES))
    (mine / "scale.json").write_text(json.dumps(SCALE))
    return mine / "corrected.py"


@pytest.fixture(scope="module")
def analysis(analysis_file):
    return load_analysis(str(analysis_file))


WAITING = """
    import tempfile

    def wait(folder):
        handle, _ = tempfile.mkstemp(dir=folder)
        os.close(handle)
        while len(list(folder.iterdir())) > 2 and not folder.with_name("joined").exists():
            time.sleep(0.05)
        time.sleep(0.3)
"""


@pytest.fixture
def waiting_file(analysis_file, tmp_path):
    """The same, which goes on after two chunks once there is a file ``joined``."""
    (tmp_path / "begun").mkdir()
    text = analysis_file.read_text().replace(
        "time.sleep(self.pause_s)", f"wait(Path({str(tmp_path / 'begun')!r}))"
    )
    path = analysis_file.with_name("waiting.py")
    path.write_text(f"import os\n{text}{textwrap.dedent(WAITING)}")
    return path


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


@pytest.fixture
def documented(bphcoffea, tmp_path, monkeypatch):
    """Type a command of the documentation, with some words replaced, and more options."""
    monkeypatch.chdir(tmp_path)
    lines = [shlex.join(words) for _, words, whole in written_commands() if whole]

    def documented(line, *options, replaced):
        assert line in lines
        for old, new in replaced.items():
            assert old in line
            line = line.replace(old, str(new))
        ended = bphcoffea(*shlex.split(line), *options)
        assert ended.status == 0, (line, ended.err)
        return ended

    return documented


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """Copy a shipped facility to where users keep theirs, and change it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    mine = tmp_path / "config" / "bphcoffea" / "facilities"
    mine.mkdir(parents=True)

    def shipped(name, changes):
        text = (shipped_folder("facilities") / f"{name}.toml").read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, str(new))
        (mine / f"{name}.toml").write_text(text)

    return shipped


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
    analysis_file, fileset, expected, documented, tmp_path
):
    everything = expected.cutflow["toy_ds_phipi_mc"][0]
    assert everything["sumw"] == everything["events"] / 2
    kept = tmp_path / "kept"
    fileset.save(tmp_path / "run2.json")
    with services.dask_cluster(tmp_path / "cluster", 1) as cluster:
        replacing = when(kept, 4, cluster.replace_worker)
        documented(
            "run ds_phipi run2.json -o results --scheduler tcp://host:8786",
            *("--chunksize", 100, "--checkpoints", kept),
            replaced={"ds_phipi": analysis_file, "tcp://host:8786": cluster.address},
        )
        replacing.join()
    # the only worker died in the middle: what came after is the other one's work
    assert len(cluster.workers) == 1
    assert_same(RunFolder(tmp_path / "results"), expected)


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
        return fileset_of(entries, is_mc=True)

    return folder, run_folder, remote


@pytest.mark.xrootd
def test_proxy_reaches_workers_that_join_later_and_is_kept_nowhere(
    authority, remote, analysis, waiting_file, shipped, documented, tmp_path, monkeypatch
):
    folder, run_folder, at = remote
    proxy = authority.proxy(tmp_path / "x509up")
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    certificates = "/cvmfs/grid.cern.ch/etc/grid-security/certificates"
    shipped("infn_af", {certificates: authority.certificates})
    kept = tmp_path / "kept"
    none = {"X509_USER_PROXY": "/nowhere"}
    with (
        services.gsi_server(folder, run_folder, authority) as server,
        services.dask_cluster(tmp_path / "cluster", 1, environment=none) as cluster,
    ):

        def join():
            cluster.add_worker()
            with Client(cluster.address) as client:
                client.wait_for_workers(2, timeout=100)
            (tmp_path / "joined").touch()

        joining = when(kept, 2, join)
        at(server).save(tmp_path / "run2.json")
        ended = documented(
            "run ds_phipi run2.json -o results --facility infn_af --scheduler tcp://127.0.0.1:8786",
            *("--chunksize", 50, "--checkpoints", kept, "--min-proxy-lifetime", 0.5),
            replaced={"ds_phipi": waiting_file, "tcp://127.0.0.1:8786": cluster.address},
        )
        joining.join()
        local = {
            str(folder / url.rpartition("/")[2]): "Tree3Mu/ntuple" for url in at(server)["D"].files
        }
    assert "the grid proxy is sent through a scheduler without TLS" in ended.err
    got = RunFolder(tmp_path / "results")
    assert got.read("metrics.json")["workers"] == 2
    here = fileset_of(local, is_mc=True)
    assert_same(got, run_alone(analysis, here, tmp_path / "alone"))
    secrets = [line for line in proxy.read_bytes().splitlines() if len(line) > 60]
    assert len(secrets) > 20
    for left in ("results", "kept", "cluster"):
        content = b"".join(p.read_bytes() for p in (tmp_path / left).rglob("*") if p.is_file())
        assert not any(secret in content for secret in secrets), left


@pytest.mark.xrootd
def test_server_refuses_without_a_proxy_in_one_line(
    authority, remote, analysis, tmp_path, monkeypatch
):
    folder, run_folder, at = remote
    monkeypatch.setattr("bphcoffea.storage.credentials.Proxy.find", lambda: None)
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
    assert all(
        "the server refuses access; is there a valid grid proxy or bearer token?" in line
        for line in lines
    )


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


TLS = """
    kind = "scheduler"
    [scheduler]
    address = "{}"
    [security]
    ca = "{}"
    cert = "{}"
    key = "{}"
"""


def test_same_result_through_a_tls_scheduler(
    authority, analysis_file, analysis, fileset, expected, documented, tmp_path
):
    tls = authority.dask_certificates()
    fileset.save(tmp_path / "run2.json")
    site = tmp_path / "my" / "site.toml"
    site.parent.mkdir()
    with services.dask_cluster(tmp_path / "cluster", 2, tls=tls) as cluster:
        assert cluster.address.startswith("tls://")
        site.write_text(TLS.format(cluster.address, tls.ca, tls.certificate, tls.key))
        documented(
            "run ds_phipi run2.json -o results --facility my/site.toml",
            *("--chunksize", 100),
            replaced={"ds_phipi": analysis_file},
        )
        assert_same(RunFolder(tmp_path / "results"), expected)
        # those who have no certificate are not let in
        with pytest.raises(InputError, match="no Dask scheduler answers"):
            run(
                analysis,
                fileset,
                tmp_path / "stranger",
                Options("dask", scheduler=cluster.address, chunksize=100),
            )


@pytest.mark.slurm
def test_same_result_through_slurm_where_a_job_is_cancelled(
    analysis_file, fileset, expected, shipped, documented, tmp_path, monkeypatch
):
    why_not = services.why_no_slurm()
    if why_not:
        pytest.skip(why_not)
    kept, scratch, folder = tmp_path / "kept", tmp_path / "scratch", tmp_path / "tls"
    scratch.mkdir()
    fileset.save(tmp_path / "run2.json")
    found = []

    def cancel(slurm):
        found.extend((path, path.stat().st_mode) for path in folder.rglob("*"))
        found.extend((path, path.stat().st_mode) for path in scratch.iterdir())
        slurm.cancel(slurm.jobs()[0])

    with services.slurm() as slurm:
        for name, value in slurm.environment.items():
            monkeypatch.setenv(name, value)
        # two workers, no server of the grid, and folders of this test
        changes = {"minimum = 0": "count = 2", "maximum = 20": "", "2GB": "1GB"}
        changes |= {"redirectors =": "# redirectors ="}
        changes |= {'# logs = "~/dask-logs"': f'logs = "{tmp_path / "logs"}"'}
        changes |= {"# setup = [": f'setup = ["export TMPDIR={scratch}"] # '}
        changes |= {
            '# [security]\n# folder = "/shared/your-name"': f'[security]\nfolder = "{folder}"'
        }
        shipped("slurm", changes)
        checked = documented("facility check slurm", replaced={}).out.splitlines()
        assert len(checked) == 3, checked
        assert all(line.startswith("✓") for line in checked)
        cancelling = when(kept, 4, lambda: cancel(slurm))
        documented(
            "run ds_phipi run2.json -o results --facility slurm",
            *("--chunksize", 100, "--checkpoints", kept),
            replaced={"ds_phipi": analysis_file},
        )
        cancelling.join()
    assert_same(RunFolder(tmp_path / "results"), expected)
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
def test_files_below_store_are_read_at_the_redirectors(
    remote, analysis, facility, documented, tmp_path
):
    folder, run_folder, _ = remote
    files = folder / "store" / "user" / "me" / "2017B"
    files.mkdir(parents=True)
    (folder / "0.root").rename(files / "a.root")
    (folder / "1.root").rename(files / "b.root")
    sample = {"type": "data", "era": "2017B", "rootpath": "2017B", "files": ["b.root"]}
    (tmp_path / "samples.json").write_text(json.dumps({"2017B": sample}))
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
        lists = fileset_of(["/store/user/me/2017B/a.root"])
        got = run(analysis, lists, tmp_path / "run", Options("dask", facility=site))
        here = {"root://host//": server.url()}
        documented(
            "fileset import samples.json --prefix root://host//store/user/me -o imported.json",
            replaced=here,
        )
        documented(
            "fileset build 'root://host//store/user/me/2017B/*.root' -o run2.json --name 2017B "
            "--era 2017B --meta luminosity=4.79",
            replaced=here | {"era 2017B": "era 2018B"},
        )
        documented("run ds_phipi run2.json -o results --executor dask", "--workers", 1, replaced={})
    results = RunFolder(tmp_path / "results").read("ledger.json")
    built, imported = (load_fileset(tmp_path / f"{name}.json") for name in ("run2", "imported"))
    assert len(built["2017B"].files) == 2
    assert set(imported["2017B"].files) < set(built["2017B"].files)
    assert results["processed_events"] == results["expected_events"] > 0
    assert got.complete
    (detour,) = got.read("ledger.json")["detours"]
    assert detour["file"] == f"{dead}store/user/me/2017B/a.root"
    assert detour["used"] == f"{server.url()}store/user/me/2017B/a.root"
