"""Copying results to disks and to real XRootD and WebDAV servers, which fail in many ways."""

import contextlib
import errno
import http.server
import os
import random
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import services
from services.cutting import CuttingProxy
from XRootD import client
from XRootD.client.env import EnvGetInt, EnvPutInt

from bphcoffea.errors import InputError
from bphcoffea.storage.servers import Retries
from bphcoffea.storage.stageout import check_target, stage_out, stage_out_folder
from bphcoffea.storage.targets import Disk
from bphcoffea.storage.webdav import WebDAV
from bphcoffea.storage.xrootd import XRootD

RETRIES = Retries(attempts=3, wait_s=0.2, timeout_s=10)
ONCE = Retries(attempts=1, timeout_s=10)
#: What is not told at once takes longer than a test may.
PATIENT = Retries(attempts=5, wait_s=1000)
SIZE = 6_000_000
#: Where a transfer of that size is cut: neither at the beginning nor at the end.
MIDDLE = 3_000_000

REMOTE = pytest.mark.xrootd
CLASSES = {"local": Disk, "root": XRootD, "http": WebDAV}


@dataclass
class Target:
    """A place to write to.

    Attributes
    ----------
    kind
        local, root or http.
    folder
        Where its files really lie.
    server
        None for a local one.
    """

    kind: str
    folder: Path
    server: services.RestartableServer | None = None

    def url(self, path, port=None):
        if self.kind == "local":
            return str(self.folder / path)
        if self.kind == "root":
            return f"root://localhost:{port or self.server.port}//{path}"
        return f"http://localhost:{port or self.server.http_port}/{path}"

    @property
    def port(self):
        return self.server.port if self.kind == "root" else self.server.http_port


@pytest.fixture
def serving(request):
    """Make a target of a kind, whose server has some options."""
    with contextlib.ExitStack() as stack:

        def serving(kind, **options):
            if kind == "local":
                return Target(kind, request.getfixturevalue("tmp_path") / "served")
            folder, run = request.getfixturevalue("served")
            server = services.RestartableServer(folder, run, http=True, **options)
            return Target(kind, folder, stack.enter_context(server))

        yield serving


@pytest.fixture
def target(request, serving):
    return serving(request.param)


on_all = pytest.mark.parametrize(
    "target",
    ["local", pytest.param("root", marks=REMOTE), pytest.param("http", marks=REMOTE)],
    indirect=True,
)
on_servers = pytest.mark.parametrize(
    "target",
    [pytest.param("root", marks=REMOTE), pytest.param("http", marks=REMOTE)],
    indirect=True,
)
protocols = pytest.mark.parametrize("kind", ["root", "http"])


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "histograms.root"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    for name in (
        "analysis.json",
        "candidates/%2FParkingDoubleMuon %C3.parquet",
        "ledger.json",
        "zeros.json",
        ".writing-1/ledger.json",
        ".ledger.json.part",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "zeros.json" else name.encode() * 100)
    return folder


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())


