"""Checkpoints: results of finished chunks, with which an interrupted run can resume.

They are pickles. Therefore they never lie in a run folder, and on a disk they are only read if
nobody else could have written them.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
import stat
import sys
import uuid
from pathlib import Path

import cloudpickle
import fsspec
import lz4.frame
from coffea.processor.executor import WorkItem

from bphcoffea.analysis import Analysis
from bphcoffea.errors import RunError
from bphcoffea.execution import checkpoint_folders as folders
from bphcoffea.execution.chunk_records import ChunkOutput
from bphcoffea.execution.loading import SOURCE_SHA256
from bphcoffea.processing import Sink
from bphcoffea.results import REPLICAS
from bphcoffea.versions import source_sha256, versions

#: Metadata that do not change the result: other places of the file, and its label in figures.
_IRRELEVANT = {REPLICAS, "label"}
#: Length of the checksum at the beginning of a checkpoint, bytes.
_CHECKSUM_SIZE = 32
#: Permissions that nobody but the owner may have.
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH

_log = logging.getLogger(__name__)


def fingerprint(analysis: Analysis, sink: Sink | None = None) -> str:
    """Return a hash of everything that the result of a chunk depends on, except the chunk.

    It covers the analysis's code with the modules beside it, its configuration, the library, and
    the versions of its dependencies.
    """
    digest = hashlib.sha256()
    digest.update(_code_of(analysis).encode())
    digest.update("".join(score.sha256 for score in analysis.scores).encode())
    # a default has the same hash as the same value that was set explicitly
    explicit = analysis.corrected(analysis.era_corrections, nominal_only=analysis.nominal_only)
    digest.update(cloudpickle.dumps((sorted(vars(explicit).items()), sink)))
    digest.update(json.dumps(versions()).encode())
    digest.update(source_sha256().encode())
    return digest.hexdigest()


def _code_of(analysis: Analysis) -> str:
    module = sys.modules.get(type(analysis).__module__)
    sha256 = getattr(module, SOURCE_SHA256, None)
    if sha256 is not None:
        return str(sha256)
    try:
        return inspect.getsource(type(analysis))
    except (OSError, TypeError):
        return uuid.uuid4().hex  # unknown code: its checkpoints are never used again


def _sealed(content: bytes) -> bytes:
    """Return content with its checksum in front."""
    return hashlib.blake2b(content, digest_size=_CHECKSUM_SIZE).digest() + content


def _unsealed(sealed: bytes) -> bytes | None:
    """Return the content behind a checksum; None if it is truncated or damaged."""
    content = sealed[_CHECKSUM_SIZE:]
    return content if _sealed(content) == sealed else None


class Checkpoints:
    """Checkpoints of a run, which its workers load and save.

    Parameters
    ----------
    place
        Folder of this run from :func:`~bphcoffea.execution.checkpoint_folders.folder_for`, which
        all workers must be able to reach.
    code
        The analysis's :func:`fingerprint`.
    resume
        Whether to use existing checkpoints, or only write new ones.
    """

    def __init__(self, place: str, code: str, *, resume: bool) -> None:
        self.place = place
        self.code = code
        self.resume = resume

    def prepare(self, results: Path, analysis: str) -> None:
        """Create the folder, and describe the run in it by its folder and its analysis.

        Raises
        ------
        RunError
            If the folder cannot be written, or others could have written into it.
        """
        try:
            system, path = fsspec.url_to_fs(self.place)
            self._make(system, path)
            self._check_owner(path)
            folders.describe(system, path, results, analysis)
        except folders.STORAGE_ERRORS as error:
            raise RunError(
                f"{self.place}: cannot write checkpoints there ({folders.failure_reason(error)}); "
                "choose another place for checkpoints"
            ) from None

    def _make(self, system: folders.FileSystem, path: str) -> None:
        if not system.exists(path):
            system.makedirs(path, exist_ok=True)
            if self._is_local():
                Path(path).chmod(0o700)

    def clear(self) -> None:
        """Remove all checkpoints; log a warning if that fails."""
        try:
            folders.remove(*fsspec.url_to_fs(self.place))
        except folders.STORAGE_ERRORS as error:
            _log.warning(
                "%s: the checkpoints are no longer needed, but cannot be removed (%s); "
                "remove them yourself",
                *(self.place, folders.failure_reason(error)),
            )

    def load(self, chunk: WorkItem) -> ChunkOutput | None:
        """Return the output of a chunk, marked as ``resumed``; None if missing or damaged."""
        if not self.resume:
            return None
        system, path = self._find(chunk)
        try:
            if not system.exists(path):
                return None
            self._check_owner(path)
            with system.open(path, "rb") as file:
                content = _unsealed(file.read())
        except folders.STORAGE_ERRORS:
            return None
        if content is None:
            return None
        output: ChunkOutput = cloudpickle.loads(lz4.frame.decompress(content))
        output["resumed"] = 1
        return output

    def save(self, output: ChunkOutput, chunk: WorkItem) -> None:
        """Write the checkpoint of a chunk, completely or not at all.

        A failure to write is counted as ``not_kept``; the chunk itself is not lost. Timings are not
        kept, because a run reports the work that it has done itself.
        """
        kept: ChunkOutput = {"out": output["out"], "metrics": output["metrics"]}
        content = _sealed(lz4.frame.compress(cloudpickle.dumps(kept)))
        system, path = self._find(chunk)
        part = f"{path}.{uuid.uuid4().hex}{folders.PART}"
        try:
            self._make(system, path.rpartition("/")[0])  # the disk of a worker's machine
            with system.open(part, "wb") as file:
                file.write(content)
            system.mv(part, path)
        except OSError:
            output["not_kept"] = 1

    def _find(self, chunk: WorkItem) -> tuple[folders.FileSystem, str]:
        metadata = {
            "dataset": chunk.dataset,
            "treename": chunk.treename,
            "entries": (chunk.entrystart, chunk.entrystop),
            "uuid": chunk.fileuuid.hex(),
            **(chunk.usermeta or {}),
        }
        relevant = {key: value for key, value in metadata.items() if key not in _IRRELEVANT}
        content = json.dumps([self.code, relevant], sort_keys=True, default=str)
        system, folder = fsspec.url_to_fs(self.place)
        return system, f"{folder}/{hashlib.sha256(content.encode()).hexdigest()}{folders.SUFFIX}"

    def _is_local(self) -> bool:
        return folders.local_path(self.place) is not None

    def _check_owner(self, path: str) -> None:
        if not self._is_local():
            return
        status = Path(path).stat()
        if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
            raise RunError(
                f"{path}: not read, since others may have written it; checkpoints are pickles, so "
                "their folder must belong to you, and only you may write to it"
            )
