"""Record of the files that were written into a folder, so that only these are replaced later.

``written.json`` in the folder lists the files by owner: ``run``, ``figures``, ``fit.json`` …
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from bphcoffea.documents import read_json
from bphcoffea.errors import FacilityError
from bphcoffea.local_files import is_text
from bphcoffea.storage.disks import write_whole, writing_to
from bphcoffea.storage.locks import locked

#: Name of the record.
MANIFEST: Final = "written.json"
#: Prefix of the folder where the files of an owner are written first.
_TEMPORARY: Final = ".writing-"
#: Suffix of locks.
_LOCK: Final = ".lock"

#: Paths of files, relative to their folder, by owner.
Owned = dict[str, list[str]]


class OccupiedError(FacilityError):
    """A folder holds a finished result that may not be replaced."""


def written(folder: Path) -> Owned:
    """Return the files that were written into a folder, by owner; empty if there is no record.

    Raises
    ------
    FacilityError
        If ``written.json`` cannot be read, or lists paths outside the folder.
    """
    path = folder / MANIFEST
    try:
        if not path.exists():
            return {}
        owned: Owned = read_json(path, error=FacilityError)
        is_faulty = not all(_is_inside(name) for names in owned.values() for name in names)
    except (OSError, AttributeError, TypeError) as error:
        raise FacilityError(f"{path}: cannot be read ({error}); choose another folder") from None
    if is_faulty:
        raise FacilityError(f"{path}: lists files outside its folder; choose another folder")
    return owned


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def lock_of(folder: Path, owner: str) -> Path:
    """Return the file of the lock that an owner holds while it writes into a folder."""
    return folder / f".{owner}{_LOCK}"


@contextlib.contextmanager
def claimed(path: str | Path, owner: str, last: str, *, overwrite: bool) -> Iterator[Path]:
    """Create a folder, and lock it while results are made for it.

    Parameters
    ----------
    path
        The folder.
    owner
        Owner of the result: ``run`` or ``toys``.
    last
        File that is written last: a folder with it holds a finished result.
    overwrite
        If true, a finished result may be replaced.

    Raises
    ------
    FacilityError
        If the folder is not writable, is locked, or holds anything but an earlier result of the
        owner.
    OccupiedError
        If the folder holds a finished result and `overwrite` is false.
    """
    folder = Path(path)
    if not is_text(folder):
        raise FacilityError(f"{folder}: is not UTF-8, or not in this locale; choose another name")
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            busy = f"{folder}: another process writes there"
            stack.enter_context(locked(lock_of(folder, owner), busy))
        except OSError as error:
            raise FacilityError(
                f"{folder}: cannot write there ({error.strerror}); choose another folder"
            ) from None
        _check_free(folder, owner, last, overwrite=overwrite)
        yield folder


def _check_free(folder: Path, owner: str, last: str, *, overwrite: bool) -> None:
    names = [path.name for path in folder.iterdir() if not _is_temporary(path.name)]
    if names and owner not in written(folder):
        raise FacilityError(
            f"{folder}: holds other files, and no {owner} ({MANIFEST} lists none); "
            "choose another folder"
        )
    if (folder / last).exists() and not overwrite:
        raise OccupiedError(
            f"{folder}: a finished {owner} is there; choose another folder, or overwrite it"
        )


def _is_temporary(name: str) -> bool:
    return (
        name.startswith(_TEMPORARY)
        or (name.startswith(".") and name.endswith(_LOCK))
        or name == f".{MANIFEST}.part"
    )


def mark(folder: Path, owner: str) -> None:
    """Record that a folder belongs to an owner, before anything else is written into it."""
    owned = written(folder)
    if owner not in owned:
        with writing_to(folder):
            _write(folder, owned | {owner: []})


@contextlib.contextmanager
def replacing(
    folder: Path,
    owner: str,
    *,
    also: Callable[[str], bool] = lambda _: False,
    last: str = "",
    check: Callable[[], None] = lambda: None,
) -> Iterator[Path]:
    """Write files into a folder, all or none, replacing the earlier files of their owner.

    Yields a temporary folder. If the block succeeds, its files move to the folder; if it fails, the
    folder is unchanged. A file of the same name that is not recorded is kept, with ``~`` appended
    to its name.

    Parameters
    ----------
    folder
        The folder; only one process at a time may write for an owner.
    owner
        Owner of the files.
    also
        Returns whether the files of another owner are removed as well.
    last
        File that is removed first and moved last: a folder without it holds no result.
    check
        Called before the first change; raises if the folder must not change.

    Raises
    ------
    UnwritableError
        If the disk is full or read-only, or permission is denied.
    """
    temporary = folder / f"{_TEMPORARY}{owner}"
    with writing_to(folder, temporary):
        # left behind by a process that died
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            yield temporary
            with locked(folder / f".written{_LOCK}", f"{folder}: files are replaced", wait=True):
                check()
                _replace(folder, temporary, owner, also, last)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _replace(
    folder: Path, temporary: Path, owner: str, also: Callable[[str], bool], last: str
) -> None:
    new = [p.relative_to(temporary).as_posix() for p in temporary.rglob("*") if p.is_file()]
    new.sort(key=lambda name: (name == last, name))
    before = written(folder)
    listed = {name for names in before.values() for name in names}
    gone = {other for other in before if other == owner or also(other)}
    after = {other: names for other, names in before.items() if other not in gone}
    if new:
        after[owner] = sorted(new)
    # whatever happens from here on, every file that was written is recorded
    _write(folder, before | {owner: sorted({*before.get(owner, ()), *new})})
    (temporary / MANIFEST).write_bytes(_as_json(after))
    old = {name for other in gone for name in before[other]} - set().union(*after.values(), ())
    for name in sorted(old | ({last} & listed), key=lambda name: name != last):
        _remove(folder, name)
    for name in new:
        if name == last:
            (temporary / MANIFEST).replace(folder / MANIFEST)
        _make_room(folder, name, listed)
        (temporary / name).replace(folder / name)
    if last not in new:
        (temporary / MANIFEST).replace(folder / MANIFEST)


def _remove(folder: Path, name: str) -> None:
    """Remove a file, and the parents below ``folder`` that become empty."""
    path = folder / name
    if path.is_file() or path.is_symlink():
        path.unlink()
    for above in path.parents[: len(PurePosixPath(name).parts) - 1]:
        with contextlib.suppress(OSError):
            above.rmdir()


def _make_room(folder: Path, name: str, listed: set[str]) -> None:
    """Create the parents of a file, and rename unrecorded files and folders in its place."""
    parts = PurePosixPath(name).parts
    for end in range(1, len(parts)):
        above = folder.joinpath(*parts[:end])
        if above.exists() and not above.is_dir():
            _keep(above)
        above.mkdir(exist_ok=True)
    path = folder / name
    if path.is_dir() or (path.exists() and name not in listed):
        _keep(path)


def _keep(path: Path) -> None:
    kept = path.with_name(f"{path.name}~")
    while kept.exists():
        kept = kept.with_name(f"{kept.name}~")
    path.rename(kept)


def _write(folder: Path, owned: Mapping[str, list[str]]) -> None:
    write_whole(folder / MANIFEST, _as_json(owned))


def _as_json(owned: Mapping[str, list[str]]) -> bytes:
    return (json.dumps(dict(sorted(owned.items())), indent=1) + "\n").encode()
