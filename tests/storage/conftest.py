"""What the tests of storage share: a server over TLS, and a user's proxy."""

import pytest
import services


@pytest.fixture
def secure(served, authority, tmp_path, monkeypatch):
    """A WebDAV server with TLS, and the proxy of a user that it trusts."""
    folder, run = served
    extra = f"{services.tls_lines(authority, run)}http.trace all"
    proxy = authority.proxy(tmp_path / "proxy.pem")
    for name, value in authority.environment(proxy).items():
        monkeypatch.setenv(name, value)
    with services.RestartableServer(folder, run, http=True, extra=extra) as server:
        yield server
