"""Files that are derived from a run: fits, limits, figures, exports."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from bphcoffea.errors import RunError
from bphcoffea.storage import lock_of, locked, make_folder, replacing, writing_to, written

#: File that is written last: a folder without it has no finished run.
LEDGER: Final = "ledger.json"
#: File in a separate folder of derived files that names the run they were derived from.
_SOURCE: Final = "derived_from.json"


class Derived:
    """Folder of the files derived from a run: the folder of the run or another one.

    Parameters
    ----------
    run
        Folder of a finished run.
    folder
        Folder of the derived files.

    Raises
    ------
    RunError
        If `folder` contains another run, or files derived from another run.
    """

    def __init__(self, run: Path, folder: Path) -> None:
        self._run, self.folder = run, folder
        self._ledger = (run / LEDGER).stat()
        self._is_elsewhere = folder.absolute() != run.absolute()
        self._check_source()

    def place(self, name: str) -> Path:
        """Return the path of a file: the derived one if it is up to date, else the run's own."""
        if self._is_elsewhere and self._source() == self._run_now():
            listed = written(self.folder)
            if any(name in names for names in listed.values()):
                return self.folder / name
        return self._run / name

    @contextlib.contextmanager
    def replacing(self, owner: str, also: Callable[[str], bool]) -> Iterator[Path]:
        """Replace derived files; see :meth:`~bphcoffea.results.folder.RunFolder.replacing`."""
        with contextlib.ExitStack() as stack:
            make_folder(self.folder)
            with writing_to(self.folder):
                busy = f"{self.folder}: another process writes its {owner}"
                stack.enter_context(locked(lock_of(self.folder, owner), busy))
            if self._is_elsewhere:
                self._note_source()
            with replacing(self.folder, owner, also=also, check=self._check_unchanged) as temporary:
                yield temporary

    def _note_source(self) -> None:
        """Record the run, and remove files that were derived from an earlier run in its folder."""
        now = self._run_now()
        stale = self._source() != now
        with replacing(self.folder, _SOURCE, also=lambda _: stale) as temporary:
            (temporary / _SOURCE).write_text(json.dumps(now, indent=1) + "\n")

    def _source(self) -> object:
        try:
            return json.loads((self.folder / _SOURCE).read_text())
        except (OSError, ValueError):
            return None

    def _run_now(self) -> dict[str, str]:
        content = (self._run / LEDGER).read_bytes()
        run = str(self._run.absolute())
        return {"run": run, "ledger_sha256": hashlib.sha256(content).hexdigest()}

    def _check_source(self) -> None:
        if not self._is_elsewhere:
            return
        if (self.folder / LEDGER).exists():
            raise RunError(f"{self.folder}: contains a run; choose another folder")
        source = self._source()
        if isinstance(source, dict) and source.get("run") != self._run_now()["run"]:
            raise RunError(
                f"{self.folder}: contains files derived from {source.get('run')}; "
                "choose another folder"
            )

    def _check_unchanged(self) -> None:
        try:
            unchanged = os.path.samestat((self._run / LEDGER).stat(), self._ledger)
        except OSError:
            unchanged = False
        if not unchanged:
            raise RunError(
                f"{self._run}: another run replaced this one meanwhile; repeat the command"
            )
