"""Passwords and tokens of URLs: a run reads with them, and leaves none behind."""

import json
import shutil
import stat
import sys
import textwrap
from pathlib import Path

import lz4.frame
import pyarrow.parquet as pq
import pytest
import services
import uproot

from bphcoffea import cli
from bphcoffea.errors import InputError
from bphcoffea.redaction import has_secrets, redacted, redacted_data
from bphcoffea.results import RunFolder

TREE = "Tree3Mu/ntuple"
#: In every secret of this module.
PLANTED = "pl4nted"
#: What may be left nowhere.
SECRETS = (PLANTED,)
ANALYSIS = """
    from bphcoffea.analysis import Analysis, Axis, Candidates, Cut, Histogram, Selection, Variable
    from bphcoffea.inputs import TwoMuTrackSchema

    chi2 = Variable("chi2", lambda events: events.Triplet.vertex.chi2)

    class Small(Analysis):
        schema = TwoMuTrackSchema
        candidates = Candidates("Triplet", best=chi2)
        selection = Selection(Cut("vertex", chi2 >= 0))
        histograms = (Histogram("chi2", chi2, Axis(5, 0, 20)),)

        def prepare(self, events):
            print("reads", events.metadata.get("filename"), flush=True)
            if WRONG and "filename" in events.metadata:
                raise ValueError(f"cannot use {events.metadata['filename']}")
            return super().prepare(events)
"""


@pytest.fixture(scope="module")
def server(data):
    """A server of XRootD and HTTP with one ntuple, and a folder that takes files."""
    why_not = services.why_no_xrootd()
    if why_not:
        pytest.skip(why_not)
    with services.server_folders() as (served, run):
        shutil.copy(data / "tree3mu_phipi_2017.root", served / "a.root")
        shutil.copy(data / "tree3mu_phipi_2018_mc.root", served / "mc.root")
        (served / "out").mkdir()
        shutil.chown(served / "out", "nobody")
        with services.xrootd_server(served, run, http=True) as server:
            yield server


