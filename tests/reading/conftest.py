"""What the tests of decoding share."""

import pytest

from bphcoffea import storage


@pytest.fixture(autouse=True)
def decompression():
    """Read as workers do."""
    storage.prepare_uproot(200_000_000)


@pytest.fixture
def requests_of(monkeypatch):
    """Record what is read from a file: the places of each request."""

    def requests_of(file):
        requests = []
        read = file.read
        monkeypatch.setattr(file, "read", lambda places: requests.append(places) or read(places))
        return requests

    return requests_of
