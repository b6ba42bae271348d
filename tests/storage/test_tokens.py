"""Bearer tokens: found, sent over TLS to the server alone, and read again when renewed."""

import base64
import contextlib
import http.server
import math
import os
import shutil
import ssl
import threading

import pytest
import services
import uproot
from like_uproot import assert_equal

from bphcoffea.errors import InputError, causes
from bphcoffea.redaction import HIDDEN, redacted
from bphcoffea.storage import ONCE, BearerToken, Storage, fsspec_url, identity, reason, stage_out
from bphcoffea.storage.webdav_reading import WebDAVFileSystem

TREE = "Tree3Mu/ntuple"


@pytest.fixture(autouse=True)
def neither_proxy_nor_token(monkeypatch, tmp_path):
    WebDAVFileSystem.clear_instance_cache()
    for name in ("X509_USER_PROXY", "BEARER_TOKEN", "BEARER_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("bphcoffea.storage.credentials.usual_proxy", lambda: tmp_path / "none")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def token(tmp_path, monkeypatch):
    """The file of the user's token."""
    path = tmp_path / "token"
    path.touch(0o600)
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
    return path


def test_a_token_is_looked_for_where_the_specification_says(monkeypatch, tmp_path):
    usual = tmp_path / f"bt_u{os.geteuid()}"
    usual.touch(0o600)
    usual.write_text("of.the.session\n")
    assert BearerToken.find().content == "of.the.session"
    named = tmp_path / "named"
    named.touch(0o600)
    named.write_text("  of-a-file==\n")
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(named))
    assert BearerToken.find().content == "of-a-file=="
    assert BearerToken.find().source == named
    monkeypatch.setenv("BEARER_TOKEN", " of~the+variable\n")
    assert BearerToken.find().content == "of~the+variable"
    monkeypatch.setenv("BEARER_TOKEN", "")
    named.write_text("renewed")
    assert BearerToken.find().content == "renewed"


def test_the_last_place_is_the_temporary_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    looked_at = []

    def stat(path):
        looked_at.append(str(path))
        raise FileNotFoundError

    monkeypatch.setattr("bphcoffea.storage.credentials.Path.stat", stat)
    assert BearerToken.find() is None
    assert looked_at[-1] == f"/tmp/bt_u{os.geteuid()}"


@pytest.mark.parametrize(
    ("content", "mode", "fault"),
    [
        (None, None, "bearer token cannot be read (No such file or directory); get a new one"),
        ("", 0o600, "contains no bearer token; get a new one, for example with htgettoken"),
        ("pl4nted\npl4nted", 0o600, "contains no bearer token"),
        ("pl4nted\x80", 0o600, "contains no bearer token"),
        ("pl4nted", 0o640, "others may read this bearer token; run chmod 600"),
    ],
)
def test_what_is_wrong_with_a_token_is_one_line_without_it(content, mode, fault, token):
    if content is None:
        token.unlink()
    else:
        token.write_text(content)
        token.chmod(mode)
    with pytest.raises(InputError) as raised:
        BearerToken.find()
    (line,) = str(raised.value).splitlines()
    assert line.startswith(f"{token}: {fault}")
    assert "pl4nted" not in line


def test_a_file_of_another_user_is_no_token(tmp_path):
    path = tmp_path / f"bt_u{os.geteuid()}"
    path.touch(0o600)
    path.write_text("foisted")
    assert BearerToken.find() is not None
    if os.geteuid():
        pytest.skip("only root can give a file away")
    shutil.chown(path, "nobody")
    assert BearerToken.find() is None


@pytest.mark.parametrize(
    ("claim", "end"),
    [
        ("5", 5),
        ("-1e300", -1e300),
        *dict.fromkeys(('"soon"', "NaN", "1e999", "[]", "null", f"1{400 * '0'}"), math.inf).items(),
    ],
)
def test_whatever_a_token_claims_it_expires_at_some_time_or_never(claim, end):
    payload = base64.urlsafe_b64encode(f'{{"exp": {claim}}}'.encode()).decode().rstrip("=")
    assert BearerToken("here", f"eyJ.{payload}.x").expires() == end


@pytest.mark.parametrize("content", ["macaroon", "a.b.c", "a.W10.c", "a.gA.c", f"a.{'W' * 9}.c"])
def test_a_token_that_cannot_be_decoded_does_not_expire(content):
    assert BearerToken("here", content).expires() == math.inf


@pytest.fixture
def server(served, authority, monkeypatch, data):
    """A WebDAV server that asks for a macaroon."""
    folder, run = served
    shutil.copy(data / "tree3mu_phipi_2017.root", folder / "a.root")
    (folder / "a.root").chmod(0o644)
    monkeypatch.setenv("X509_CERT_DIR", str(authority.certificates))
    with services.MacaroonServer(folder, run, authority) as server:
        yield server


def first_column(place):
    with uproot.open({fsspec_url(place): TREE}) as tree:
        return tree["Triplet2_Mass"].array()


def refusal(ask, kind=OSError):
    with pytest.raises(kind) as raised:
        ask()
    assert_without_header(raised.value)
    return reason(raised.value) or str(raised.value)


def assert_without_header(error):
    """Check that no request is left with its token in an error, which Dask would pickle."""
    for cause in causes(error):
        for part in (*vars(cause).values(), *cause.args):
            assert "Authorization" not in (getattr(part, "headers", None) or {})


