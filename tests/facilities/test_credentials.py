"""Grid proxy and bearer token: found, valid for long enough, on every worker, nowhere else."""

import datetime
import os
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import pytest
import services
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import Client

from bphcoffea.errors import InputError
from bphcoffea.facilities import Facility, check
from bphcoffea.facilities.credentials import check_validity, find_valid, shipping
from bphcoffea.storage import BearerToken, Proxy

# the functions below go to workers, which don't have this file
cloudpickle.register_pickle_by_value(sys.modules[__name__])


def certificate(hours):
    """A certificate that ends after some hours, and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test User")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=100))
        .not_valid_after(now + datetime.timedelta(hours=hours))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return made.public_bytes(pem) + key.private_bytes(
        pem, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


@pytest.fixture
def write_proxy(tmp_path, monkeypatch):
    """Write a proxy whose chain ends after these hours, and let it be the user's."""

    def write_proxy(*hours, mode=0o600):
        path = tmp_path / "x509up"
        path.touch(mode=0o600)
        path.write_bytes(b"".join(map(certificate, hours)))
        path.chmod(mode)
        monkeypatch.setenv("X509_USER_PROXY", str(path))
        return Proxy(path)

    return write_proxy


@pytest.mark.parametrize(("hours", "left"), [((3,), 3), ((12, 100), 12), ((100, 5, 9), 5)])
def test_a_proxy_ends_with_the_first_of_its_chain(hours, left, write_proxy):
    assert write_proxy(*hours).remaining_s() == pytest.approx(3600 * left, abs=10)
    assert Proxy.find().remaining_s() == pytest.approx(3600 * left, abs=10)


def test_what_is_wrong_with_a_proxy_is_one_line(write_proxy, tmp_path):
    def fault(proxy, hours=1.0):
        with pytest.raises(InputError) as raised:
            check_validity(proxy, hours)
        (line,) = str(raised.value).splitlines()
        return line

    path = tmp_path / "x509up"
    assert "the grid proxy expired at" in fault(write_proxy(-2))
    assert "in 0.5 h, but 1 h are requested" in fault(write_proxy(0.5))
    assert fault(write_proxy(5, mode=0o644)) == (
        f"{path}: others may read this grid proxy; run chmod 600"
    )
    path.chmod(0o600)
    path.write_text("not a certificate")
    assert "contains no grid proxy" in fault(Proxy(path))
    assert "No such file" in fault(Proxy(tmp_path / "none"))
    check_validity(write_proxy(5), 4.9)


def test_a_proxy_is_needed_only_where_it_is_asked_for(write_proxy, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "getuid", lambda: 987_654_321)
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    assert find_valid(1, required=False) == []
    with pytest.raises(InputError, match=r"no grid proxy.*x509up_u987654321"):
        find_valid(1, required=True)
    monkeypatch.undo()
    write_proxy(-1)
    for required in (True, False):  # X509_USER_PROXY asks for it
        with pytest.raises(InputError, match="expired"):
            find_valid(1, required=required)


@pytest.mark.parametrize("place", ["file", "variable"])
def test_a_token_that_ends_soon_is_reported_and_one_that_has_ended_is_refused(
    place, monkeypatch, tmp_path
):
    monkeypatch.setattr("bphcoffea.storage.credentials.usual_proxy", lambda: tmp_path / "none")
    monkeypatch.delenv("X509_USER_PROXY", raising=False)
    warned = []
    monkeypatch.setattr(
        "bphcoffea.facilities.credentials._log.warning",
        lambda text, *parts: warned.append(text % parts),
    )
    path = tmp_path / "token"
    path.touch(0o600)

    def found(content):
        path.write_text(f"{content}\n")
        if place == "file":
            monkeypatch.setenv("BEARER_TOKEN_FILE", str(path))
        else:
            monkeypatch.setenv("BEARER_TOKEN", content)
        return find_valid(1, required=True)

    for content in (services.jwt(2 * 3600), services.jwt(None), "macaroon"):
        assert [one.read().decode() for one in found(content)] == [content]
        assert warned == []
    assert len(found(services.jwt(1800))) == 1
    (line,) = warned
    assert "the bearer token expires at" in line
    assert "in 0.5 h, but 1 h are requested; it must be renewed in a file" in line
    with pytest.raises(InputError, match=r"the bearer token expired at .*; get a new one"):
        found(services.jwt(-60))


