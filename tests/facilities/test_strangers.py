"""Other users of the machine, and full disks: clusters that a run starts let nobody else in."""

import contextlib
import io
import logging
import os
import stat
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from pathlib import Path

import dask
import psutil
import pytest

from bphcoffea.errors import InputError
from bphcoffea.execution import engine
from bphcoffea.facilities import Facility, cluster

NOBODY = 65534
# tries to have each port run a function, as scheduler, worker and nanny do for their clients
STRANGER = """
    import asyncio, os, sys
    from distributed import Security
    from distributed.core import connect
    from distributed.protocol.pickle import dumps
    import distributed.comm.tcp

    def owner(**_):
        return os.getuid()

    async def tried(address, op, **security):
        comm = await connect(address, timeout=3, **security)
        call = {"function": dumps(owner), "args": dumps(()), "kwargs": dumps({}), "wait": True}
        try:
            await comm.write({"op": op, "reply": True, "serializers": None} | call)
            return await asyncio.wait_for(comm.read(), 3)
        finally:
            comm.abort()

    async def attack(ports):
        foreign = Security.temporary().get_connection_args("client")
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        for port in ports:
            for protocol, security in (("tcp", {}), ("tls", foreign)):
                for op in ("run", "run_function"):
                    try:
                        answer = await tried(f"{protocol}://127.0.0.1:{port}", op, **security)
                    except Exception as error:  # also modules that this user may not read
                        answer = repr(error)
                    print(port, os.getuid(), answer)

    asyncio.run(attack(sys.argv[1:]))
"""


def local(**tables):
    return Facility.model_validate(
        {"name": "here", "kind": "local", "workers": {"count": 1}} | tables
    )


def listening():
    """Ports of this process and those that it started."""
    me = psutil.Process()
    return {
        connection.laddr.port
        for process in (me, *me.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run a client as another user")
@pytest.mark.parametrize("tls", [True, False])
def test_another_user_runs_code_only_where_tls_is_off(tls, caplog):
    before = listening()
    with cluster(local(security={"tls": tls})) as client:
        client.wait_for_workers(1, timeout=60)
        assert client.submit(os.getuid).result(timeout=60) == os.getuid()
        ports = sorted(map(str, listening() - before))
        tried = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(STRANGER), *ports],
            capture_output=True,
            text=True,
            timeout=120,
        )
    answers = [line.split(maxsplit=2) for line in tried.stdout.splitlines()]
    assert {(port, user) for port, user, _ in answers} == {(port, str(NOBODY)) for port in ports}
    ran = {port for port, _, answer in answers if "'result': 0" in answer or answer == "0"}
    # scheduler, nanny and worker: nothing else listens
    assert len(ports) == 3
    assert ran == (set() if tls else set(ports)), tried
    warned = "here: security.tls is false, so every user of this machine can run code as you"
    logged = [r.getMessage() for r in caplog.records if r.name.startswith("bphcoffea")]
    assert logged == ([] if tls else [warned])


def test_dashboard_is_below_an_address_that_nothing_else_shows():
    with engine("dask", facility=local(scheduler={"dashboard": True})) as running:
        top, prefix, page = running.dashboard.rsplit("/", 2)
        assert (len(prefix), page) == (32, "status")
        assert "Dask" in got(f"{top}/{prefix}/status")
        assert "Scheduler" in got(f"{top}/{prefix}/info/main/workers.html")
        for path in ("", "sitemap.json", "status", "info/main/workers.html", "json/index.html"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                got(f"{top}/{path}")
            with refused.value as answer:
                assert answer.code == 404
                assert prefix not in answer.read().decode() + str(answer.headers)
    with engine("dask", facility=local()) as running:
        assert running.dashboard == ""


def got(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def test_key_and_scratch_are_the_owners_alone_and_gone_at_the_end(tmp_path):
    killed = subprocess.Popen(["true"])
    killed.wait()
    left = tmp_path / f"bphcoffea-{os.uname().nodename}-{killed.pid}-left"
    left.mkdir()
    with dask.config.set({"temporary-directory": str(tmp_path)}):
        with pytest.raises(OSError, match="of the run"):
            look_around_and_fail(tmp_path)
        assert list(tmp_path.iterdir()) == []


def look_around_and_fail(place):
    with cluster(local()) as client:
        look_around(client, place)
        raise OSError("of the run")


def look_around(client, place):
    (folder,) = place.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (key,) = folder.glob("*.pem")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    scratch = client.run(lambda dask_worker: dask_worker.local_directory)
    # modules are imported from that of the scheduler, which is in this process
    imported = [path for path in sys.path if "dask-scratch" in path]
    assert all(Path(path).is_relative_to(folder) for path in [*scratch.values(), *imported])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    mounted = subprocess.run(mount, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def fill(disk):
    with contextlib.suppress(OSError), (disk / "filled").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(100_000))


def test_full_scratch_is_one_line_before_the_run(small_disk):
    fill(small_disk)
    full = dask.config.set({"temporary-directory": str(small_disk)})
    with full, pytest.raises(InputError) as told, cluster(local()):
        pass
    assert str(told.value) == (
        f"here: cannot write to {small_disk} (No space left on device); "
        "free some space, or set TMPDIR to another folder"
    )


def test_scratch_that_fills_later_is_one_line_and_loses_nothing(small_disk):
    def spill(dask_worker):
        said, handler = io.StringIO(), logging.StreamHandler()
        handler.setStream(said)
        logging.getLogger("distributed.spill").addHandler(handler)
        with contextlib.suppress(Exception):  # Dask's own, which says that it was logged
            dask_worker.data.evict()
        return said.getvalue()

    with dask.config.set({"temporary-directory": str(small_disk)}), cluster(local()) as client:
        kept = client.submit(bytes, 200_000)
        assert len(kept.result(timeout=60)) == 200_000
        fill(small_disk)
        (told,) = client.run(spill).values()
        assert len(kept.result(timeout=60)) == 200_000
        (small_disk / "filled").unlink()
    (line,) = told.splitlines()
    assert "Spill to disk failed; keeping data in memory ([Errno 28] No space left" in line