@pytest.mark.xrootd
def test_a_macaroon_opens_the_door(server, authority, token, tmp_path, data):
    """Wrong tokens, one that is renewed, and one that has expired, at one server."""
    file, new = server.davs_url("a.root"), server.davs_url("new folder/x.root")
    source = data / "tree3mu_phipi_2017.root"
    right = server.macaroon(authority.proxy(tmp_path / "proxy.pem"))

    system = Storage(file)._system  # kept while the token is renewed
    asks = "is there a valid grid proxy or bearer token?"
    for wrong in ("wrong", f"{right[:-4]}AAAA"):
        token.write_text(wrong)
        told = refusal(lambda: system.cat_file("/a.root", start=0, end=4))
        assert told == f"the server refuses access; {asks} (Auth failed)"
    assert asks in refusal(lambda: stage_out(source, new, ONCE), InputError)

    token.write_text(services.jwt(-10))
    ended = "the server refuses access; the bearer token has expired, renew it"
    assert refusal(lambda: first_column(file)) == f"{ended} (Token expired)"
    assert ended in refusal(lambda: stage_out(source, new, ONCE), InputError)

    # from now on, the server lets in whoever uses the same connection
    token.write_text(f"{right}\n")
    assert system.cat_file("/a.root", start=0, end=4) == b"root"
    assert_equal(first_column(file), first_column(str(source)))
    assert "size=" in identity(file)
    storage = Storage(server.davs_url("*.root"))
    assert [storage.name(place) for place in storage.find("/*.root")] == [file]
    stage_out(source, new, ONCE)
    assert (server.folder / "new folder/x.root").read_bytes() == source.read_bytes()

    assert redacted(f"a {right} b") == f"a {HIDDEN} b"


@contextlib.contextmanager
def listening(authority=None, moved_to=None, *, asks=True):
    """A web server, with TLS if an authority is given, and the headers that it was sent.

    It moves requests elsewhere, or allows no method; without a header it may refuse them before.
    """
    sent = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def __getattr__(self, name):
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def answer(self):
            sent.append((self.command, self.headers["Authorization"]))
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.close_connection = True
            if self.command == "PUT" and not moved_to:
                return  # without an answer
            refused = asks and self.headers["Authorization"] is None
            self.send_response(401 if refused else 307 if moved_to else 405)
            if moved_to and not refused:
                self.send_header("Location", f"{moved_to}{self.path}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if authority:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(authority.host_certificate, authority.host_key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"localhost:{server.server_port}", sent
        finally:
            server.shutdown()
            thread.join()


def ask(url, source):
    """Read and write at a server whose answers are of no use."""
    for attempt in (lambda: identity(url), lambda: stage_out(source, url.partition("?")[0], ONCE)):
        try:
            attempt()
        except (OSError, InputError) as error:
            assert_without_header(error)


@pytest.fixture
def source(tmp_path):
    source = tmp_path / "source"
    source.write_text("content")
    return source


@pytest.mark.parametrize("scheme", ["dav", "http"])
def test_no_token_is_sent_in_clear_text(scheme, token, source):
    token.write_text("pl4nted")
    with listening() as (host, sent):
        ask(f"{scheme}://{host}/a.root", source)
    assert {"PROPFIND", "PUT"} <= {method for method, _ in sent}
    assert {header for _, header in sent} == {None}


def test_a_token_is_sent_once_renewed_to_no_other_server_and_not_beside_another_secret(
    authority, token, source, monkeypatch
):
    token.write_text("pl4nted")
    monkeypatch.setenv("X509_CERT_DIR", str(authority.certificates))
    with listening(authority) as (host, sent):
        ask(f"davs://{host}/a.root", source)
        assert sent.pop(0) == ("PROPFIND", None)
        assert {"PROPFIND", "HEAD", "GET", "PUT"} <= {method for method, _ in sent}
        assert {header for _, header in sent} == {"Bearer pl4nted"}
        sent.clear()
        token.write_text("renewed")
        ask(f"davs://{host}/a.root", source)
        assert {header for _, header in sent[1:]} == {"Bearer renewed"}
        sent.clear()
        with listening(authority, f"https://{host}") as (door, first):
            ask(f"davs://{door}/a.root", source)
        assert {header for _, header in first[1:]} == {"Bearer renewed"}
        assert {header for _, header in sent} == {None}
        sent.clear()
        ask(f"davs://me:secret@{host}/a.root", source)
        assert {header[:5] for _, header in sent} == {"Basic"}
        sent.clear()
        with contextlib.suppress(OSError):
            identity(f"davs://{host}/a.root?X-Amz-Signature=secret")
        assert {header for _, header in sent} == {None}


def test_a_server_that_does_not_ask_gets_no_token_with_which_it_is_read(
    authority, token, monkeypatch
):
    token.write_text("pl4nted")
    monkeypatch.setenv("X509_CERT_DIR", str(authority.certificates))
    with listening(authority, asks=False) as (host, sent), contextlib.suppress(OSError):
        identity(f"https://{host}/a.root")
    assert {"PROPFIND", "HEAD", "GET"} <= {method for method, _ in sent}
    assert {header for _, header in sent} == {None}
