"""Clusters of facilities: what batch systems and Kubernetes are asked for, and what runs."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import dask
import dask_jobqueue
import pytest
import services
from click.testing import CliRunner
from distributed import Client, Security
from distributed.cli import dask_worker

from bphcoffea.errors import InputError
from bphcoffea.facilities import Facility, cluster
from bphcoffea.facilities.options import (
    htcondor_cluster_options,
    kubernetes_spec,
    slurm_cluster_options,
)
from bphcoffea.facilities.security import given_certificates

ODD = """it's "odd" $(hostname) $HOME %s"""
WORKERS = {
    "cores": 2,
    "memory": "3GiB",
    "walltime": "1-02:00:00",
    "account": "bphys",
    "setup": ["module load python", "cd $SCRATCH"],
}
CONDOR = WORKERS | {"disk": "5GiB"}


def site(kind, **tables):
    return Facility.model_validate({"name": "site", "kind": kind} | tables)


def script(starts, options):
    """The job script of a cluster that has no workers, and its scheduler's address."""
    with starts(**options, n_workers=0) as running:
        return running.job_script(), running.scheduler.address


def test_slurm_job_has_what_the_facility_says(tmp_path):
    workers = WORKERS | {
        "partition": "short",
        "python": "/venv/bin/python",
        "logs": str(tmp_path / "logs"),
        "options": {"job_extra_directives": ["--exclude=node01"], "local_directory": "/scratch"},
    }
    facility = site("slurm", workers=workers, environment={"ODD": ODD})
    text, address = script(dask_jobqueue.SLURMCluster, slurm_cluster_options(facility))
    lines = text.splitlines()
    for line in (
        "#SBATCH -p short",
        "#SBATCH -A bphys",
        "#SBATCH --cpus-per-task=2",
        "#SBATCH --mem=3G",
        "#SBATCH -t 1-02:00:00",
        "#SBATCH --exclude=node01",
        f"#SBATCH -o {tmp_path}/logs/dask-worker-%J.out",
        "module load python",
        "cd $SCRATCH",
    ):
        assert line in lines
    command = lines[-1] if lines[-1] else lines[-2]
    assert command.startswith(f"/venv/bin/python -m distributed.cli.dask_worker {address}")
    for words in (
        "--nthreads 2 --memory-limit 3.00GiB",
        "--local-directory /scratch",
        f"--lifetime {26 * 3600 - 300}s",
    ):
        assert words in command
    assert "--nworkers" not in command
    assert address.startswith("tcp://127.0.0.1:")
    assert "--no-dashboard" in command
    # what a shell makes of it
    (export,) = [line for line in lines if line.startswith("export ODD")]
    told = subprocess.run(["sh", "-c", f'{export}; printf %s "$ODD"'], capture_output=True)
    assert told.stdout.decode() == ODD


def test_slurm_workers_are_of_this_interpreter_unless_said_otherwise():
    options = slurm_cluster_options(site("slurm", workers={"walltime": "01:00:00"}))
    text, _ = script(dask_jobqueue.SLURMCluster, options)
    assert f"\n{sys.executable} -m" in text
    assert "--lifetime 3300s" in text


def test_interface_to_listen_on_may_be_named():
    facility = site("slurm", workers={"walltime": "01:00:00"}, scheduler={"listen": "lo"})
    assert slurm_cluster_options(facility)["scheduler_options"]["host"] == "127.0.0.1"


def test_proxy_is_not_in_the_job(monkeypatch, tmp_path):
    monkeypatch.setenv("X509_USER_PROXY", str(tmp_path / "x509up"))
    tables = {"proxy": {"required": True, "certificates": "/cvmfs/certificates"}}
    facility = site("slurm", workers={"walltime": "01:00:00"}, **tables)
    text, _ = script(dask_jobqueue.SLURMCluster, slurm_cluster_options(facility))
    assert "x509up" not in text
    assert "export X509_CERT_DIR=/cvmfs/certificates" in text


def submitted(facility):
    """What HTCondor itself reads in the description of a job."""
    htcondor2 = pytest.importorskip("htcondor2")
    text, _ = script(dask_jobqueue.HTCondorCluster, htcondor_cluster_options(facility))
    return htcondor2.Submit("\n".join(text.splitlines()[1:]))