def one_line(error):
    text = str(error.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


@contextlib.contextmanager
def watching(path):
    """The sizes that a file is seen with while something happens."""
    sizes, ended = set(), threading.Event()

    def watch():
        while not ended.is_set():
            with contextlib.suppress(FileNotFoundError):
                sizes.add(path.stat().st_size)
            time.sleep(0.0005)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield sizes
    finally:
        ended.set()
        thread.join()


@on_all
def test_a_file_arrives_as_it_is(target, source):
    # a path of WebDAV is quoted, others are taken as they are
    name = "a/b%20c/x%252F%231.root" if target.kind == "http" else "a/b c/x%2F#1.root"
    stage_out(source, target.url(name), ONCE)
    assert files(target.folder) == ["a/b c/x%2F#1.root"]
    assert (target.folder / "a/b c/x%2F#1.root").read_bytes() == source.read_bytes()


@on_all
@pytest.mark.parametrize("size", [0, 1, SIZE])
def test_an_older_file_is_replaced(target, tmp_path, size):
    source = tmp_path / "new"
    source.write_bytes(b"n" * size)
    stage_out(source, target.url("x.root"), ONCE)
    source.write_bytes(b"m" * size)
    stage_out(source, target.url("x.root"), ONCE)
    assert files(target.folder) == ["x.root"]
    assert (target.folder / "x.root").read_bytes() == b"m" * size


def test_a_file_url_is_a_path(source, tmp_path):
    stage_out(source, (tmp_path / "a b" / "x.root").as_uri(), ONCE)
    assert (tmp_path / "a b" / "x.root").read_bytes() == source.read_bytes()


@on_servers
def test_a_cut_transfer_is_not_seen_and_tried_again(target, source):
    (target.folder / "x.root").write_bytes(b"older")
    with (
        CuttingProxy(target.port, MIDDLE) as proxy,
        watching(target.folder / "x.root") as sizes,
    ):
        stage_out(source, target.url("x.root", proxy.port), RETRIES)
    assert proxy.cuts == 1
    assert sizes <= {len(b"older"), SIZE}
    assert (target.folder / "x.root").read_bytes() == source.read_bytes()
    assert files(target.folder) == ["x.root"]


@on_servers
def test_a_transfer_that_is_always_cut_leaves_nothing(target, source):
    with (
        CuttingProxy(target.port, MIDDLE, times=1000) as proxy,
        watching(target.folder / "x.root") as sizes,
        pytest.raises(InputError, match="connection to the server broke") as error,
    ):
        stage_out(source, target.url("x.root", proxy.port), RETRIES)
    assert one_line(error).startswith(target.url("x.root", proxy.port))
    assert proxy.cuts == RETRIES.attempts
    assert sizes == set()
    assert files(target.folder) == []


@pytest.mark.xrootd
@protocols
def test_a_read_only_server_is_told_at_once(serving, source, run_folder, kind):
    target = serving(kind, readonly=True)
    for attempt in (
        lambda: stage_out(source, target.url("x.root"), PATIENT),
        lambda: check_target(target.url("run"), PATIENT),
    ):
        with pytest.raises(InputError, match="read-only; choose another place") as error:
            attempt()
        assert one_line(error).startswith(target.url(""))
    with pytest.raises(InputError, match="read-only; choose another place") as error:
        stage_out_folder(run_folder, target.url("run"), PATIENT)
    assert str(error.value).count("read-only; choose another place") == 1
    assert files(target.folder) == []


@on_servers
def test_a_folder_of_somebody_else_is_told(target, source):
    other = target.folder / "other"
    other.mkdir()
    with pytest.raises(InputError, match="permission denied") as error:
        stage_out(source, target.url("other/x.root"), PATIENT)
    assert "is it your own area" in one_line(error)


@pytest.fixture
def full(target):
    """A megabyte of space at a target."""
    folder = target.folder / "small"
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=777", "tmpfs", folder],
        capture_output=True,
        text=True,
    )
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("target", ["local", pytest.param("root", marks=REMOTE)], indirect=True)
def test_a_full_disk_is_told_at_once(target, full, source, run_folder):
    with pytest.raises(InputError, match=r"no space is left there.*make room or choose") as error:
        stage_out(source, target.url("small/x"), PATIENT)
    assert one_line(error).startswith(target.url("small/x"))
    assert files(full) == []
    source.rename(run_folder / "histograms.root")
    with pytest.raises(InputError, match="no space is left there") as error:
        stage_out_folder(run_folder, target.url("small"), PATIENT)
    first, second, last = str(error.value).splitlines()
    assert first.startswith(target.url("small/histograms.root"))
    assert "not tried" in second
    assert last.startswith(str(run_folder))
    assert not {"histograms.root", "ledger.json"} & set(files(full))
    assert not [name for name in files(full) if name.endswith(".part")]


@pytest.mark.xrootd
@pytest.mark.parametrize("target", ["http"], indirect=True)
def test_over_http_a_full_disk_looks_like_a_broken_connection(target, full, source):
    with pytest.raises(InputError, match="has it space left") as error:
        stage_out(source, target.url("small/x"), RETRIES)
    one_line(error)
    assert files(full) == []


@pytest.fixture
def impatient():
    """XRootD's client waits 20 s for a server that is not there; here it does for 2 s."""
    known = {name: EnvGetInt(name) for name in ("ConnectionWindow", "ConnectionRetry")}
    for name in known:
        EnvPutInt(name, 1)
    yield
    for name, value in known.items():
        EnvPutInt(name, value)


@protocols
def test_a_server_that_is_not_there(source, run_folder, kind, impatient):
    url = f"{kind}://localhost:{services.free_port()}//store/run"
    for attempt in (
        lambda: stage_out(source, url, Retries(attempts=2, wait_s=0.1, timeout_s=5)),
        lambda: stage_out_folder(run_folder, url, ONCE),
        lambda: check_target(url),
    ):
        with pytest.raises(InputError, match="the server does not answer") as error:
            attempt()
        assert one_line(error).startswith(f"{kind}://localhost:")


@pytest.mark.slow
@on_servers
def test_a_server_that_fell_silent(target, source):
    target.server.freeze()
    try:
        with pytest.raises(InputError, match="the server does not answer") as error:
            stage_out(source, target.url("x.root"), Retries(attempts=1, timeout_s=2))
    finally:
        target.server.thaw()
    one_line(error)


