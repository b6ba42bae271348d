"""What the tests of decoding share."""

import pytest

from bphcoffea import storage


@pytest.fixture(autouse=True)
def decompression():
    """Read as workers do."""
    storage.decompress_within(200_000_000)
    storage.index_fields()
