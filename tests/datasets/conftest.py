"""What the tests of filesets share: small files, and a real server that serves them."""

import numpy as np
import pytest
import services
import uproot


@pytest.fixture(scope="session")
def write_root():
    """Write a small ROOT file with a tree at Tree3Mu/ntuple."""

    def write_root(path, entries=10, rntuple=False):
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {
            "evt": np.arange(entries, dtype=np.uint32),
            "pt": np.linspace(0, 1, entries),
        }
        with uproot.recreate(path) as root:
            if rntuple:
                root.mkdir("Tree3Mu").mkrntuple("ntuple", columns)
            else:
                root.mktree("Tree3Mu/ntuple", columns)
            root["counts"] = np.histogram([1.0, 2.0])
        return path

    return write_root


@pytest.fixture(scope="session")
def server(write_root):
    """An XRootD server; in its folder are names as people give them, and faulty files."""
    why_not = services.why_no_xrootd()
    if why_not:
        pytest.skip(why_not)
    with services.server_folders() as (served, run):
        for name in ("a.root", "b.root", "with blank.root", "x[1].root", "ü.root", "p+q#%20.root"):
            write_root(served / name)
        for name in ("2017B/a.root", "2017B/deep/b.root", "2017C/a.root", "2018/a.root"):
            write_root(served / name, entries=20)
        (served / "list.txt").write_text("a.root")
        (served / "cut.root").write_bytes((served / "a.root").read_bytes()[:900])
        with services.xrootd_server(served, run, http=True) as server:
            yield server


@pytest.fixture(params=["root", "dav", "http"])
def url(request, server):
    """URLs of paths on the server, by each of its protocols."""

    def url(path=""):
        if request.param == "root":
            return server.url(path)
        encoded = path.replace("%", "%25").replace("#", "%23")
        return server.http_url(encoded).replace("http", request.param, 1)

    return url
