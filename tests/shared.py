"""Folders that are made once in a session of tests, by the worker that needs them first."""

import fcntl

from bphcoffea.toys import TOYS


class SharedFolders:
    """Folders that all workers of a session share; no test may change them.

    Parameters
    ----------
    top
        Folder of the session.
    """

    def __init__(self, top):
        self._top = top

    def get(self, name, make):
        """Return a folder; ``make`` fills it if no worker has done so."""
        folder, done = self._top / name, self._top / f"{name}.done"
        with (self._top / f"{name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                make(folder)
                done.touch()
        return folder

    def toys(self, analysis, events, seed):
        """Return the folder of toys."""
        name = f"{analysis}_{events}_{seed}"
        return self.get(name, lambda folder: TOYS[analysis](folder, events, seed))
