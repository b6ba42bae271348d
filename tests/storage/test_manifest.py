"""Files that nobody wrote down are never replaced or removed, and one process writes at a time."""

import json
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bphcoffea.errors import InputError
from bphcoffea.storage.disks import UnwritableError, make_folder, write_file
from bphcoffea.storage.locks import is_locked, locked
from bphcoffea.storage.manifest import OccupiedError, claimed, lock_of, replacing, written

LAST = "last.json"


def write(folder, owner="run", also=lambda _: False, **contents):
    folder.mkdir(exist_ok=True)
    last = LAST if owner == "run" else ""
    with replacing(folder, owner, also=also, last=last) as temporary:
        for name, content in contents.items():
            path = temporary / name.replace("__", "/").replace("_json", ".json")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and "written.json" not in path.name
    }


def test_only_what_was_written_is_replaced(tmp_path):
    folder = tmp_path / "results"
    write(folder, last_json="1", a__x="1", a__gone="1", b__gone="1")
    write(folder, "figures", figures__mass="1")
    own = {"notes.txt": "mine", "a/mine": "mine", "figures/mine": "mine", "c/mine": "mine"}
    for name, content in own.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(content)
    write(folder, "figures", figures__other="2")
    assert files(folder).items() >= own.items()
    assert {"figures/other", "a/x", "b/gone"} <= set(files(folder))
    assert "figures/mass" not in files(folder)
    write(folder, also=lambda _: True, last_json="3", a__x="3")
    assert files(folder) == own | {"last.json": "3", "a/x": "3"}
    assert not (folder / "b").exists()
    assert written(folder) == {"run": ["a/x", "last.json"]}


def test_file_of_the_same_name_that_was_not_written_down_is_kept(tmp_path):
    for name in ("x", "x~"):
        (tmp_path / name).write_text(f"my {name}")
    (tmp_path / "a").write_text("my a")
    write(tmp_path, last_json="1", x="1", a__b="1")
    kept = {"x~": "my x~", "x~~": "my x", "a~": "my a"}
    assert files(tmp_path) == kept | {"x": "1", "a/b": "1", "last.json": "1"}


def test_failure_leaves_everything_as_it_was(tmp_path):
    write(tmp_path, last_json="1", x="1")
    before = files(tmp_path), written(tmp_path)
    with pytest.raises(TypeError):
        write(tmp_path, last_json="2", x=2)
    assert (files(tmp_path), written(tmp_path)) == before


@pytest.mark.parametrize("step", range(8))
def test_nothing_is_unlisted_wherever_a_replacement_stops(step, tmp_path, monkeypatch):
    class Stop(BaseException):
        pass

    left = step

    def counted(name):
        original = getattr(type(tmp_path), name)

        def call(self, *arguments, **options):
            nonlocal left
            if self.name not in (".run.lock", ".written.lock"):
                left -= 1
                if left < 0:
                    raise Stop
            return original(self, *arguments, **options)

        return call

    write(tmp_path, last_json="1", x="1", y="1")
    with monkeypatch.context() as patch:
        for name in ("unlink", "replace"):
            patch.setattr(type(tmp_path), name, counted(name))
        try:
            write(tmp_path, last_json="2", x="2", z="2")
        except Stop:
            found = files(tmp_path)
            if LAST in found:
                assert set(found.values()) == {"1"}, "finished, but a mixture"
            assert set(found) <= set(written(tmp_path)["run"])
    with claimed(tmp_path, "run", LAST, overwrite=True):
        write(tmp_path, last_json="3", x="3")
    assert files(tmp_path) == {"last.json": "3", "x": "3"}


def test_what_may_be_claimed(tmp_path):
    folder = tmp_path / "results"
    with claimed(folder, "run", LAST, overwrite=False):
        pass
    with claimed(folder, "run", LAST, overwrite=False):
        write(folder, last_json="1")
    with (
        pytest.raises(OccupiedError, match="a finished run is there"),
        claimed(folder, "run", LAST, overwrite=False),
    ):
        pass
    with (
        pytest.raises(InputError, match="holds other files, and no toys"),
        claimed(folder, "toys", LAST, overwrite=True),
    ):
        pass
    (tmp_path / "thesis").write_text("")
    with (
        pytest.raises(InputError, match="holds other files, and no run"),
        claimed(tmp_path, "run", LAST, overwrite=True),
    ):
        pass
    with pytest.raises(InputError, match="Not a directory"):
        claimed(tmp_path / "thesis" / "a", "run", LAST, overwrite=True).__enter__()