@pytest.fixture
def guarded(served, authority, data, monkeypatch, tmp_path):
    """A server that asks for a macaroon, which the user has; it must not be left anywhere."""
    folder, run = served
    shutil.copy(data / "tree3mu_phipi_traps.root", folder / "b.root")
    (folder / "b.root").chmod(0o644)
    monkeypatch.setenv("X509_USER_PROXY", "")
    monkeypatch.setattr("bphcoffea.storage.credentials.usual_proxy", lambda: tmp_path / "none")
    monkeypatch.setenv("X509_CERT_DIR", str(authority.certificates))
    with services.MacaroonServer(folder, run, authority) as server:
        server.token = server.macaroon(authority.proxy(tmp_path / "proxy.pem"))
        (tmp_path / "token").touch(0o600)
        (tmp_path / "token").write_text(server.token)
        monkeypatch.setenv("BEARER_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setattr(sys.modules[__name__], "SECRETS", (PLANTED, server.token))
        yield server


def analysis(*, wrong=False):
    return textwrap.dedent(ANALYSIS).replace("WRONG", str(wrong))


def root(server, path, token="1"):
    return (
        f"root://me:{PLANTED}{token}@localhost:{server.port}//{path}"
        f"?authz=Bearer%20{PLANTED}{token}.x-y_z"
    )


def http(server, path):
    query = f"X-Amz-Credential={PLANTED}%2Fa&X-Amz-Signature={PLANTED}3&x=1"
    return f"http://me:{PLANTED}@localhost:{server.http_port}/{path}?{query}"


def write_fileset(path, server, token="1", *, lost=True):
    """Files that a replica serves, over XRootD, over HTTP, and, if wanted, some that are lost."""
    data = {
        root(server, "gone.root", token): {
            "object_path": TREE,
            "replicas": [root(server, "a.root", token)],
        }
    }
    if lost:
        data[root(server, "missing.root", token)] = {"object_path": TREE, "num_entries": 7}
        data[f"http://localhost:1/a.root?access_token={PLANTED}&sig={PLANTED}"] = TREE
    metadata = {"is_mc": False, "era": "2017D", "luminosity": 1.0, "source": http(server, "list")}
    simulated = {"is_mc": True, "era": "2018D", "process": "ds_phipi"}
    content = {
        "D": {"files": data, "metadata": metadata},
        "S": {"files": {http(server, "mc.root"): TREE}, "metadata": simulated},
    }
    path.write_text(json.dumps(content))
    return path


def texts_in(folder):
    """Everything that can be read in the files of a folder, decompressed, by file."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        yield path, content.decode("latin-1")
        if path.suffix == ".parquet":
            table = pq.read_table(path)
            yield path, f"{table.schema.to_string()} {table.to_pylist()}"
        if path.suffix == ".root":
            with uproot.open(path) as file:
                yield (
                    path,
                    str([(key, getattr(file[key], "all_members", "")) for key in file]),
                )
        if path.name.endswith(".pkl.lz4"):
            yield path, lz4.frame.decompress(content[32:]).decode("latin-1")


def assert_clean(*folders):
    """Check that no secret is in a folder, which holds something."""
    for folder in folders:
        found = list(texts_in(folder))
        assert found
        for path, text in found:
            for secret in SECRETS:
                assert secret not in text, (path, text[max(0, text.find(secret) - 300) :][:600])


@pytest.fixture
def command(monkeypatch, capfd):
    """Run the command line, and check what it and its workers print; gives status and that."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["bphcoffea", *map(str, words)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            cli.main()
        printed = "\n".join(capfd.readouterr())
        assert not any(secret in printed for secret in SECRETS), printed
        return left.value.code or 0, printed

    return command


@pytest.fixture
def options(tmp_path):
    return ("--attempts", 1, "--timeout", 10, "--checkpoints", tmp_path / "kept", "--workers", 1)


@pytest.mark.xrootd
@pytest.mark.parametrize("executor", ["iterative", "futures"])
def test_nothing_of_a_run_holds_a_secret(executor, server, command, options, tmp_path):
    fileset = write_fileset(tmp_path / "fileset.json", server)
    words = ("run", "ds_phipi", fileset, "-o", tmp_path / "run", "--executor", executor, *options)
    status, printed = command(*words)
    assert status == 3, printed
    assert f"***@localhost:{server.port}//missing.root?authz=***" in printed
    assert_clean(tmp_path / "run", tmp_path / "kept")
    folder = RunFolder(tmp_path / "run")
    (detour,) = folder.read("ledger.json")["detours"]
    assert detour["used"] == redacted(root(server, "a.root"))
    assert set(folder.read("metrics.json")["by_site"]) == {
        f"localhost:{server.port}",
        f"localhost:{server.http_port}",
    }


@pytest.mark.xrootd
def test_files_stay_the_same_when_a_token_is_renewed(server, command, options, tmp_path):
    words = ("run", "ds_phipi", tmp_path / "fileset.json", "-o", tmp_path / "run", *options)
    hashes = []
    for token, resume in (("1", ()), ("2", ("--resume",))):
        write_fileset(tmp_path / "fileset.json", server, token)
        assert command(*words, "--executor", "iterative", *resume)[0] == 3
        hashes.append(RunFolder(tmp_path / "run").read("provenance.json")["fileset_sha256"])
    assert RunFolder(tmp_path / "run").read("metrics.json")["chunks_resumed"] == 2
    assert hashes[0] == hashes[1]


@pytest.mark.xrootd
def test_commands_on_a_run_hold_no_secret(server, command, options, tmp_path):
    fileset = write_fileset(tmp_path / "fileset.json", server, lost=False)
    out = f"root://me:{PLANTED}@localhost:{server.port}//out"
    (tmp_path / "small.py").write_text(analysis())
    words = ("run", tmp_path / "small.py", fileset, "-o", tmp_path / "run")
    words = (*words, "--executor", "iterative")
    staging = ("--stage-out", f"{out}/run", "--skim", f"{out}/skim")
    status, printed = command(*words, *options, *staging)
    assert status == 0, printed
    assert f"reads {redacted(http(server, 'mc.root'))}\n" in printed
    assert "results staged out to root://***@localhost" in printed
    command("fit", tmp_path / "run")
    assert command("plot", tmp_path / "run", "--fileset", fileset)[0] == 0
    assert command("status", tmp_path / "run")[0] == 0
    assert_clean(tmp_path / "run", server.folder / "out")
    no_place = f"davs://me:{PLANTED}@localhost:1/out?authz={PLANTED}"
    assert command(*words, *options, "--stage-out", no_place)[0] == 2


@pytest.mark.xrootd
def test_check_of_a_fileset_prints_no_secret(server, command, tmp_path):
    fileset = write_fileset(tmp_path / "fileset.json", server)
    checked = tmp_path / "checked.json"
    words = ("fileset", "check", fileset, "--analysis", "ds_phipi", "-o", checked)
    status, printed = command(*words, "--checksum")
    assert status == 2
    assert "missing.root?authz=***: no such file" in printed
    # it is still a fileset that works
    assert f"{checked} holds passwords or tokens" in printed
    assert stat.S_IMODE(checked.stat().st_mode) == 0o600
    assert root(server, "gone.root") in json.loads(checked.read_text())["D"]["files"]


def test_fileset_with_a_password_is_its_owners_alone(command, tmp_path):
    entry = {"type": "data", "rootpath": "2017B", "files": "a.root", "era": "2017B"}
    (tmp_path / "samples.json").write_text(json.dumps({"2017B": entry}))
    target = tmp_path / "imported.json"
    target.touch(0o644)
    words = ("fileset", "import", tmp_path / "samples.json", "-o", target, "--prefix")
    assert command(*words, f"root://me:{PLANTED}@host//store")[0] == 0
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert PLANTED in target.read_text()
    assert "mode 0600" not in command(*words, "root://host//store")[1]
    assert stat.S_IMODE(target.stat().st_mode) & 0o444 == 0o444


@pytest.mark.xrootd
def test_a_bug_prints_no_secret(server, command, options, tmp_path):
    fileset = write_fileset(tmp_path / "fileset.json", server)
    (tmp_path / "buggy.py").write_text(analysis(wrong=True))
    words = ("run", tmp_path / "buggy.py", fileset, "-o", tmp_path / "run", "--executor", "dask")
    status, printed = command("--debug", *words, *options)
    assert status == 1
    assert "ValueError: cannot use " in printed
    assert "***@localhost" in printed
    assert printed.count("Traceback") == 1


@pytest.mark.xrootd
def test_nothing_of_a_run_on_a_cluster_holds_a_secret(
    server, guarded, command, options, tmp_path, dask_reports, monkeypatch
):
    """URLs with secrets, and a token that is sent to workers, which have no proxy."""
    monkeypatch.setenv("XRD_CONNECTIONWINDOW", "1")
    fileset = write_fileset(tmp_path / "fileset.json", server)
    content = json.loads(fileset.read_text())
    content["D"]["files"][guarded.davs_url("b.root")] = TREE
    fileset.write_text(json.dumps(content))
    (tmp_path / "small.py").write_text(analysis())
    (tmp_path / "buggy.py").write_text(analysis(wrong=True))
    # what forked workers print is in no log
    environment = {
        "PYTHONPATH": str(Path(cli.__file__).parents[2]),
        "BEARER_TOKEN": f"{PLANTED}.old",
        "BEARER_TOKEN_FILE": "/none",
    }
    with services.dask_cluster(
        tmp_path / "cluster", python=sys.executable, environment=environment
    ) as cluster:
        words = (fileset, "-o", tmp_path / "run", "--scheduler", cluster.address, *options[:-2])
        target = guarded.davs_url("results/run")
        status, printed = command("run", tmp_path / "small.py", *words, "--stage-out", target)
        assert status == 3, printed
        assert "the bearer token is sent through a scheduler without TLS" in printed
        assert f"{guarded.davs_url('b.root')}: " not in printed, "it was read"
        assert (tmp_path / "run" / "dask-report.html").exists()
        assert_clean(tmp_path / "run", tmp_path / "kept", guarded.folder / "results")
        assert command("run", tmp_path / "buggy.py", *words, "--overwrite")[0] == 1
        log = cluster.log.read_text()
    assert "distributed.worker" in log
    assert f"reads {redacted(http(server, 'mc.root'))}\n" in log
    assert f"reads {guarded.davs_url('b.root')}\n" in log
    assert not any(secret in log for secret in SECRETS)
    assert "Traceback" not in log


def test_one_file_with_two_tokens_is_one_file(command, tmp_path):
    files = dict.fromkeys((f"root://host//a.root?authz={PLANTED}{n}" for n in range(2)), TREE)
    content = {"D": {"files": files, "metadata": {"is_mc": True, "era": "2018D"}}}
    (tmp_path / "fileset.json").write_text(json.dumps(content))
    status, printed = command("fileset", "check", tmp_path / "fileset.json")
    assert status == 2
    assert "'root://host//a.root?authz=***' is listed twice" in printed


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("root://me:pl4nted@host//a.root", "root://***@host//a.root"),
        ("http://pl4nted@host/a, b", "http://***@host/a, b"),
        ("root://me:pl4@nted@host//a", "root://***@host//a"),
        ("/store/a.root?authz=pl4nted: no such file", "/store/a.root?authz=***: no such file"),
        ("'http://h/a?x=1&sig=pl4nted%2B/=', 'b'", "'http://h/a?x=1&sig=***', 'b'"),
        ("a?token=pl4;nted&b=c", "a?token=***&b=c"),
        ("a&amp;X-Amz-Security-Token=pl4nted&amp;b=c", "a&amp;X-Amz-Security-Token=***&amp;b=c"),
        ("a%3Fauthz%3DBearer%20pl4nted", "a%3Fauthz%3D***"),
        ("Authorization: Bearer pl4nted.pl4nted", "Authorization: Bearer ***"),
        ("simplecache::root://a:pl4nted@h//c", "simplecache::root://***@h//c"),
    ],
)
def test_redacted(text, shown):
    assert redacted(text) == shown
    assert redacted(shown) == shown
    assert str(InputError(text)) == shown
    assert has_secrets({"a": [text]})
    assert redacted_data({text: (text, 1)}) == {shown: [shown, 1]}


@pytest.mark.parametrize(
    "text",
    [
        "root://host:1094//store/user@x.root",
        "http://host/a?sigma=3&design=4&monkey=5",
        "see http://host/a and me@host; a token = 3",
        "/data/key=value/a.root",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redacted(text) == text
    assert not has_secrets([text])