def test_htcondor_job_has_what_the_facility_says(tmp_path):
    workers = CONDOR | {
        "options": {"job_extra_directives": {"MY.JobFlavour": '"workday"'}},
        "logs": str(tmp_path / "logs"),
    }
    workers["setup"] = [*CONDOR["setup"], "echo $(hostname) $$ ${HOME} '$F(x)' \"quoted\""]
    submit = submitted(site("htcondor", workers=workers, environment={"ODD": ODD}))
    assert submit["MY.DaskWorkerCores"] == "2"
    assert int(submit["MY.DaskWorkerMemory"]) == 3 * 1024**3
    assert int(submit["MY.DaskWorkerDisk"]) == 5 * 1024**3
    assert submit["allowed_job_duration"] == submit["MY.MaxRuntime"] == str(26 * 3600)
    assert submit["accounting_group"] == "bphys"
    assert submit["MY.JobFlavour"] == '"workday"'
    assert submit["LogDirectory"] == str(tmp_path / "logs")
    assert "container_image" not in submit
    # HTCondor's quotes taken off: what the shell is given
    command = submit.expand("arguments").strip('"')
    assert command.startswith("-c '")
    command = command[4:-1].replace("''", "'").replace('""', '"')
    assert "; cd $SCRATCH; echo $(hostname) $$ ${HOME} '$F(x)' \"quoted\"; " in command
    export = command.partition("; module load")[0]
    told = subprocess.run(["sh", "-c", f'{export}; printf %s "$ODD"'], capture_output=True)
    assert told.stdout.decode() == ODD


def test_htcondor_image_is_a_container_or_an_attribute_for_cvmfs():
    cvmfs = submitted(site("htcondor", workers={"image": "/cvmfs/unpacked.cern.ch/me/image"}))
    assert cvmfs["MY.SingularityImage"] == '"/cvmfs/unpacked.cern.ch/me/image"'
    assert "container_image" not in cvmfs
    docker = submitted(site("htcondor", workers={"image": "docker://me/image:1"}))
    assert docker["universe"] == "container"
    assert docker["container_image"] == "docker://me/image:1"
    for submit in (cvmfs, docker):
        assert submit["transfer_executable"].lower() == "false"
        assert "python3 -m distributed" in submit.expand("arguments")