@protocols
def test_a_host_that_does_not_exist(source, kind):
    with pytest.raises(InputError, match="there is no such host") as error:
        stage_out(source, f"{kind}://nowhere.invalid:1094//x", ONCE)
    one_line(error)


@on_all
def test_what_arrives_damaged_is_sent_again(target, source, tmp_path, monkeypatch):
    damaged = bytearray(source.read_bytes())
    damaged[MIDDLE] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    sent = []
    write = CLASSES[target.kind].write

    def damaging(self, source, path):
        sent.append(path)
        write(self, tmp_path / "damaged" if len(sent) == 1 else source, path)

    monkeypatch.setattr(CLASSES[target.kind], "write", damaging)
    with pytest.raises(InputError, match=r"differs after the transfer.*adler32") as error:
        stage_out(source, target.url("x.root"), ONCE)
    one_line(error)
    assert files(target.folder) == []
    sent.clear()
    stage_out(source, target.url("x.root"), RETRIES)
    assert len(set(sent)) == 2
    assert (target.folder / "x.root").read_bytes() == source.read_bytes()


@pytest.mark.xrootd
@protocols
def test_damage_is_seen_where_a_server_knows_no_checksums(
    serving, source, tmp_path, monkeypatch, kind
):
    target = serving(kind, checksums=False)
    told = CLASSES[kind].checksum
    answers = []

    def asking(self, path):
        answers.append(told(self, path))
        return answers[-1]

    monkeypatch.setattr(CLASSES[kind], "checksum", asking)
    stage_out(source, target.url("x.root"), ONCE)
    assert answers == [None]
    damaged = bytearray(source.read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    write = CLASSES[kind].write
    monkeypatch.setattr(
        CLASSES[kind],
        "write",
        lambda self, source, path: write(self, tmp_path / "damaged", path),
    )
    with pytest.raises(InputError, match="differs after the transfer"):
        stage_out(source, target.url("y.root"), ONCE)
    assert files(target.folder) == ["x.root"]


@on_servers
def test_the_server_is_asked_for_the_checksum(target, source, monkeypatch):
    def not_needed(self, path):
        raise AssertionError("read back")

    monkeypatch.setattr(CLASSES[target.kind], "read", not_needed)
    stage_out(source, target.url("x.root"), ONCE)


@on_all
def test_a_run_goes_there_with_its_ledger_last(target, run_folder, monkeypatch):
    target.folder.joinpath("run").mkdir(parents=True)
    if target.server:
        shutil.chown(target.folder / "run", "nobody")
    (target.folder / "run/ledger.json").write_text("of an older run")
    ledgers = []
    write = CLASSES[target.kind].write

    def noting(self, source, path):
        ledgers.append((target.folder / "run/ledger.json").exists())
        write(self, source, path)

    monkeypatch.setattr(CLASSES[target.kind], "write", noting)
    before = {name: (run_folder / name).read_bytes() for name in files(run_folder)}
    urls = stage_out_folder(run_folder, target.url("run"), ONCE)
    assert len(urls) == 4
    assert urls[-1] == target.url("run/ledger.json")
    assert not any(ledgers)
    assert files(target.folder / "run") == sorted(name for name in before if name[0] != ".")
    for name in files(target.folder / "run"):
        assert (target.folder / "run" / name).read_bytes() == before[name]
    assert {name: (run_folder / name).read_bytes() for name in files(run_folder)} == before


@on_all
def test_all_problems_of_a_run_are_told_and_there_is_no_ledger(target, run_folder):
    # folders stand where files are to go
    for name in ("analysis.json", "zeros.json"):
        (target.folder / "run" / name / "below").mkdir(parents=True)
    if target.server:
        for folder, _, _ in os.walk(target.folder):
            shutil.chown(folder, "nobody")
    with pytest.raises(InputError) as error:
        stage_out_folder(run_folder, target.url("run"), ONCE)
    first, second, last = str(error.value).splitlines()
    assert first.startswith(target.url("run/analysis.json: not written"))
    assert second.startswith(target.url("run/zeros.json: not written"))
    assert last.startswith(str(run_folder))
    assert len(files(target.folder)) == 1
    assert "ledger.json" not in files(target.folder / "run")


def test_a_folder_without_a_run_is_not_copied(tmp_path):
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="no finished run") as error:
        stage_out_folder(tmp_path / "run", str(tmp_path / "there"), ONCE)
    one_line(error)
    assert not (tmp_path / "there").exists()


