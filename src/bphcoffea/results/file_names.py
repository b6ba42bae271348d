"""Names of the files of a run."""

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import quote

#: File of all histograms, from which everything after a run reads them.
HISTOGRAMS = "histograms.json"
#: Longest name that :func:`file_name` returns; with a suffix, it must fit into 255 bytes.
LONGEST = 150


def file_name(name: str, among: Iterable[str] = ()) -> str:
    """Return the file name for a dataset, process, era or category.

    Special characters, and a dot at the beginning, are percent-encoded. A long name is shortened
    and ends in a hash.

    Parameters
    ----------
    name
        Any non-empty text.
    among
        Names of the other files in the folder. If one of them differs from `name` only in case,
        which some file systems ignore, a hash is appended.
    """
    encoded = _encoded(name)
    alike = any(
        other != name and _encoded(other).casefold() == encoded.casefold() for other in among
    )
    if len(encoded) <= LONGEST and not alike:
        return encoded
    mark = f"-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    # not within an encoded character
    beginning = re.sub("%[0-9A-F]?$", "", encoded[: LONGEST - len(mark)])
    return beginning + mark


def _encoded(name: str) -> str:
    encoded = quote(name, safe=" +,=@#[](){}")
    return f"%2E{encoded[1:]}" if encoded.startswith(".") else encoded