@pytest.mark.parametrize("names", [["../thesis"], ["/thesis"], [""], 1])
def test_manifest_that_names_files_elsewhere_is_refused(names, tmp_path):
    (tmp_path / "written.json").write_text(json.dumps({"run": names}))
    with pytest.raises(InputError, match=r"written\.json: .*choose another folder"):
        written(tmp_path)


HOLDER = """
    import sys, time
    from bphcoffea.storage.manifest import claimed

    with claimed(sys.argv[1], "run", "last.json", overwrite=False):
        print("held", flush=True)
        time.sleep(1000)
"""


def test_second_process_is_refused_until_the_first_dies(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), tmp_path], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    try:
        assert is_locked(lock_of(tmp_path, "run"))
        with (
            pytest.raises(
                InputError, match=rf"another process writes .*host .*, process {holder.pid}"
            ),
            claimed(tmp_path, "run", LAST, overwrite=True),
        ):
            pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert not is_locked(lock_of(tmp_path, "run"))
    with claimed(tmp_path, "run", LAST, overwrite=False):
        assert is_locked(lock_of(tmp_path, "run"))
    assert not list(tmp_path.iterdir())


COUNTER = """
    import sys
    from pathlib import Path
    from bphcoffea.storage.locks import locked

    path = Path(sys.argv[1])
    for _ in range(200):
        with locked(path / "lock", "counting", wait=True):
            count = path / "count"
            count.write_text(str(int(count.read_text()) + 1))
"""


def test_lock_whose_file_is_removed_each_time_never_has_two_holders(tmp_path):
    (tmp_path / "count").write_text("0")
    words = [sys.executable, "-c", textwrap.dedent(COUNTER), str(tmp_path)]
    counters = [subprocess.Popen(words) for _ in range(3)]
    assert [counter.wait() for counter in counters] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "600"


def test_places_where_nothing_can_be_written_are_named(tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(UnwritableError, match=f"^{place}: not written: a file is in its place"):
            make_folder(place)
    with pytest.raises(UnwritableError, match="file: not written: a file is in its place"):
        write_file(tmp_path / "file" / "x", b"")
    with pytest.raises(UnwritableError, match=f"^{tmp_path}: not written: it is a folder"):
        write_file(tmp_path, b"")
    if sys.platform == "linux":
        with pytest.raises(UnwritableError, match="/proc/x: not written: nothing can be made"):
            make_folder(Path("/proc/x"))
    assert write_file(tmp_path / "new" / "x", b"1").read_bytes() == b"1"


def test_a_name_that_tables_cannot_have_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not UTF-8"):
        claimed(tmp_path / "\udcff", "run", LAST, overwrite=True).__enter__()


def test_full_disk_leaves_everything_as_it_was(disk):
    write(disk.path, last_json="1", x="1")
    filler = disk.fill()
    before = files(disk.path), written(disk.path)
    with pytest.raises(UnwritableError, match="not written: no space is left there"):
        write(disk.path, last_json="2", x="2" * 100_000)
    assert (files(disk.path), written(disk.path)) == before
    filler.unlink()
    write(disk.path, last_json="2")
    assert files(disk.path) == {"last.json": "2"}


def test_disk_that_is_read_only_is_named(disk):
    write(disk.path, last_json="1")
    disk.set_read_only()
    with pytest.raises(UnwritableError, match=f"{disk.path}.*read-only"):
        write(disk.path, last_json="2")
    with pytest.raises(OSError, match="Read-only"), locked(disk.path / "lock", "writing"):
        pass
    with pytest.raises(InputError, match="Read-only"):
        claimed(disk.path, "run", LAST, overwrite=True).__enter__()
    assert files(disk.path) == {"last.json": "1"}
