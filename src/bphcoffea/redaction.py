"""Hiding passwords and tokens of URLs in all output.

Only the URL that a file is opened by keeps them. Elsewhere a file is identified by its redacted
URL, which does not change when a token is renewed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Replacement of a secret.
HIDDEN = "***"

#: Names of URL parameters that grant access: storage tokens (``authz``), presigned URLs of S3,
#: Google and Azure (``sig``), OAuth, EOS (``cap.sym``), dCache.
_NAMES = (
    r"[\w.%-]*(?:auth(?!or)|token|passw|secret|signature|credential|macaroon|bearer|session|"
    r"api[-_]?key|access[-_]?key)[\w.%-]*"
    r"|(?:[\w.%-]*[._-])?(?:sig|key|pwd|pass|jwt|ticket|cap\.sym|cap\.msg|dcache[.-]uuid)"
)
#: Characters before a parameter, also percent-encoded or escaped in HTML and scripts.
_BEGINS = r"[?&;#]|%3F|%26|%3B|\\u0026"
#: Value of a parameter, without punctuation at the end of a sentence.
_VALUE = r"""[^\s"<>\\&]*[^\s"<>\\&.,:;!?)\]}']"""
_PARAMETER = re.compile(
    rf"(?P<begin>{_BEGINS})(?P<name>{_NAMES})(?P<equals>=|%3D)"
    rf"(?:Bearer(?:%20|\+|\s+))?(?:{_VALUE})?",
    re.IGNORECASE,
)
#: User and password before a host; a user without password may be a token.
_USER = re.compile(r'://[^\s/"<>?#\\]*@')
_ENCODED_USER = re.compile(r'%3A%2F%2F(?:(?!%2F)[^\s/"<>?#\\])*%40', re.IGNORECASE)
#: JSON Web Tokens and macaroons (base64 of ``00..location``), and credentials in HTTP headers.
_TOKEN = re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)*|\bMDA\w{3}xvY2F0aW9u[\w+/-]+=*", re.ASCII)
_HEADER = re.compile(r"\b(Bearer(?:\s+|%20)|Authorization\W{1,4}Basic\s+)[\w.~+/=-]{8,}")


def redacted(text: str) -> str:
    """Return a text with passwords and tokens of URLs replaced by ``***``.

    >>> redacted("root://me:secret@host//a.root?authz=Bearer%20abc&x=1: no such file")
    'root://***@host//a.root?authz=***&x=1: no such file'
    """
    text = _USER.sub(f"://{HIDDEN}@", text)
    text = _ENCODED_USER.sub(f"%3A%2F%2F{HIDDEN}%40", text)
    text = _PARAMETER.sub(rf"\g<begin>\g<name>\g<equals>{HIDDEN}", text)
    text = _TOKEN.sub(HIDDEN, text)
    return _HEADER.sub(rf"\1{HIDDEN}", text)


def redacted_data(content: object) -> object:
    """Return JSON-like data with all texts redacted, including keys.

    >>> redacted_data({"files": ["https://me:secret@host/a.root"], "entries": 3})
    {'files': ['https://***@host/a.root'], 'entries': 3}
    """
    if isinstance(content, str):
        return redacted(content)
    if isinstance(content, Mapping):
        return {redacted_data(key): redacted_data(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [redacted_data(value) for value in content]
    return content


def has_secrets(content: object) -> bool:
    """Return whether a text in JSON-like data contains a password or token."""
    if isinstance(content, str):
        return redacted(content) != content
    if isinstance(content, Mapping):
        return any(has_secrets(part) for item in content.items() for part in item)
    return isinstance(content, list | tuple) and any(has_secrets(value) for value in content)
