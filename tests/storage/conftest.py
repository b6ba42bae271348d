"""What the tests of storage share: a server over TLS, and a user's proxy."""

import shutil

import pytest
import services


@pytest.fixture
def secure(served, authority, tmp_path, monkeypatch):
    """A WebDAV server with TLS, and the proxy of a user that it trusts."""
    folder, run = served
    for file in (authority.host_certificate, authority.host_key):
        shutil.copy(file, run / file.name)
        (run / file.name).chmod(0o400)
        shutil.chown(run / file.name, "nobody")
    shutil.copytree(authority.certificates, run / "certificates")
    extra = (
        f"http.cert {run / authority.host_certificate.name}\n"
        f"http.key {run / authority.host_key.name}\n"
        f"http.cadir {run / 'certificates'}\n"
        "http.trace all"
    )
    proxy = authority.proxy(tmp_path / "proxy.pem")
    for name, value in authority.environment(proxy).items():
        monkeypatch.setenv(name, value)
    with services.RestartableServer(folder, run, http=True, extra=extra) as server:
        yield server
