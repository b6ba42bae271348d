"""What lies in a folder is safe: other files, earlier results, also on a disk that is full."""

import os
import shutil

import pytest
from builders import write_fileset
from damage import made_again

from bphcoffea import execution
from bphcoffea.cli import demo
from bphcoffea.errors import InputError
from bphcoffea.presentation.style import FIGURES, new_figure, save
from bphcoffea.results import RunFolder
from bphcoffea.results.folder import claim
from bphcoffea.storage.disks import UnwritableError

PREFIX = "bphcoffea: error: "
FULL = "not written: no space is left there; make room, or choose another folder"


@pytest.fixture
def output(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def sound(data):
    return data / "tree3mu_phipi_2017.root"


@pytest.fixture
def fileset(tmp_path):
    """Write the fileset of some files."""

    def fileset(*files, **datasets):
        return write_fileset(tmp_path / "fileset.json", datasets or {"D": files})

    return fileset


def test_a_folder_that_holds_other_files_is_left_alone(bphcoffea, fileset, sound, output):
    (output / "figures").mkdir(parents=True)
    (output / "figures" / "myplot.pdf").write_text("mine")
    where = ("-o", output, "--overwrite")
    commands = (("run", "ds_phipi", fileset(sound)), ("toys", "ds_phipi", "--events", 10))
    for command in commands:
        status, _, errors = bphcoffea(*command, *where)
        assert status == 2
        (line,) = errors
        assert line.startswith(f"{PREFIX}{output}: holds other files, and no {command[0]} ")
    assert [path.name for path in output.rglob("*")] == ["figures", "myplot.pdf"]


def test_a_second_run_into_a_folder_is_refused(bphcoffea, fileset, sound, output):
    with claim(output, overwrite=False):
        status, _, errors = bphcoffea("run", "ds_phipi", fileset(sound), "-o", output)
    assert status == 2
    (line,) = errors
    assert line.startswith(f"{PREFIX}{output}: another process writes there (host ")
    assert f"process {os.getpid()}" in line


def test_several_filesets_are_run_together(bphcoffea, fileset, sound, output, tmp_path):
    first = fileset(D=[sound]).rename(tmp_path / "first.json")
    again = made_again(sound, tmp_path / "again.root")
    second = fileset(E=[again]).rename(tmp_path / "second.json")
    arguments = ("run", "ds_phipi", "-o", output, "--executor", "iterative")
    assert bphcoffea(*arguments, first, second)[::2] == (0, [])
    assert list(RunFolder(output).cutflow) == ["D", "E"]
    third = fileset(E=[sound])
    for command in (("run", "ds_phipi", "-o", output), ("fileset", "check")):
        status, _, errors = bphcoffea(*command, first, second, third)
        assert (status, errors) == (2, [f"{PREFIX}dataset 'E': is in {second} and {third}"])


def test_derived_files_of_a_run_on_a_disk_that_is_read_only(
    bphcoffea, fileset, sound, disk, tmp_path
):
    run, elsewhere = disk.path / "run", tmp_path / "elsewhere"
    arguments = ("run", "ds_phipi", fileset(sound), "-o", run, "--executor", "iterative")
    assert bphcoffea(*arguments)[::2] == (0, [])
    # the figures of other variables are not what is asked
    RunFolder(run).write(
        "histograms.json", {"mass": RunFolder(run).read("histograms.json")["mass"]}
    )
    disk.set_read_only()
    for command in ("fit", "plot"):
        status, _, errors = bphcoffea(command, run)
        assert status == 2
        (line,) = errors
        assert line.startswith(f"{PREFIX}{run}")
        assert line.endswith("not written: it is read-only; choose another folder (--output)")
    # the 20 candidates are too few for a fit that is valid
    assert "the fit is not valid" in bphcoffea("fit", run, "-o", elsewhere)[2][0]
    assert RunFolder(run, elsewhere).read("fit.json")["histogram"] == "mass"
    status, out, errors = bphcoffea("plot", run, "-o", elsewhere)
    assert (status, errors) == (0, [])
    assert f"figures in {elsewhere / 'figures'}" in out
    assert (elsewhere / "figures" / "mass.png").is_file()
    other = shutil.copytree(run, tmp_path / "other")
    with pytest.raises(InputError, match=f"contains files derived from {run}"):
        RunFolder(other, elsewhere)
    with pytest.raises(InputError, match="contains a run; choose"):
        RunFolder(run, other)


def content_of(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_run_onto_a_full_disk_goes_on_once_there_is_room(bphcoffea, fileset, sound, disk, tmp_path):
    run = disk.path / "run"
    arguments = ("run", "ds_phipi", fileset(sound), "-o", run, "--chunksize", 100)
    arguments += ("--checkpoints", tmp_path / "kept", "--executor", "iterative")
    assert bphcoffea(*arguments)[::2] == (0, [])
    before = content_of(run)
    filler = disk.fill(leave=20_000)
    status, _, errors = bphcoffea(*arguments, "--overwrite")
    assert (status, len(errors)) == (2, 1)
    assert errors[0].startswith(f"{PREFIX}{run}")
    assert errors[0].endswith(f"{FULL}; then repeat the command with --resume")
    assert content_of(run) == before
    assert sorted(path.name for path in disk.path.iterdir()) == ["filler", "run"]
    filler.unlink()
    assert bphcoffea(*arguments, "--resume")[::2] == (0, [])
    metrics = RunFolder(run).read("metrics.json")
    assert metrics["chunks_resumed"] == RunFolder(run).read("ledger.json")["chunks"] > 1
    assert not list((tmp_path / "kept").iterdir())


def test_fit_and_figures_on_a_full_disk_leave_those_that_are_there(bphcoffea, fileset, sound, disk):
    run = disk.path / "run"
    assert bphcoffea("run", "ds_phipi", fileset(sound), "-o", run, "--workers", 1)[0] == 0
    bphcoffea("fit", run)
    opened = RunFolder(run)
    draw(opened)
    disk.fill()
    before = content_of(run)
    status, out, errors = bphcoffea("fit", run)
    assert (status, len(errors)) == (2, 1)
    assert errors[0].endswith(f"{FULL} (--output)")
    assert "mass fit" in out, "the result is shown all the same"
    with pytest.raises(UnwritableError, match=FULL):
        draw(opened)
    assert content_of(run) == before


def draw(opened):
    """Draw a figure as `plot` does."""
    with opened.replacing(FIGURES) as temporary:
        figure = new_figure()
        figure.add_subplot().plot([1, 2])
        save(figure, temporary / FIGURES, "mass")


def test_toys_on_a_full_disk_leave_those_that_are_there(bphcoffea, disk):
    toys = disk.path / "toys"
    arguments = ("toys", "ds_phipi", "-o", toys, "--events")
    assert bphcoffea(*arguments, 10)[::2] == (0, [])
    before = content_of(toys)
    status, _, errors = bphcoffea(*arguments, 10)
    assert (status, len(errors)) == (2, 1)
    assert errors[0].endswith(
        "a finished toys is there; choose another folder, or overwrite it (--overwrite)"
    )
    filler = disk.fill(leave=20_000)
    status, _, errors = bphcoffea(*arguments, 2000, "--overwrite")
    assert (status, len(errors)) == (2, 1)
    assert errors[0].startswith(f"{PREFIX}{toys}")
    assert errors[0].endswith(FULL)
    assert content_of(toys) == before
    filler.unlink()
    assert bphcoffea(*arguments, 20, "--overwrite")[::2] == (0, [])


def test_derived_files_of_a_run_that_was_replaced_meanwhile_are_refused(
    bphcoffea, fileset, sound, output
):
    arguments = ("run", "ds_phipi", fileset(sound), "-o", output, "--executor", "iterative")
    assert bphcoffea(*arguments)[0] == 0
    opened = RunFolder(output)
    assert bphcoffea(*arguments, "--overwrite")[0] == 0
    with pytest.raises(InputError, match="another run replaced this one"):
        opened.write("fit.json", {})
    assert not (output / "fit.json").exists()


def test_demo_may_be_repeated(tmp_path, monkeypatch):
    run = execution.run

    def run_one(analysis, fileset, *others):
        return run(analysis, fileset.select(["toy_2017"]), *others)

    monkeypatch.setattr(execution, "run", run_one)
    for events in (40, 50):
        results = demo._run("ds_phipi", tmp_path, events, "iterative")
    assert results.cutflow["toy_2017"][0]["events"] == 20


@pytest.mark.parametrize("place", [".", "run", "run/below"])
def test_results_are_safe_from_checkpoints(place, bphcoffea, fileset, sound, output, tmp_path):
    arguments = ("run", "ds_phipi", fileset(sound), "-o", output, "--executor", "iterative")
    status, _, errors = bphcoffea(*arguments, "--checkpoints", tmp_path / place)
    assert (status, len(errors)) == (2, 1)
    assert "cannot hold the checkpoints of a run" in errors[0]
