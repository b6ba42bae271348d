"""An analysis to start from works, and so does its test."""

import subprocess
import sys
import textwrap

import pytest

from bphcoffea.execution import load_analysis

#: Runs the test twice in one process, since starting one takes seconds: it notices a lost cut.
TWICE = """
    import sys
    from pathlib import Path

    import pytest

    analysis, test = sys.argv[1:]
    words = ["-q", "-p", "no:cacheprovider", analysis, test]
    passed = pytest.main(words)
    text = Path(analysis).read_text()
    Path(analysis).write_text(text.replace("> 3 for", "> 2 for"))
    print(int(passed), int(pytest.main(words)))
"""


def python(*words, cwd):
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=cwd)


def test_what_is_written_works_and_is_tidy(bphcoffea, tmp_path):
    ended = bphcoffea("new", "bs_mumu", "-o", tmp_path / "mine")
    assert ended.status == 0, ended.err
    files = [tmp_path / "mine" / name for name in ("bs_mumu.py", "test_bs_mumu.py")]
    assert all(str(file) in ended.out for file in files)
    assert load_analysis(str(files[0])).describe().title == "Bs mumu"
    for check in (["check"], ["format", "--check"]):
        done = python("-m", "ruff", *check, *files, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
    done = python("-c", textwrap.dedent(TWICE), *files, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "0 1", done.stdout + done.stderr


@pytest.mark.parametrize("name", ["Bs", "2mu", "a b", "ds→φ", "../x", ""])
def test_names_that_cannot_be_modules_are_told(bphcoffea, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = bphcoffea("new", name)
    assert ended.status == 2
    assert "lower-case letters" in ended.err
    assert not list(tmp_path.iterdir())


def test_nothing_is_replaced_unasked(bphcoffea, tmp_path):
    (tmp_path / "test_mine.py").write_text("precious")
    ended = bphcoffea("new", "mine", "-o", tmp_path)
    assert (ended.status, "exists already (--overwrite)" in ended.err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]
    assert bphcoffea("new", "mine", "-o", tmp_path, "--overwrite").status == 0
    assert (tmp_path / "test_mine.py").read_text() != "precious"