def test_a_stale_token_at_its_usual_place_is_ignored(write_proxy, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / f"bt_u{os.geteuid()}"
    path.touch(0o600)
    path.write_text(services.jwt(-60))
    proxy = write_proxy(5)
    assert find_valid(1, required=True) == [proxy]


def test_a_check_of_a_facility_names_the_credentials(write_proxy, monkeypatch, tmp_path):
    proxy, token = write_proxy(5), tmp_path / "token"
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(token))
    token.touch(0o600)

    def detail():
        finding = next(check(Facility(name="here", kind="local"), 0))
        return finding.detail or str(finding.fault)

    lifetimes = {"macaroon": "of unknown lifetime", services.jwt(3600): "valid for 1.0 h"}
    for content, lifetime in lifetimes.items():
        token.write_text(content)
        expected = f"bearer token {token}, {lifetime}; grid proxy {proxy.source}, valid for 5.0 h"
        assert detail() == expected
    token.unlink()
    assert detail().startswith(f"{token}: bearer token cannot be read (No such file")


def test_a_token_is_not_in_the_text_of_what_holds_it():
    assert "pl4nted" not in repr(BearerToken("here", "pl4nted"))


def test_a_worker_keeps_it_for_itself():
    # in a process of its own, for its environment is changed
    code = (
        "import os, stat; from pathlib import Path; from bphcoffea.facilities import credentials;"
        "os.umask(0); os.environ['BEARER_TOKEN'] = 'old';"
        "credentials.install({'X509_USER_PROXY': b'secret'}, '/certificates');"
        "credentials.install({'X509_USER_PROXY': b'renewed', 'BEARER_TOKEN_FILE': b'token'});"
        "path = Path(os.environ['X509_USER_PROXY']); print(path, path.read_text(),"
        "oct(stat.S_IMODE(path.stat().st_mode)), oct(stat.S_IMODE(path.parent.stat().st_mode)),"
        "os.environ['X509_CERT_DIR'], Path(os.environ['BEARER_TOKEN_FILE']).read_text(),"
        "os.getenv('BEARER_TOKEN'), sorted(p.name for p in path.parent.iterdir()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    path, *rest = done.stdout.split(maxsplit=1)
    files = ["BEARER_TOKEN_FILE", "X509_USER_PROXY"]
    assert rest == [f"renewed 0o600 0o700 /certificates token None {files}\n"]
    left = Path(path).parent
    assert left.exists(), "killed processes leave theirs behind"
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not left.exists(), "the next one removes it"
    for path in Path(again.stdout.split()[0]).parent.iterdir():
        path.unlink()


def environment_of_worker():
    paths = [
        Path(os.environ.get(name, "/none")) for name in ("X509_USER_PROXY", "BEARER_TOKEN_FILE")
    ]
    return tuple(path.read_bytes() for path in paths if path.exists())


def test_every_worker_gets_them_and_the_scheduler_keeps_nothing(write_proxy, tmp_path, monkeypatch):
    proxy, token = write_proxy(5), tmp_path / "token"
    monkeypatch.delenv("X509_USER_PROXY")
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(token))
    token.touch(0o600)
    token.write_text("macaroon-of-before\n")
    with (
        services.dask_cluster(tmp_path / "cluster", 1) as cluster,
        Client(cluster.address) as client,
    ):
        client.wait_for_workers(1)
        with shipping(client, [proxy, BearerToken.find()]):
            first = proxy.read(), b"macaroon-of-before"
            assert list(client.run(environment_of_worker).values()) == [first]
            cluster.add_worker()
            client.wait_for_workers(2)
            until(lambda: set(client.run(environment_of_worker).values()) == {first})
            token.write_text("macaroon-renewed")
            second = write_proxy(6).read(), b"macaroon-renewed"
            monkeypatch.delenv("X509_USER_PROXY")
            until(lambda: set(client.run(environment_of_worker).values()) == {second})
        secrets = [line for pem, _ in (first, second) for line in pem.splitlines()[1:4]]
        secrets += [first[1], second[1]]
        kept = client.run_on_scheduler(what_is_kept)
        assert cluster.address.encode() in kept, "the search finds what the scheduler keeps"
        assert not any(secret in kept for secret in secrets)
        client.run(remove_credentials)
    log = (tmp_path / "cluster" / "log").read_bytes()
    files = b"".join(path.read_bytes() for path in (tmp_path / "cluster").rglob("*.*"))
    assert not any(secret in log + files for secret in secrets)


def remove_credentials():
    for name in ("X509_USER_PROXY", "BEARER_TOKEN_FILE"):
        Path(os.environ[name]).unlink()


def until(true, seconds=20):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def what_is_kept(dask_scheduler):
    """All bytes and texts that can be reached from the scheduler."""
    import gc

    found, seen, todo = [], set(), [dask_scheduler]
    while todo:
        thing = todo.pop()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        if isinstance(thing, str):
            found.append(thing.encode(errors="replace"))
        elif isinstance(thing, bytes | bytearray | memoryview):
            found.append(bytes(thing))
        elif not isinstance(thing, type) and type(thing).__name__ not in ("module", "function"):
            todo += gc.get_referents(thing)
    return b"\n".join(found)
