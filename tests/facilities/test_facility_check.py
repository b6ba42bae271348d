"""The doctor: what is well is said to be, what is not in one line that says what to do."""

import sys

import pytest
import services

from bphcoffea import cli
from bphcoffea.facilities import facility_check as doctor

TOML = """
kind = "scheduler"
[scheduler]
address = "{address}"
[proxy]
required = true
certificates = "{certificates}"
[storage]
redirectors = ["{redirector}"]
stage_out = "{stage_out}"
"""


@pytest.fixture
def site(authority, served, tmp_path, monkeypatch):
    """A facility that is well, and how to look at it with one thing changed."""
    monkeypatch.setattr(doctor, "SERVER_TIMEOUT", 2)
    monkeypatch.setattr(doctor, "WORKER_TIMEOUT", 30)
    monkeypatch.setattr("bphcoffea.facilities.clusters.PATIENCE", 2)
    with (
        services.xrootd_server(*served) as server,
        services.dask_cluster(tmp_path / "cluster") as cluster,
    ):

        class Site:
            def __init__(self):
                self.proxy = authority.proxy(tmp_path / "x509up")
                self.known = {
                    "address": cluster.address,
                    "certificates": authority.certificates,
                    "redirector": f"root://127.0.0.1:{server.port}//",
                    "stage_out": tmp_path / "results",
                }

            def expire(self):
                self.proxy = authority.proxy(tmp_path / "x509up", -10)

            def check(self, *options, **changed):
                monkeypatch.setenv("X509_USER_PROXY", str(self.proxy))
                path = tmp_path / "site.toml"
                path.write_text(TOML.format(**(self.known | changed)))
                words = ["bphcoffea", "facility", "check", str(path), "--min-proxy-lifetime", "0.1"]
                monkeypatch.setattr(sys, "argv", [*words, *options])
                with pytest.raises(SystemExit) as left:
                    cli.main()
                return left.value.code

        yield Site()


@pytest.fixture
def faults(site, capsys):
    """The lines that find fault, of which the others must not be touched."""

    def faults(**changed):
        status = site.check(**changed)
        lines = capsys.readouterr().out.splitlines()
        assert {line[0] for line in lines} <= {"✓", "✗"}
        found = [line for line in lines if line.startswith("✗")]
        assert status == (2 if found else 0)
        assert len(lines) >= 5
        return found

    return faults


@pytest.mark.slow
@pytest.mark.xrootd
def test_healthy_and_six_times_broken(site, faults, tmp_path):
    assert faults() == []

    (line,) = faults(certificates=tmp_path / "nowhere")
    assert f"certificate authorities: {tmp_path}/nowhere: no such folder; set proxy" in line

    dead = f"root://127.0.0.1:{services.free_port()}//"
    (line,) = faults(redirector=dead)
    assert line.startswith(f"✗ redirector {dead}: does not answer (")
    assert "is it up?" in line

    address = f"tcp://127.0.0.1:{services.free_port()}"
    (line,) = faults(address=address)
    assert f"no Dask scheduler answers at {address}" in line
    assert "is it running there?" in line

    other = services.installed(tmp_path / "other", version="0.0.7")
    with services.dask_cluster(tmp_path / "others", 1, other) as cluster:
        (line,) = faults(address=cluster.address)
    assert "versions on the workers: bphcoffea 0.1.0 here, 0.0.7 on the workers" in line
    assert "make both environments the same" in line

    site.expire()
    (line,) = faults()
    assert "grid proxy expired at" in line
    assert "voms-proxy-init" in line

    site.proxy.unlink()
    (line,) = faults()
    assert "grid proxy cannot be read" in line
    assert "voms-proxy-init" in line


@pytest.mark.xrootd
def test_stage_out_that_cannot_be_written_is_told(faults, tmp_path):
    (tmp_path / "file").touch()
    (line,) = faults(stage_out=tmp_path / "file" / "below")
    assert line.startswith(f"✗ stage-out to {tmp_path}/file/below: ")
