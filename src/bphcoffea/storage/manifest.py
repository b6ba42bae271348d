"""Record of the files that were written into a folder: only these are replaced later.

The folder's ``written.json`` lists the files that each owner wrote; owners are ``run``,
``figures``, ``fit.json`` and so on.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from bphcoffea.errors import InputError
from bphcoffea.storage.disks import write_whole, writing_to
from bphcoffea.storage.locks import locked

#: File of a folder that lists what was written into it.
MANIFEST: Final = "written.json"
#: Beginning of the name of the folder where the files of an owner are written at first.
_TEMPORARY: Final = ".writing-"
#: End of the names of locks.
_LOCK: Final = ".lock"

Owned = dict[str, list[str]]


class OccupiedError(InputError):
    """A folder holds a finished result, which was not to be replaced."""


def written(folder: Path) -> Owned:
    """Read the files that were written into a folder, by owner; empty if there is no record.

    Raises
    ------
    InputError
        If ``written.json`` can't be read, or lists paths outside the folder.
    """
    path = folder / MANIFEST
    try:
        owned = json.loads(path.read_text())
        faulty = not all(_is_inside(name) for names in owned.values() for name in names)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); choose another folder") from None
    if faulty:
        raise InputError(f"{path}: lists files outside its folder; choose another folder")
    return {owner: list(names) for owner, names in owned.items()}


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def lock_of(folder: Path, owner: str) -> Path:
    """File of the lock that an owner holds while it writes into a folder."""
    return folder / f".{owner}{_LOCK}"


@contextlib.contextmanager
def claimed(path: str | Path, owner: str, last: str, *, overwrite: bool) -> Iterator[Path]:
    """Make a folder, and keep it from others for as long as results are made for it.

    Parameters
    ----------
    path
        The folder.
    owner
        What it is for: ``run`` or ``toys``.
    last
        The file that makes a result finished.
    overwrite
        Whether a finished result may be replaced.

    Raises
    ------
    InputError
        If it can't be written to, another process has it, or it holds anything but an earlier
        result of that owner.
    OccupiedError
        If it holds a finished result that was not to be replaced.
    """
    folder = Path(path)
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            busy = f"{folder}: another process writes there"
            stack.enter_context(locked(lock_of(folder, owner), busy))
        except OSError as error:
            raise InputError(
                f"{folder}: cannot write there ({error.strerror}); choose another folder"
            ) from None
        _check_free(folder, owner, last, overwrite=overwrite)
        yield folder


def _check_free(folder: Path, owner: str, last: str, *, overwrite: bool) -> None:
    names = [path.name for path in folder.iterdir() if not _is_ours_for_now(path.name)]
    owned = written(folder)
    if names and owner not in owned:
        raise InputError(
            f"{folder}: holds other files, and no {owner} ({MANIFEST} lists none); "
            "choose another folder"
        )
    if (folder / last).exists() and not overwrite:
        raise OccupiedError(
            f"{folder}: a finished {owner} is there; choose another folder, or overwrite it"
        )


def _is_ours_for_now(name: str) -> bool:
    return (
        name.startswith(_TEMPORARY)
        or (name.startswith(".") and name.endswith(_LOCK))
        or name == f".{MANIFEST}.part"
    )


def mark(folder: Path, owner: str) -> None:
    """Write down that a folder is an owner's, before anything else is written into it."""
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
    """Write files into a folder, all or none, in place of those that the owner wrote before.

    Yields a temporary folder. If the block ends well its files move to the folder; if it fails, the
    folder stays as it was. A file of the same name that nobody wrote down is kept, with ``~``
    appended to its name.

    Parameters
    ----------
    folder
        The folder; only one process at a time may write for an owner.
    owner
        Whose files they are.
    also
        Says of other owners whether their files are removed as well.
    last
        The file that is removed first and moved last: a folder without it holds no result.
    check
        Called before the first change; raises if the folder must stay as it is.

    Raises
    ------
    UnwritableError
        If the disk is full or read-only, or permission is denied.
    """
    temporary = folder / f"{_TEMPORARY}{owner}"
    with writing_to(folder, temporary):
        # left by a process that died
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
    # whatever happens from here on, no file of ours is unlisted
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
    """Remove a file, and the folders below ``folder`` that are empty then."""
    path = folder / name
    if path.is_file() or path.is_symlink():
        path.unlink()
    for above in path.parents[: len(PurePosixPath(name).parts) - 1]:
        with contextlib.suppress(OSError):
            above.rmdir()


def _make_room(folder: Path, name: str, listed: set[str]) -> None:
    """Make the folders of a file, and move aside what is in its place but is none of ours."""
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
