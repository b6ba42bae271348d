"""The documentation builds, its links lead somewhere, and its commands work."""

import json
import logging
import re
import shlex
import shutil
from pathlib import Path

import jsonschema
import pytest
import typer
from small_runs import leave_few_histograms, small_copy
from written_commands import written_commands

from bphcoffea.cli import app
from bphcoffea.execution import find_analysis
from bphcoffea.facilities import available_facilities
from bphcoffea.toys import TOYS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Fewer events than a reader makes show the same.
FEWER = "10000"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the site generator about itself
def test_the_site_builds_without_a_warning(tmp_path, monkeypatch):
    """Strictly: a link or an anchor that leads nowhere is an error."""
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    # handlers of other tests would print its messages
    monkeypatch.setattr(logging.getLogger("mkdocs"), "propagate", False)
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"))
    build(config)
    pages = {path.name for path in (tmp_path / "site").glob("*.html")}
    assert {f"{path.stem}.html" for path in DOCS.glob("*.md")} <= pages
    commands = (tmp_path / "site" / "commands.html").read_text()
    assert "bphcoffea fileset build" in commands
    assert "--chunksize" in commands


def commands_of(page):
    """Return the commands of the blocks that a page marks to be run."""
    blocks = re.findall(r"<!-- run -->\n```\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.slow
def test_the_tutorial_leads_to_a_limit(bphcoffea, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in commands_of("tutorial.md"):
        match shlex.split(command.replace("40000", FEWER)):
            case ["bphcoffea", *words]:
                if words[0] == "plot":
                    leave_few_histograms(Path(words[1]))
                ended = bphcoffea(*words)
                assert ended.status == 0, (command, ended.err)
            case ["cp", "$(bphcoffea", "show", name, "--path)", target]:
                shown = bphcoffea("show", name, "--path").out.strip()
                assert Path(shown) == find_analysis(name)
                Path(target).write_text(Path(shown).read_text())
            case ["sed", "-i", script, file]:
                _, old, new, _ = script.split("/")
                text = Path(file).read_text()
                assert old in text
                Path(file).write_text(text.replace(old, new))
            case other:
                pytest.fail(f"what is {other}?")
    assert (tmp_path / "phi" / "figures" / "mass.png").is_file()
    limit = json.loads((tmp_path / "tau" / "limit.json").read_text())
    assert limit["limits"]
    fits = [json.loads((tmp_path / run / "fit.json").read_text()) for run in ("phi", "tight")]
    wide, tight = (fit["parameters"]["n_ds"]["value"] for fit in fits)
    assert 0 < tight < wide


COMMANDS = typer.main.get_command(app)


def parsed(words):
    """The command that words name, and the rest of them."""
    command, rest = COMMANDS, list(words)
    while rest and (below := getattr(command, "commands", {}).get(rest[0])):
        command = below
        rest.pop(0)
    return command, rest


@pytest.mark.parametrize(
    ("page", "words", "whole"),
    [pytest.param(*each, id=f"{each[0]}: {' '.join(each[1])}") for each in written_commands()],
)
def test_a_written_command_exists_with_its_options(page, words, whole, monkeypatch):
    command, rest = parsed(words)
    parameters = (*command.params, *COMMANDS.params)
    options = {option for parameter in parameters for option in parameter.opts}
    options |= {option for parameter in command.params for option in parameter.secondary_opts}
    options |= {"--help"}
    unknown = [word for word in rest if word.startswith("-") and word not in options]
    assert unknown == [], f"bphcoffea {command.name} has no {unknown}"
    if not whole:
        assert command.name in words or command.name is None or not words or rest
        return
    # as for a user who types it, but nothing is run: wrong values are errors
    context = command.make_context(command.name, rest)
    monkeypatch.chdir(ROOT)
    if (analysis := context.params.get("analysis")) and not str(analysis).endswith(".py"):
        assert analysis in TOYS if command.name == "toys" else find_analysis(analysis)
    facility = context.params.get("facility")
    assert facility is None or facility.endswith(".toml") or facility in available_facilities()
    for word in rest:
        assert not word.startswith("datasets/") or Path(word).is_file(), "no such shipped fileset"


#: Commands on the folder `results` that are run; others of the pages take longer, or other input.
RUN = ("fit", "lumi", "status", "pick", "fileset check", "facility list")
NOT_RUN = ("--region", "--checksum", "--sweights", "voigtian")


def test_commands_on_results_work(bphcoffea, tmp_path, monkeypatch, ds_phipi_run, ds_phipi_toys):
    """The folder `results`, of the fileset `run2.json`, is a run over toys."""
    monkeypatch.chdir(tmp_path)
    small_copy(ds_phipi_run, tmp_path / "results", without=())
    content = json.loads((ds_phipi_toys / "fileset.json").read_text())
    for dataset in content.values():
        files = dataset["files"].items()
        dataset["files"] = {str(ds_phipi_toys / file): tree for file, tree in files}
    (tmp_path / "run2.json").write_text(json.dumps(content))
    shutil.copy(ds_phipi_toys / "luminosity.csv", tmp_path / "CSV")
    done = set()
    for page, words, whole in written_commands():
        line = shlex.join(words).replace("2017B", "toy_2017").replace("2017*", "toy_2017*")
        of_results = " results" in line or " run2.json" in line or line == "facility list"
        left_out = line in done or any(option in words for option in NOT_RUN)
        if whole and line.startswith(RUN) and of_results and not left_out:
            done.add(line)
            ended = bphcoffea(*shlex.split(line))
            assert ended.status == 0, (page, line, ended.err)
    assert all(any(line.startswith(command) for line in done) for command in RUN)


def test_the_example_for_users_of_rdataframe_works(bphcoffea, tmp_path):
    text = (DOCS / "from-rdataframe.md").read_text()
    (block,) = re.findall(r"```python\n# bphcoffea\n(.*?)```", text, re.DOTALL)
    (tmp_path / "two_muons.py").write_text(block)
    ended = bphcoffea("show", tmp_path / "two_muons.py")
    assert ended.status == 0, ended.err
    assert "Events with two good muons" in ended.out


@pytest.mark.parametrize("path", sorted((ROOT / "datasets").glob("*.json")), ids=lambda p: p.stem)
def test_shipped_filesets_match_the_schema(path):
    from bphcoffea.datasets import Fileset

    schema = Fileset.model_json_schema()
    jsonschema.validate(json.loads(path.read_text()), schema)
    broken = json.loads(path.read_text())
    next(iter(broken.values()))["metadata"].pop("era")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)