@pytest.fixture(scope="module")
def dask_cluster_schema():
    """Checks a DaskCluster as Kubernetes does, by the schema of dask-kubernetes."""
    yaml = pytest.importorskip("yaml")
    jsonschema = pytest.importorskip("jsonschema")
    package = pytest.importorskip("dask_kubernetes").__file__
    crds = "operator/deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"
    # of 6000 lines, for which the loader in Python takes a second
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    content = yaml.load((Path(package).parent / crds).read_text(), loader)
    schema = content["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    # what Kubernetes itself adds to the schema of every resource
    schema["properties"] |= {key: {} for key in ("apiVersion", "kind", "metadata")}
    return jsonschema.Draft202012Validator(closed(schema))


def closed(schema):
    """The same where unknown keys are faults, which Kubernetes drops in silence."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
    return schema


@pytest.mark.parametrize("setup", [[], ["source /venv/bin/activate", 'echo "$HOME"']])
def test_kubernetes_spec_is_a_dask_cluster(setup, dask_cluster_schema):
    workers = {"image": "ghcr.io/me/image:1", "namespace": "physics", "setup": setup}
    workers |= {"cores": 2, "memory": "2GB", "minimum": 1, "maximum": 5}
    spec = kubernetes_spec(
        site("kubernetes", workers=workers, environment={"ODD": ODD}), "bphcoffea-1"
    )
    dask_cluster_schema.validate(spec)
    assert (spec["kind"], spec["metadata"]) == (
        "DaskCluster",
        {"name": "bphcoffea-1", "namespace": "physics"},
    )
    worker = spec["spec"]["worker"]
    assert worker["replicas"] == 1
    (container,) = worker["spec"]["containers"]
    assert container["image"] == "ghcr.io/me/image:1"
    assert {"name": "ODD", "value": ODD} in container["env"]
    assert container["resources"]["limits"] == {"cpu": "2", "memory": "2000000000"}
    command = container["args"]
    if setup:
        assert command[:2] == ["/bin/sh", "-c"]
        assert command[2].splitlines()[:-1] == setup
        command = command[4:]
    assert command[:4] == ["python", "-m", "dask", "worker"]
    options = CliRunner().invoke(dask_worker.main, ["--help"]).output
    for option in (word for word in command if word.startswith("--")):
        assert option in options
    (scheduler,) = spec["spec"]["scheduler"]["spec"]["containers"]
    assert scheduler["args"][:4] == ["python", "-m", "dask", "scheduler"]


def test_schema_tells_what_is_no_dask_cluster(dask_cluster_schema):
    jsonschema = pytest.importorskip("jsonschema")
    spec = kubernetes_spec(site("kubernetes", workers={"image": "x"}))
    spec["spec"]["worker"]["spec"]["containers"][0]["imagePullPolcy"] = "Always"
    with pytest.raises(jsonschema.ValidationError, match="imagePullPolcy"):
        dask_cluster_schema.validate(spec)


def test_local_cluster_works_and_only_this_machine_reaches_it(spawned_workers):
    psutil = pytest.importorskip("psutil")
    facility = site("local", workers={"count": 1}, environment={"OF_THE_FACILITY": "here"})

    def listening():
        me = psutil.Process()
        return {
            connection.laddr
            for process in (me, *me.children(recursive=True))
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }

    before = listening()  # services of other tests
    with cluster(facility) as client:
        assert client.submit(os.getenv, "OF_THE_FACILITY").result() == "here"
        known = client.scheduler_info(n_workers=-1)["workers"].values()
        assert [worker["nthreads"] for worker in known] == [1]
        begun = listening() - before
    assert {address.ip for address in begun} == {"127.0.0.1"}


def test_certificates_are_asked_for_where_they_are_given(tmp_path):
    pytest.importorskip("cryptography")
    temporary = Security.temporary()
    files = {"ca": "tls_ca_file", "cert": "tls_client_cert", "key": "tls_client_key"}
    for key, name in files.items():
        (tmp_path / key).write_text(getattr(temporary, name))
    tables = {"security": {key: str(tmp_path / key) for key in files}}
    with cluster(site("local", workers={"count": 1}, **tables)) as client:
        assert client.scheduler.address.startswith("tls://127.0.0.1:")
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
        host = client.scheduler.address.removeprefix("tls://")
        with cluster(site("scheduler", **tables), address=host) as other:
            assert other.submit(sum, [1, 3]).result(timeout=60) == 4
    facility = site("slurm", workers={"walltime": "01:00:00"}, **tables)
    options = slurm_cluster_options(facility) | {"security": given_certificates(facility)}
    text, address = script(dask_jobqueue.SLURMCluster, options)
    assert address.startswith("tls://127.0.0.1:")
    assert f"--tls-key {tmp_path / 'key'}" in text


def test_number_of_workers_is_that_of_the_call():
    with cluster(site("local", workers={"minimum": 0, "maximum": 1}), workers=2) as client:
        client.wait_for_workers(2, timeout=30)


@pytest.mark.parametrize("fixed", [1, None])
def test_workers_that_dask_gives_up_are_replaced(fixed):
    facility = site("local", workers={"minimum": 1, "maximum": 1})
    soon = dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"})
    with soon, cluster(facility, workers=fixed) as client:
        client.wait_for_workers(1, timeout=30)
        # as does a nanny whose worker dies while it reports to it
        for nanny in list(client.cluster.workers.values()):
            client.cluster.sync(nanny.close, reason="nanny-instantiate-failed")
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3


def test_workers_come_when_there_is_work():
    with cluster(site("local", workers={"maximum": 1})) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3


def test_scheduler_that_runs_already(tmp_path):
    known = {"proxy": {"certificates": "/cvmfs/certificates"}}
    with services.dask_cluster(tmp_path / "cluster") as there:
        with cluster(site("scheduler", **known), address=there.address) as client:
            told = client.submit(os.getenv, "X509_CERT_DIR").result(timeout=60)
        with Client(there.address) as later:
            assert later.submit(sum, [1, 2]).result(timeout=60) == 3
    assert told == "/cvmfs/certificates"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A batch system made of shell scripts."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def commands(**scripts):
        for name, text in scripts.items():
            path = tmp_path / "bin" / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(0o755)

    return commands


def test_slurm_jobs_work_and_are_cancelled(commands, tmp_path, caplog):
    jobs, ended = tmp_path / "jobs", tmp_path / "ended"
    commands(
        # as Slurm's: the script is copied, since it is gone when sbatch has answered
        sbatch=f"""
            cp "$1" {tmp_path}/job
            sh {tmp_path}/job >{tmp_path}/log 2>&1 &
            echo $! >>{jobs}
            echo Submitted batch job $!""",
        scancel=f"echo $1 >>{ended}; kill $1",
    )
    workers = {"walltime": "01:00:00", "memory": "500MB", "count": 1}
    with cluster(site("slurm", workers=workers)) as client:
        assert client.scheduler.address.startswith("tls://")
        told = client.submit(os.getenv, "PATH").result(timeout=60)
        scratch = Path(client.submit(os.getenv, "DASK_TEMPORARY_DIRECTORY").result(timeout=60))
        key = job_certificates((tmp_path / "job").read_text())
        assert key.is_relative_to(tmp_path / "cache")
        assert (key.stat().st_mode, key.parent.stat().st_mode) == (0o100600, 0o40700)
        assert scratch.stat().st_mode == 0o40700
    assert list((tmp_path / "cache" / "bphcoffea").iterdir()) == []
    assert str(tmp_path / "bin") in told
    assert jobs.read_text() == ended.read_text() != ""
    assert "site: the scheduler listens on 127.0.0.1" in caplog.text


def job_certificates(text):
    (key,) = re.findall(r"--tls-key (\S+)", text)
    return Path(key)


def test_htcondor_carries_certificates_to_its_jobs(commands, tmp_path):
    htcondor2 = pytest.importorskip("htcondor2")
    description, sandbox = tmp_path / "job", tmp_path / "sandbox"
    sandbox.mkdir()
    commands(
        condor_submit=f'for file; do :; done; cp "$file" {description}\n'
        'echo "1 job(s) submitted to cluster 1."',
        condor_rm="",
    )
    more = {"job_extra_directives": {"transfer_input_files": "/their/file"}}
    workers = {"walltime": "01:00:00", "memory": "500MB", "count": 1, "options": more}
    with cluster(site("htcondor", workers=workers)) as client:
        submit = htcondor2.Submit("\n".join(description.read_text().splitlines()[1:]))
        theirs, ours = submit["transfer_input_files"].split(", ")
        assert theirs == "/their/file"
        assert submit["encrypt_input_files"] == ours
        assert submit["should_transfer_files"] == "YES"
        shutil.copy(ours, sandbox)
        command = submit.expand("arguments").strip('"').removeprefix("-c '").removesuffix("'")
        words = ["sh", "-c", command.replace("''", "'").replace('""', '"')]
        there = os.environ | {"_CONDOR_SCRATCH_DIR": str(sandbox)}
        with subprocess.Popen(words, cwd=sandbox, env=there, stderr=subprocess.DEVNULL) as job:
            assert client.submit(os.getenv, "_CONDOR_SCRATCH_DIR").result(timeout=60) == str(
                sandbox
            )
            job.terminate()
    assert not Path(ours).exists()


def raised(facility, **known):
    with pytest.raises(InputError) as told, cluster(facility, **known):
        pass
    (line,) = str(told.value).splitlines()
    return line


@pytest.mark.parametrize("adaptive", [True, False])
@pytest.mark.parametrize("kind", ["slurm", "htcondor"])
def test_batch_system_that_takes_no_jobs_is_told(commands, kind, adaptive):
    refuse = "echo submitting >&2; echo 'error: invalid account' >&2; exit 1"
    commands(sbatch=refuse, condor_submit=refuse, scancel="", condor_rm="")
    workers = {"walltime": "01:00:00"} | ({"maximum": 3} if adaptive else {"count": 2})
    line = raised(site(kind, workers=workers))
    assert f"site: {kind} refuses jobs (submitting error: invalid account)" in line


@pytest.mark.parametrize(("kind", "command"), [("slurm", "sbatch"), ("htcondor", "condor_submit")])
def test_batch_system_that_is_not_here_is_told(monkeypatch, tmp_path, kind, command):
    monkeypatch.setenv("PATH", str(tmp_path))
    workers = {"walltime": "01:00:00", "count": 1}
    assert f"site: the command {command} is not found; run on a machine" in raised(
        site(kind, workers=workers)
    )


def test_ctrl_c_is_handled_as_before(monkeypatch, tmp_path):
    # dask-jobqueue replaces its handler when it is imported
    for module in [name for name in sys.modules if name.partition(".")[0] == "dask_jobqueue"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setenv("PATH", str(tmp_path))
    raised(site("slurm", workers={"walltime": "01:00:00", "count": 1}))
    assert "dask_jobqueue.runner" in sys.modules
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize(
    ("kind", "module", "package"),
    [
        ("slurm", "dask_jobqueue", "dask-jobqueue"),
        ("kubernetes", "dask_kubernetes.operator", "dask-kubernetes"),
    ],
)
def test_package_that_is_not_here_is_told(monkeypatch, kind, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    needs = {"walltime": "01:00:00"} if kind == "slurm" else {"image": "x"}
    line = raised(site(kind, workers=needs | {"count": 1}))
    assert f"site: {kind} needs the package {package} (" in line
    assert f"pip install {package}" in line


def test_kubernetes_that_does_not_answer_is_told_and_nothing_else_at_the_end(tmp_path):
    if importlib.util.find_spec("dask_kubernetes") is None:
        pytest.skip("needs dask-kubernetes")
    # a process of its own: what is left behind shows when Python ends
    (tmp_path / "config").write_text(
        textwrap.dedent("""
            {"apiVersion": "v1", "kind": "Config", "current-context": "c",
             "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
             "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
             "users": [{"name": "u", "user": {"token": "none"}}]}
        """)
    )
    code = textwrap.dedent("""
        from bphcoffea.errors import InputError
        from bphcoffea.facilities import Facility, cluster
        workers = {"image": "x", "count": 1}
        try:
            with cluster(Facility(name="site", kind="kubernetes", workers=workers)):
                pass
        except InputError as told:
            print(told)
    """)
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"KUBECONFIG": str(tmp_path / "config")},
    )
    assert ran.stderr == ""
    (line,) = ran.stdout.splitlines()
    assert "site: Kubernetes shows no DaskClusters (All connection attempts failed)" in line


def test_what_cannot_be_started_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("bphcoffea.facilities.clusters.PATIENCE", 1)
    there = site("scheduler", scheduler={"address": "tcp://127.0.0.1:1"})
    assert "no Dask scheduler answers at tcp://127.0.0.1:1 (" in raised(there)
    assert "the address of the Dask scheduler is unknown; set scheduler.address" in raised(
        site("scheduler")
    )
    elsewhere = site("local", scheduler={"listen": "192.0.2.1"}, workers={"count": 1})
    assert "site: cannot listen on 192.0.2.1, port any (" in raised(elsewhere)
    odd = site("local", workers={"options": {"n_wrokers": 1}, "count": 1})
    assert "n_wrokers" in raised(odd)
    assert "starts its own scheduler" in raised(site("local"), address="tcp://h:1")
    batch = site("slurm", workers={"walltime": "01:00:00"})
    assert "site: the number of workers is unknown; set workers.count" in raised(batch)
    keys = {key: str(tmp_path / key) for key in ("ca", "cert", "key")}
    secure = site("scheduler", security=keys, scheduler={"address": "tls://127.0.0.1:1"})
    assert f"site: security.ca: cannot read {tmp_path}/ca" in raised(secure)


def test_faults_of_what_runs_on_a_cluster_are_not_ours():
    with pytest.raises(OSError, match="of the run"), cluster(site("local", workers={"count": 1})):
        raise OSError("of the run")
