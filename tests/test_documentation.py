"""The documentation builds, its links lead somewhere, and its commands work."""

import json
import logging
import re
import shlex
from pathlib import Path

import jsonschema
import pytest

from bphcoffea.execution import find_analysis

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
#: Fewer events than a reader makes show the same.
FEWER = "16000"


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