@on_all
def test_a_target_that_can_be_written_is_left_empty(target):
    check_target(target.url("a/b"))
    assert (target.folder / "a" / "b").is_dir()
    assert files(target.folder) == []


@on_all
def test_a_target_below_a_file(target, tmp_path):
    target.folder.mkdir(exist_ok=True)
    (target.folder / "file").touch()
    with pytest.raises(InputError, match="results cannot be written there: ") as error:
        check_target(target.url("file/below"))
    assert "a folder of that path is a file" in one_line(error)


def test_a_disk_that_may_not_be_written(source, tmp_path, monkeypatch):
    def denied(self, *_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "replace", denied)
    with pytest.raises(InputError, match="permission denied") as error:
        stage_out(source, str(tmp_path / "there" / "x.root"), RETRIES)
    one_line(error)
    assert files(tmp_path / "there") == []


def test_a_source_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="the file here cannot be read") as error:
        stage_out(tmp_path / "missing", str(tmp_path / "there" / "x"), RETRIES)
    one_line(error)


@pytest.mark.parametrize(
    ("url", "told"),
    {
        "s3://bucket/x": "cannot be written to; give a path, root://",
        "root:///store/x": "invalid host or port",
        "davs://host:many/x": "invalid host or port",
        "davs://user:geheim@host/x?authz=geheim": "remove '\\?'",
    }.items(),
)
def test_urls_that_cannot_be(source, url, told):
    for attempt in (lambda: stage_out(source, url, ONCE), lambda: check_target(url)):
        with pytest.raises(InputError, match=told) as error:
            attempt()
        assert "geheim" not in one_line(error)


@protocols
def test_passwords_are_not_told(source, kind, impatient):
    with pytest.raises(InputError) as error:
        stage_out(source, f"{kind}://me:geheim@localhost:{services.free_port()}//x", ONCE)
    assert "geheim" not in one_line(error)
    assert "me" not in str(error.value).split(":")[1]


def test_a_proxy_that_is_not_there(source, monkeypatch, tmp_path):
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "proxy"))
    with pytest.raises(InputError, match="not exist; correct or unset X509_USER_PROXY") as error:
        stage_out(source, "davs://localhost/x", ONCE)
    one_line(error)


@pytest.mark.xrootd
def test_davs_shows_the_grid_proxy_and_trusts_its_authorities(secure, source, monkeypatch):
    server = secure
    url = f"davs://localhost:{server.http_port}/a/x.root"
    stage_out(source, url, ONCE)
    assert (server.folder / "a/x.root").read_bytes() == source.read_bytes()
    assert "CN=Test User" in server.log()
    monkeypatch.delenv("X509_CERT_DIR")
    with pytest.raises(InputError, match=r"no secure connection.*X509_CERT_DIR") as error:
        stage_out(source, url, ONCE)
    one_line(error)


@contextlib.contextmanager
def redirecting(port):
    """A door that sends each request on to another port, and reads none of its content."""

    def answer(self):
        self.send_response(307)
        self.send_header("Location", f"http://localhost:{port}{self.path}")
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    methods = ("PROPFIND", "MKCOL", "PUT", "HEAD", "GET", "MOVE", "DELETE")
    known = {f"do_{method}": answer for method in methods}
    known["log_message"] = lambda self, *_: None
    door = type("Door", (http.server.BaseHTTPRequestHandler,), known)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), door) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.mark.xrootd
@pytest.mark.parametrize("target", ["http"], indirect=True)
@pytest.mark.parametrize("size", [10, SIZE])
def test_a_door_may_send_a_file_on_to_another_server(target, source, size):
    os.truncate(source, size)
    with redirecting(target.server.http_port) as port:
        stage_out(source, target.url("a/x.root", port), ONCE)
    assert (target.folder / "a/x.root").read_bytes() == source.read_bytes()


@pytest.mark.xrootd
@pytest.mark.parametrize("target", ["root"], indirect=True)
def test_a_server_that_does_not_replace_files(target, source, monkeypatch):
    (target.folder / "x.root").write_bytes(b"older")
    shutil.chown(target.folder / "x.root", "nobody")
    move = client.FileSystem.mv

    def unwilling(self, old, new, timeout=0):
        if (target.folder / new.lstrip("/")).exists():
            return SimpleNamespace(ok=False, code=400, errno=3018, message="file exists"), None
        return move(self, old, new, timeout)

    monkeypatch.setattr(client.FileSystem, "mv", unwilling)
    stage_out(source, target.url("x.root"), ONCE)
    assert (target.folder / "x.root").read_bytes() == source.read_bytes()
    assert files(target.folder) == ["x.root"]
