"""A real Slurm of one node.

It needs Debian's ``slurm-wlm`` and ``munge``, and root.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from services.processes import end, free_port, until

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "sinfo", "squeue")

# the node pretends to have its CPUs, so that several jobs run on a small machine;
# a job that is cancelled is given two seconds to end, instead of thirty
_CONFIGURATION = """\
ClusterName=local
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control_port}
SlurmdPort={node_port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
KillWait=2
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=p Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A Slurm that runs.

    Attributes
    ----------
    partition
        The name of its partition.
    environment
        The variables with which ``sbatch`` and the like find it; jobs inherit them.
    log
        What its controller says.
    """

    partition: str
    environment: dict[str, str]
    log: Path

    def jobs(self) -> list[str]:
        """The numbers of all jobs that wait or run."""
        return self.run("squeue", "--noheader", "--format=%A").split()

    def cancel(self, *jobs: str) -> None:
        """Cancel jobs: their processes are told to end, and soon killed."""
        # those that have just ended are no error
        self.run("scancel", "--quiet", *jobs)

    def run(self, *words: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            words, env=os.environ | self.environment, capture_output=True, text=True, timeout=60
        )
        if done.returncode:
            raise RuntimeError(f"{words[0]} failed:\n{done.stderr}")
        return done.stdout


def why_no_slurm() -> str:
    """Why no Slurm can be started here; empty where one can."""
    if any(shutil.which(program) is None for program in _PROGRAMS):
        return "Debian's slurm-wlm and munge are not installed"
    if os.geteuid() != 0:
        return "only root can start a Slurm that runs jobs"
    return ""


@contextlib.contextmanager
def slurm(cpus: int = 4, memory: int = 8000) -> Iterator[Slurm]:
    """Start a Slurm of one node, after all others of this machine have ended.

    Parameters
    ----------
    cpus
        How many the node has to give to jobs; it need not really have them.
    memory
        How much it has to give, MB.
    """
    with _one_at_a_time(), tempfile.TemporaryDirectory(prefix="slurm-") as top:
        folder = Path(top)
        # clients ask for the way to munge's socket, which any user may take
        folder.chmod(0o755)
        for name in ("state", "spool"):
            (folder / name).mkdir(mode=0o755)
        configuration = folder / "slurm.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                host=socket.gethostname().partition(".")[0],
                folder=folder,
                control_port=free_port(),
                node_port=free_port(),
                cpus=cpus,
                memory=memory,
            )
        )
        service = Slurm("p", {"SLURM_CONF": str(configuration)}, folder / "slurmctld.log")
        with _munge(folder), _controller(folder, service), _node(folder, service):
            try:
                yield service
            finally:
                _cancel_all(service)


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait for other processes; the lock goes with this one, however it ends."""
    with Path(tempfile.gettempdir(), "slurm-of-tests.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _munge(folder: Path) -> Iterator[None]:
    key, sock = folder / "munge.key", folder / "munge.socket"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    files = {"socket": sock, "key-file": key, "pid-file": folder / "munge.pid"}
    files |= {"log-file": folder / "munge.log", "seed-file": folder / "munge.seed"}
    words = [f"--{option}={file}" for option, file in files.items()]
    with _running(folder, "munged", "--foreground", *words) as log:
        until(sock.exists, log)
        yield


@contextlib.contextmanager
def _controller(folder: Path, service: Slurm) -> Iterator[None]:
    with _running(folder, "slurmctld", "-D", "-f", service.environment["SLURM_CONF"]):
        yield


@contextlib.contextmanager
def _node(folder: Path, service: Slurm) -> Iterator[None]:
    with _running(folder, "slurmd", "-D", "-f", service.environment["SLURM_CONF"]) as log:
        until(lambda: _is_idle(service), log)
        yield


@contextlib.contextmanager
def _running(folder: Path, *words: str) -> Iterator[Path]:
    """Run a program until the end; gives its log."""
    log = folder / f"{words[0]}.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            words,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        end(process)


def _is_idle(service: Slurm) -> bool:
    try:
        return service.run("sinfo", "--noheader", "--format=%T").strip() == "idle"
    except RuntimeError:  # the controller does not answer yet
        return False


def _cancel_all(service: Slurm) -> None:
    """Cancel all jobs and wait until their processes have ended: else they would outlive Slurm."""
    jobs = service.jobs()
    if jobs:
        service.cancel(*jobs)
        until(lambda: not service.jobs(), service.log)
