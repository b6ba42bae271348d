"""A certificate authority, grid proxies, and XRootD servers that ask for one or for a token.

They need ``openssl``; the servers need what every XRootD server of the tests does.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import json
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from services.dask import Tls
from services.xrootd import RestartableServer, xrootd_server

_DAY = 24 * 3600.0

# "openssl ca" is the command that signs with any beginning and end; it wants a database
_CONFIGURATION = """\
[req]
distinguished_name = name
string_mask = utf8only
prompt = no
[name]
[ca]
default_ca = signer
[signer]
database = {folder}/database
new_certs_dir = {folder}/issued
rand_serial = yes
unique_subject = no
default_md = sha256
preserve = yes
policy = anything
[anything]
domainComponent = optional
commonName = optional
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[host]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
authorityKeyIdentifier = keyid
subjectAltName = DNS:localhost,DNS:{host},IP:127.0.0.1
[user]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature,keyEncipherment
authorityKeyIdentifier = keyid
[proxy]
keyUsage = critical,digitalSignature,keyEncipherment
proxyCertInfo = critical,language:id-ppl-inheritAll
"""

_SUBJECT = "/DC=test/CN=Test CA"
_POLICY = f"""\
access_id_CA X509 '{_SUBJECT}'
pos_rights globus CA:sign
cond_subjects globus '"/DC=test/*"'
"""


class CertificateAuthority:
    """Signs the certificates of a host, of a user and of Dask, and the user's proxies.

    Parameters
    ----------
    folder
        Where its files go; it is made.

    Attributes
    ----------
    certificates
        What ``X509_CERT_DIR`` is to name: the authority's certificate under its hash.
    certificate
        The authority's own.
    host_certificate, host_key
        Of localhost and of this machine's name.
    user_certificate, user_key
        Of a user, valid for two days.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._proxies = 0
        self.certificates = folder / "certificates"
        for made in (folder, self.certificates, folder / "issued"):
            made.mkdir()
        (folder / "database").touch()
        self._configuration = folder / "openssl.cnf"
        self._configuration.write_text(
            _CONFIGURATION.format(folder=folder, host=socket.gethostname())
        )
        self.certificate, self._key = self._own()
        self._publish()
        self.host_certificate, self.host_key = self._signed("host", "localhost")
        self.user_certificate, self.user_key = self._signed("user", "Test User")

    def proxy(self, path: Path, seconds: float = 3600) -> Path:
        """Make a proxy of the user's certificate, as ``voms-proxy-init`` does.

        Parameters
        ----------
        path
            Where; what lies there is replaced in one step, as when a proxy is renewed.
        seconds
            How long it is valid from now on; if negative, how long ago it expired.
        """
        self._proxies += 1
        request, key = self._request("proxy", f"Test User/CN={self._proxies}")
        certificate = self._sign(
            request,
            "proxy",
            (self.user_certificate, self.user_key),
            begin=min(seconds, 0) - 3600,
            end=seconds,
        )
        chain = (certificate, key, self.user_certificate)
        new = path.with_name(path.name + ".new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text("".join(part.read_text() for part in chain))
        return new.replace(path)

    def environment(self, proxy: Path | None = None) -> dict[str, str]:
        """The variables with which a process trusts this authority, and has a proxy."""
        known = {"X509_CERT_DIR": str(self.certificates)}
        return known if proxy is None else known | {"X509_USER_PROXY": str(proxy)}

    def dask_certificates(self) -> Tls:
        """What a Dask cluster and its clients need to talk over TLS."""
        return Tls(self.certificate, *self._signed("host", "Test Dask"))

    def _own(self) -> tuple[Path, Path]:
        certificate, key = self._folder / "ca.pem", self._folder / "ca.key"
        self._openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3"),
            *("-subj", _SUBJECT, "-extensions", "authority", "-keyout", key, "-out", certificate),
        )
        return certificate, key

    def _publish(self) -> None:
        hashed = subprocess.run(
            ["openssl", "x509", "-noout", "-hash", "-in", self.certificate],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        shutil.copyfile(self.certificate, self.certificates / f"{hashed}.0")
        (self.certificates / f"{hashed}.signing_policy").write_text(_POLICY)

    def _signed(self, kind: str, name: str) -> tuple[Path, Path]:
        request, key = self._request(name.lower().replace(" ", "-"), name)
        signer = self.certificate, self._key
        return self._sign(request, kind, signer, begin=-3600, end=2 * _DAY), key

    def _request(self, file: str, name: str) -> tuple[Path, Path]:
        request, key = self._folder / f"{file}.req", self._folder / f"{file}.key"
        self._openssl(
            *("req", "-new", "-newkey", "rsa:2048", "-nodes"),
            *("-subj", f"/DC=test/CN={name}", "-keyout", key, "-out", request),
        )
        key.chmod(0o400)
        return request, key

    def _sign(
        self, request: Path, kind: str, signer: tuple[Path, Path], begin: float, end: float
    ) -> Path:
        certificate = request.with_suffix(".pem")
        self._openssl(
            *("ca", "-batch", "-notext", "-in", request, "-out", certificate),
            *("-cert", signer[0], "-keyfile", signer[1], "-extensions", kind),
            *("-startdate", _from_now(begin), "-enddate", _from_now(end)),
        )
        return certificate

    def _openssl(self, command: str, *words: str | Path) -> None:
        done = subprocess.run(
            ["openssl", command, "-config", self._configuration, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(f"openssl {command} failed:\n{done.stderr}")


@contextlib.contextmanager
def gsi_server(
    folder: Path, run_folder: Path, authority: CertificateAuthority
) -> Iterator[RestartableServer]:
    """Serve a folder over XRootD to those who have a proxy of the authority.

    The client of a process looks at its proxy and at the authorities when it first needs them, so
    that only a new process takes other ones; :meth:`CertificateAuthority.environment` is for it.

    Parameters
    ----------
    folder
        What to serve; user nobody must be able to read it, and its parents.
    run_folder
        Where the server keeps its configuration, state, log and certificates.
    authority
        Who signed the proxies; its own folder may be closed to user nobody.
    """
    trusted = run_folder / "certificates"
    shutil.copytree(authority.certificates, trusted, dirs_exist_ok=True)
    certificate = _given_to_nobody(authority.host_certificate, run_folder)
    key = _given_to_nobody(authority.host_key, run_folder)
    extra = (
        "xrootd.seclib libXrdSec.so\n"
        f"sec.protocol gsi -certdir:{trusted} -cert:{certificate} -key:{key} "
        "-gridmap:/dev/null -gmapopt:10 -crl:0\n"
        "sec.protbind * only gsi"
    )
    with xrootd_server(folder, run_folder, extra=extra) as server:
        yield server


def tls_lines(authority: CertificateAuthority, run_folder: Path) -> str:
    """Lines with which a server speaks HTTP over TLS, and trusts proxies of the authority."""
    trusted = run_folder / "certificates"
    shutil.copytree(authority.certificates, trusted)
    return (
        f"http.cert {_given_to_nobody(authority.host_certificate, run_folder)}\n"
        f"http.key {_given_to_nobody(authority.host_key, run_folder)}\n"
        f"http.cadir {trusted}\n"
    )


class MacaroonServer(RestartableServer):
    """Serve a folder over WebDAV to those who have a macaroon, which the user's proxy gets.

    Parameters
    ----------
    folder
        What to serve; user nobody must be able to read it, and its parents.
    run_folder
        Where the server keeps its configuration, state, log and certificates.
    authority
        Who signs proxies.
    """

    def __init__(self, folder: Path, run_folder: Path, authority: CertificateAuthority) -> None:
        self._authority = authority
        (run_folder / "users").write_text('"/DC=test/CN=Test User" tester\n')
        (run_folder / "rights").write_text("u tester / a\n")
        key = run_folder / "macaroons"
        key.write_bytes(base64.encodebytes(secrets.token_bytes(64)))
        shutil.chown(key, "nobody")
        extra = (
            f"{tls_lines(authority, run_folder)}"
            f"http.gridmap {run_folder / 'users'}\n"
            "http.header2cgi Authorization authz\n"
            "http.exthandler xrdmacaroons libXrdMacaroons.so\n"
            f"macaroons.secretkey {key}\n"
            "all.sitename test\n"
            "ofs.authorize\n"
            "ofs.authlib libXrdMacaroons.so\n"
            f"acc.authdb {run_folder / 'rights'}"
        )
        super().__init__(folder, run_folder, http=True, extra=extra)

    def davs_url(self, path: str = "") -> str:
        """URL of a path in its folder, over WebDAV with TLS."""
        return f"davs://localhost:{self.http_port}/{path}"

    def macaroon(self, proxy: Path) -> str:
        """A token for its whole folder, valid for ten minutes."""
        answer = requests.post(
            f"https://localhost:{self.http_port}/",
            json={
                "caveats": ["activity:DOWNLOAD,LIST,UPLOAD,DELETE,MANAGE"],
                "validity": "PT10M",
            },
            headers={"Content-Type": "application/macaroon-request"},
            cert=str(proxy),
            verify=str(self._authority.certificate),
            timeout=20,
        )
        answer.raise_for_status()
        return str(answer.json()["macaroon"])


def jwt(seconds: float | None) -> str:
    """A JSON Web Token without a true signature, which expires in some seconds, or says nothing."""
    claims = {"iss": "https://test"} | ({} if seconds is None else {"exp": time.time() + seconds})
    parts = (json.dumps(part).encode() for part in ({"alg": "none"}, claims))
    encoded = (base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    return ".".join((*encoded, "c2lnbmF0dXJl"))


def _given_to_nobody(file: Path, folder: Path) -> Path:
    copy = folder / file.name
    copy.unlink(missing_ok=True)
    copy.touch(mode=0o600)
    copy.write_text(file.read_text())
    copy.chmod(0o400)
    shutil.chown(copy, "nobody")
    return copy


def _from_now(seconds: float) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)
    return f"{moment:%Y%m%d%H%M%SZ}"
