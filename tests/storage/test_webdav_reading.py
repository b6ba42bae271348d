"""Files are read over WebDAV with the grid proxy, and from web servers without WebDAV."""

import functools
import http.server
import shutil
import threading
import time

import pytest
import services
import uproot
from like_uproot import assert_equal

from bphcoffea.errors import FacilityError
from bphcoffea.reading import opened
from bphcoffea.storage import Storage, fsspec_url, identity, reason
from bphcoffea.storage.webdav_reading import WebDAVFileSystem

TREE = "Tree3Mu/ntuple"
REFUSED = "the server refuses access; is there a valid grid proxy or bearer token? (Auth failed)"


@pytest.fixture
def file(secure, data):
    """URL of a file on the server over TLS."""
    shutil.copy(data / "tree3mu_phipi_2017.root", secure.folder / "a.root")
    (secure.folder / "a.root").chmod(0o644)
    return f"davs://localhost:{secure.http_port}/a.root"


@pytest.fixture(autouse=True)
def no_file_systems_of_other_tests():
    WebDAVFileSystem.clear_instance_cache()


def first_column(place):
    with uproot.open({fsspec_url(place): TREE}) as tree:
        return tree["Triplet2_Mass"].array()


@pytest.mark.xrootd
@pytest.mark.parametrize("scheme", ["davs", "https"])
def test_a_grid_proxy_is_shown(scheme, file, secure, data):
    url = file.replace("davs", scheme)
    assert_equal(first_column(url), first_column(str(data / "tree3mu_phipi_2017.root")))
    assert "CN=Test User" in secure.log()


@pytest.mark.xrootd
def test_a_renewed_proxy_is_shown(file, secure, authority, tmp_path):
    def shown():
        first_column(file)
        return secure.log().count("CN=Test User")

    once = shown()
    assert shown() == once
    authority.proxy(tmp_path / "proxy.pem")
    assert shown() > once


@pytest.mark.xrootd
def test_a_server_of_an_unknown_authority_is_not_trusted(file, monkeypatch):
    monkeypatch.delenv("X509_CERT_DIR")
    with pytest.raises(OSError, match="certificate") as raised:
        first_column(file)
    assert reason(raised.value).startswith("its certificate is not trusted")
    monkeypatch.setenv("X509_CERT_DIR", "/none")
    with pytest.raises(FacilityError, match="correct or unset X509_CERT_DIR"):
        first_column(file)


class Web(http.server.SimpleHTTPRequestHandler):
    """A web server without WebDAV, that sends whole files only and refuses some."""

    def send_head(self):
        if "secret" in self.path:
            self.send_error(403)
            return None
        return super().send_head()

    def log_message(self, *_):
        pass


@pytest.fixture
def web(tmp_path):
    """Address of a web server without WebDAV, which serves a folder."""
    (tmp_path / "a.root").write_bytes(b"root and more")
    handler = functools.partial(Web, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_files_of_a_web_server_are_known_and_its_folders_are_not_listed(web):
    storage = Storage(f"{web}/a.root")
    (place,) = storage.find("/a.root")
    assert storage.name(place) == f"{web}/a.root"
    assert "size=13" in identity(f"{web}/a.root")
    with pytest.raises(OSError, match="the server does not list folders; give each file"):
        list(Storage(f"{web}/*.root").find("/*.root"))


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("none.root", "no such file"),
        ("secret.root", REFUSED),
    ],
)
def test_what_a_web_server_refuses_is_told(name, meaning, web):
    for ask in (lambda url: identity(url), lambda url: opened(url, 10)):
        with pytest.raises(OSError) as raised:  # noqa: PT011 - its meaning is looked at
            ask(f"{web}/{name}")
        assert reason(raised.value) == meaning


def test_a_server_that_sends_whole_files_only_is_told(web):
    with pytest.raises(OSError, match="no parts of them; copy the file"):
        Storage(web)._system.cat_file("/a.root", start=0, end=4)


def test_a_closed_port_is_knocked_at_for_a_while_and_then_not_again(monkeypatch):
    monkeypatch.setenv("XRD_CONNECTIONWINDOW", "2")
    url = f"http://localhost:{services.free_port()}/a.root"
    waited = []
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(OSError, match="Cannot connect to host"):
            identity(url)
        waited.append(time.monotonic() - began)
    assert waited[0] > 2 > waited[1]
