"""Nothing that is printed is cut off or wider than the terminal."""

import ast
import io
import json
import re
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from narrow import WIDTH, too_wide
from typer.testing import CliRunner

from bphcoffea import cli
from bphcoffea.cli import terminal
from bphcoffea.cli.summary import print_next, print_summary


def commands(command=None, words=()):
    """Yield the words of every command and group."""
    command = command or typer.main.get_command(cli.app)
    yield words
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, (*words, name))


@pytest.mark.parametrize("width", [WIDTH, 80])
def test_help_fits(bphcoffea, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for words in commands():
        ended = bphcoffea(*words, "-q", "--help")
        assert ended.status == 0, words
        assert too_wide(ended.out, width) == [], words


def test_help_lists_all_commands(bphcoffea):
    result = CliRunner().invoke(cli.app, ["--help"], prog_name="bphcoffea")
    assert bphcoffea("--help").out == result.output
    assert bphcoffea("fileset", "--help").out.count("check") >= 1


@pytest.mark.parametrize("word", ["status", "limit", "template"])
def test_a_call_makes_one_command(word):
    (whole, one) = (typer.main.get_command(made) for made in (cli.app, cli.application(word)))
    assert list(one.commands) == [word]
    options, all_options = (
        [parameter.name for parameter in group.commands[word].params] for group in (one, whole)
    )
    assert options == all_options


def test_outputs_fit(bphcoffea, monkeypatch, ds_phipi_run, ds_phipi_toys, tmp_path, data):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.chdir(tmp_path)
    run, fileset = ds_phipi_run.path, ds_phipi_toys / "fileset.json"
    (tmp_path / "two.json").write_text(json.dumps({"a": {}, "b": {}}))
    shown = [
        ("status", run, "--cutflow"),
        ("lumi", run),
        ("fit", run, "-o", "fit"),
        ("pick", run, "mass 1.95:1.99", "-n", "2"),
        ("plot", run, "-o", "plots", "--histogram", "phi_mass"),
        ("show", "ds_phipi"),
        ("show", "ssww_tau"),
        ("toys", "tau3mu", "-o", "toys", "--events", "20"),
        ("new", "my_analysis"),
        ("clean", "--checkpoints", tmp_path / "none"),
        ("facility", "list"),
        ("fileset", "check", fileset),
        ("fileset", "build", data, "-o", "f.json", "--name", "n", "--era", "2017B"),
        ("corrections", "show", ds_phipi_toys / "trigger.json.gz"),
        ("corrections", "convert", f"eff={data}/efficiencies.root:pt_abseta", "-o", "sf.json"),
    ]
    refused = [
        ("fit", run, "--dataset", "toy_2O17"),
        ("run", "ds_phipy", fileset, "-o", "out"),
        ("fileset", "check", "two.json"),
        ("limit", run, "--normalisation", run),
        ("export", run, "--format", "pyhf"),
        ("template", "build", run),
        ("template", "fit", tmp_path),
        ("corrections", "btag", run, "--jets", "mas", "--tagged", "M=mass", "-o", "b.json"),
        ("train", run, "-o", "trained", "--edges", "A=2"),
        ("report",),
        ("fot", run),
    ]
    for words in (*shown, *refused):
        ended = bphcoffea(*words)
        assert ended.status == (2 if words in refused else 0), (words, ended.err)
        assert ended.out + ended.err, words
        assert too_wide(ended.out + ended.err) == [], words


def test_the_summary_of_a_run_fits_and_leads_on(capsys, monkeypatch, ds_phipi_run):
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    monkeypatch.setattr("shutil.which", lambda _: None)
    monkeypatch.setattr("sys.argv", [".venv/bin/bphcoffea", "run"])
    print_summary(ds_phipi_run)
    print_next("fit", Path("my results"))
    out = capsys.readouterr().out
    assert too_wide(out) == []
    lines = out.splitlines()
    events = ds_phipi_run.read("ledger.json")["processed_events"]
    assert any(line.startswith(f"complete: {events:,} of {events:,} events in ") for line in lines)
    assert lines[-2:] == ["results: my results", "next: .venv/bin/bphcoffea fit 'my results'"]
    # each dataset: events, those after all cuts, and simulation scaled to the data
    scales = {name: record.scale for name, record in ds_phipi_run.normalisation.items()}
    for name, steps in ds_phipi_run.cutflow.items():
        (line,) = (line.split() for line in lines if line.startswith(f"{name} "))
        expected = [name, f"{steps[0]['events']:,}", f"{steps[-1]['events']:,}"]
        if name in scales:
            expected.append(f"{scales[name] * steps[-1]['sumw']:,.5g}")
        assert line == expected


def test_many_datasets_are_summed_by_process(capsys, monkeypatch, ds_phipi_run):
    monkeypatch.setattr("bphcoffea.cli.summary._MOST_DATASETS", 2)
    print_summary(ds_phipi_run)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    names = [line[0] for line in lines]
    assert not any(name in names for name in ds_phipi_run.datasets)
    of_data = [ds_phipi_run.cutflow[name] for name in ds_phipi_run.datasets.data]
    sums = [f"{sum(steps[step]['events'] for steps in of_data):,}" for step in (0, -1)]
    assert ["data", *sums] in lines
    assert set(ds_phipi_run.datasets.by_process) <= set(names)


WORDS = st.text("abcμ_", min_size=1, max_size=30)
NUMBERS = st.integers(0, 10**9).map("{:,}".format)


@given(
    rows=st.lists(st.tuples(WORDS, st.lists(NUMBERS, min_size=5, max_size=5)), max_size=3),
    columns=st.integers(1, 5),
    width=st.integers(40, 120),
)
def test_no_table_loses_anything(rows, columns, width):
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setenv("COLUMNS", str(width))
        patch.setattr("sys.stdout", stream)
        table = terminal.new_table("name", *(f"number {n}" for n in range(columns)), title="title")
        for name, numbers in rows:
            table.add_row(name, *numbers[:columns])
        terminal.show_table(table)
    text = stream.getvalue()
    assert too_wide(text, width) == []
    joined = re.sub(r"\s", "", text)
    for name, numbers in rows:
        # words may be broken, numbers may not
        assert set(name) <= set(joined)
        found = re.findall(r"[\d,]*\d", text)
        assert all(number in found for number in numbers[:columns])


@given(st.text("ab μ-/", max_size=300), st.integers(20, 80))
def test_lines_are_broken_between_words(text, width):
    with pytest.MonkeyPatch.context() as patch:
        stream = io.StringIO()
        patch.setenv("COLUMNS", str(width))
        patch.setattr("sys.stdout", stream)
        terminal.say(text)
    assert too_wide(stream.getvalue(), width) == []
    assert stream.getvalue().split() == text.split()


def test_a_pipe_gets_whole_lines(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    terminal.say("word " * 100 + "last")
    table = terminal.new_table("dataset", "events")
    table.add_row("dataset" * 30, "1")
    terminal.show_table(table)
    line, _, _, row = capsys.readouterr().out.splitlines()
    assert (line, row.split()) == ("word " * 100 + "last", ["dataset" * 30, "1"])


def test_commands_print_through_this_alone():
    """Otherwise a line would be cut off that no test above sees."""
    for path in Path(terminal.__file__).parent.glob("*.py"):
        if path.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "console.print", "typer.echo"), (path, node.lineno)
