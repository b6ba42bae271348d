"""The services that other tests rely on do what they are said to do."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import services
from distributed import Client
from services.processes import until

OPEN = """
import sys
from XRootD.client import File

file = File()
status, _ = file.open(sys.argv[1])
if not status.ok:
    raise OSError(status.message)
print(file.read()[1].decode())
"""


@pytest.fixture(scope="module")
def guarded():
    """A folder with a file, and one for the server's own files."""
    why_not = services.why_no_xrootd()
    if why_not:
        pytest.skip(why_not)
    with services.server_folders() as (served, run):
        (served / "a.root").write_text("3")
        yield served, run


@pytest.fixture(scope="module")
def gsi(guarded, authority):
    with services.gsi_server(*guarded, authority) as server:
        yield server


def opened(server, environment):
    """What a new process says that opens a file: the client reads proxies once."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("X509_")}
    return subprocess.run(
        [sys.executable, "-c", OPEN, server.url("a.root")],
        env=inherited | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.xrootd
def test_gsi_accepts_a_proxy(gsi, authority, tmp_path):
    proxy = authority.proxy(tmp_path / "proxy")
    done = opened(gsi, authority.environment(proxy))
    assert done.stdout.strip() == "3", done.stderr
    assert proxy.stat().st_mode & 0o777 == 0o600


@pytest.mark.xrootd
@pytest.mark.parametrize("which", ["none", "expired", "foreign"])
def test_gsi_refuses(gsi, authority, tmp_path, which):
    environment = authority.environment(tmp_path / "absent")
    if which == "expired":
        environment = authority.environment(authority.proxy(tmp_path / "proxy", seconds=-60))
    if which == "foreign":
        stranger = services.CertificateAuthority(tmp_path / "stranger")
        environment = authority.environment(stranger.proxy(tmp_path / "proxy"))
    done = opened(gsi, environment)
    assert done.returncode == 1
    assert "OSError" in done.stderr
    assert "Auth failed" in done.stderr


@pytest.mark.slow
@pytest.mark.xrootd
def test_a_proxy_expires_and_is_renewed(gsi, authority, tmp_path):
    proxy = authority.proxy(tmp_path / "proxy", seconds=12)
    begin = time.monotonic()
    assert opened(gsi, authority.environment(proxy)).stdout.strip() == "3"
    # another second, since certificates know only whole ones
    time.sleep(max(0, begin + 13 - time.monotonic()))
    assert "Auth failed" in opened(gsi, authority.environment(proxy)).stderr
    authority.proxy(proxy)
    assert opened(gsi, authority.environment(proxy)).stdout.strip() == "3"


def test_a_cluster_talks_over_tls(authority, tmp_path):
    tls = authority.dask_certificates()
    with (
        services.dask_cluster(tmp_path / "cluster", tls=tls, environment={"SAID": "it"}) as cluster,
        Client(cluster.address, security=tls.security()) as client,
    ):
        assert cluster.address.startswith("tls://")
        assert client.submit(os.getenv, "SAID").result(timeout=60) == "it"
        (worker,) = client.scheduler_info()["workers"].values()
        assert worker["nanny"].startswith("tls://")
        foreign = services.CertificateAuthority(tmp_path / "foreign").dask_certificates()
        with pytest.raises(OSError, match="TLS certificate does not match"):
            Client(cluster.address, security=foreign.security(), timeout=5)


def test_a_worker_is_added_and_replaced(tmp_path):
    with (
        services.dask_cluster(tmp_path / "cluster") as cluster,
        Client(cluster.address) as client,
    ):
        client.wait_for_workers(1, timeout=60)
        ((address, first),) = client.run(os.getpid).items()
        cluster.add_worker()
        client.wait_for_workers(2, timeout=60)
        cluster.replace_worker()
        until(lambda: not is_running(first), cluster.log)
        until(lambda: address not in client.scheduler_info()["workers"], cluster.log)
        client.wait_for_workers(2, timeout=60)
        pids = client.run(os.getpid)
        assert len(pids) == 2
        assert address not in pids
    until(lambda: not any(map(is_running, pids.values())), cluster.log)


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def slurm(monkeypatch):
    why_not = services.why_no_slurm()
    if why_not:
        pytest.skip(why_not)
    with services.slurm() as service:
        for name, value in service.environment.items():
            monkeypatch.setenv(name, value)
        yield service


@pytest.mark.slurm
def test_slurm_runs_a_worker_of_dask(slurm, tmp_path):
    from dask_jobqueue import SLURMCluster

    with (
        SLURMCluster(
            cores=1,
            memory="1GB",
            processes=1,
            queue=slurm.partition,
            walltime="00:05:00",
            python=sys.executable,
            interface="lo",
            local_directory=str(tmp_path),
            log_directory=str(tmp_path),
            scheduler_options={"dashboard_address": ":0"},
        ) as cluster,
        Client(cluster) as client,
    ):
        cluster.scale(jobs=1)
        job = client.submit(os.getenv, "SLURM_JOB_ID").result(timeout=120)
        assert [job] == slurm.jobs()


@pytest.mark.slurm
def test_slurm_leaves_no_process(tmp_path):
    if services.why_no_slurm():
        pytest.skip(services.why_no_slurm())
    file = tmp_path / "pid"
    with services.slurm() as service:
        script = f"echo $$ > {file}.new; mv {file}.new {file}; sleep 600"
        service.run("sbatch", "--output=/dev/null", "--wrap", script)
        until(file.exists, service.log, seconds=60)
        pid = int(file.read_text())
        assert is_running(pid)
    assert not is_running(pid)
