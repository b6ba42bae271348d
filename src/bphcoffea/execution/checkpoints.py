"""Results of finished chunks, kept so that a run that was cut off can go on.

They are pickles, as coffea makes them, so they never lie in a run's folder, and on a disk they are
read only where nobody else could have written them.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import stat
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import cloudpickle
import fsspec
import lz4.frame
from coffea.processor import CheckpointerABC

import bphcoffea
from bphcoffea.analysis import Analysis
from bphcoffea.errors import InputError
from bphcoffea.execution.checkpoint_folders import CANNOT, PART, SUFFIX, because, describe, remove
from bphcoffea.execution.loading import SOURCE_SHA256
from bphcoffea.processing.processor import Sink
from bphcoffea.results.ledger import REPLICAS
from bphcoffea.versions import versions

#: What of a chunk does not change its result: where it is read, and what figures call its dataset.
_IRRELEVANT = {"filename", REPLICAS, "label"}
#: Bytes of the checksum in front of what is kept.
_CHECKSUM_SIZE = 32
#: Read for the group and for others, at most: nobody else may write.
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def fingerprint(analysis: Analysis, sink: Sink | None = None) -> str:
    """Hash of everything that the result of a chunk depends on, beside the chunk.

    That is the analysis's code with the modules beside it, its configuration, the library,
    and the versions of what it builds upon.
    """
    digest = hashlib.sha256()
    digest.update(_code_of(analysis).encode())
    # what is left at its default is the same as what was set to it
    given = analysis.corrected(analysis.era_corrections, nominal_only=analysis.nominal_only)
    digest.update(cloudpickle.dumps((sorted(vars(given).items()), sink)))
    digest.update(json.dumps(versions()).encode())
    package = Path(bphcoffea.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _code_of(analysis: Analysis) -> str:
    module = sys.modules.get(type(analysis).__module__)
    known = getattr(module, SOURCE_SHA256, None)
    if known is not None:
        return str(known)
    try:
        return inspect.getsource(type(analysis))
    except (OSError, TypeError):
        return uuid.uuid4().hex  # unknown code: its checkpoints are nobody's


def _sealed(content: bytes) -> bytes:
    """What is kept: the content behind its checksum."""
    return hashlib.blake2b(content, digest_size=_CHECKSUM_SIZE).digest() + content


def _unsealed(kept: bytes) -> bytes | None:
    """The content of what was kept; None if it was cut off or damaged since."""
    content = kept[_CHECKSUM_SIZE:]
    return content if _sealed(content) == kept else None


#: Where the result of the chunk belongs that this thread works on. Found by ``load``, which coffea
#: calls before each chunk: later the metadata may differ, since coffea's NanoAODSchema writes its
#: version into them.
_chunk = threading.local()


class Checkpoints(CheckpointerABC):  # type: ignore[misc]
    """The checkpoints of a run; coffea asks it on the workers, chunk by chunk.

    Parameters
    ----------
    place
        Their own folder, as :func:`~bphcoffea.execution.checkpoint_folders.folder_for` gives it.
        Workers on other machines must reach it.
    code
        The analysis's :func:`fingerprint`.
    resume
        Whether to take the results that are there, or only to keep new ones.
    """

    def __init__(self, place: str, code: str, *, resume: bool) -> None:
        self.place = place
        self.code = code
        self.resume = resume

    def prepare(self, results: Path, analysis: str) -> None:
        """Make the folder ready, before the run, and write down what it is for.

        Parameters
        ----------
        results
            The folder of the run.
        analysis
            Its name.

        Raises
        ------
        InputError
            When nothing can be written there, or others could have written into it.
        """
        try:
            system, path = fsspec.url_to_fs(self.place)
            self._make(system, path)
            self._check_owner(path)
            describe(system, path, results, analysis)
        except CANNOT as error:
            raise InputError(
                f"{self.place}: cannot keep checkpoints there ({because(error)}); "
                "choose another place for checkpoints"
            ) from None

    def _make(self, system: Any, path: str) -> None:
        if not system.exists(path):
            system.makedirs(path, exist_ok=True)
            if self._is_local():
                Path(path).chmod(0o700)

    def clear(self) -> None:
        """Remove all of them; print a note if that fails."""
        try:
            remove(*fsspec.url_to_fs(self.place))
        except CANNOT as error:
            print(
                f"note: {self.place}: the checkpoints there are no longer needed, but cannot be "
                f"removed ({because(error)}); remove them yourself"
            )

    def load(self, metadata: dict[str, Any], processor_instance: Any) -> Any:  # noqa: ARG002
        """The result of a chunk, marked as ``resumed``; None if there is none, or it is damaged."""
        system, path = _chunk.place = self._find(metadata)
        if not self.resume or not system.exists(path):
            return None
        self._check_owner(path)
        try:
            with system.open(path, "rb") as file:
                content = _unsealed(file.read())
        except OSError:
            return None
        if content is None:
            return None
        output = cloudpickle.loads(lz4.frame.decompress(content))
        output["resumed"] = 1
        return output

    def save(self, output: Any, metadata: dict[str, Any], processor_instance: Any) -> None:  # noqa: ARG002
        """Keep the result of a chunk; it appears whole or not at all.

        A chunk is not lost because it can't be kept: that is counted, as ``not_kept``. Nor is one
        kept that is shorter than it should be, since it would be taken for the whole for ever.
        """
        if output["metrics"]["entries"] != metadata["entrystop"] - metadata["entrystart"]:
            return
        clock = time.perf_counter()
        system, path = _chunk.place
        # what coffea says was processed holds the URL of the file, with its secrets
        kept = {key: value for key, value in output.items() if key != "processed"}
        content = _sealed(lz4.frame.compress(cloudpickle.dumps(kept)))
        part = f"{path}.{uuid.uuid4().hex}{PART}"
        try:
            self._make(system, path.rpartition("/")[0])  # a worker's machine has its own disk
            with system.open(part, "wb") as file:
                file.write(content)
            system.mv(part, path)
        except OSError:
            output["not_kept"] = 1
        output["metrics"]["keeping_s"] = time.perf_counter() - clock

    def _find(self, metadata: dict[str, Any]) -> tuple[Any, str]:
        known = {key: value for key, value in metadata.items() if key not in _IRRELEVANT}
        content = json.dumps([self.code, known], sort_keys=True, default=str)
        system, folder = fsspec.url_to_fs(self.place)
        return system, f"{folder}/{hashlib.sha256(content.encode()).hexdigest()}{SUFFIX}"

    def _is_local(self) -> bool:
        system, _ = fsspec.url_to_fs(self.place)
        return isinstance(system, fsspec.implementations.local.LocalFileSystem)

    def _check_owner(self, path: str) -> None:
        if not self._is_local():
            return
        found = Path(path).stat()
        if found.st_uid != os.geteuid() or found.st_mode & _WRITABLE_BY_OTHERS:
            raise InputError(
                f"{path}: not read, since others may have written it; checkpoints are pickles: "
                "their folder must belong to you, and only you may write there"
            )
