"""Hooks of the documentation site: pages that are not in docs/, and links to files beside it.

README and the other texts of the top folder are pages as well, analyses are shown as code, and the
reference of the commands and of the fileset is made from the package itself.
"""

import json
import re
from pathlib import Path

import typer.main
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent
TEXTS = ("README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)#\s]+)(#[^)]*)?\)")


def on_files(files, config):
    """Add the pages that are not in docs/."""
    pages = {name.lower(): (ROOT / name).read_text() for name in TEXTS}
    pages |= {
        f"processors/{path.stem}.md": f"# {path.name}\n\n```python\n{path.read_text()}```\n"
        for path in sorted((ROOT / "processors").glob("[!_]*.py"))
    }
    pages["commands.md"] = commands()
    pages["fileset-schema.md"] = fileset_schema()
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return Files(files)


def on_page_markdown(markdown, page, config, files):  # noqa: ARG001 - named by mkdocs
    """Point links to files of the project at their pages; those without a page become text."""
    known = {file.src_uri for file in files}
    of_text = page.file.src_uri in {name.lower() for name in TEXTS}
    prefix = "" if of_text else "../"

    def target(match):
        text, link, anchor = match[1], match[2], match[3] or ""
        if "://" in link or (not of_text and not link.startswith("../")):
            return match[0]
        path = link.removeprefix(prefix).removeprefix("docs/")
        for uri in (path, path.lower(), re.sub(r"\.py$", ".md", path)):
            if uri in known:
                return f"[{text}]({uri}{anchor})"
        return text

    return LINK.sub(target, markdown)


def commands():
    """Return the page with the help of every command."""
    from bphcoffea.cli import app

    lines = ["# Commands", ""]
    top = typer.main.get_command(app)

    def describe(command, name):
        context = command.context_class(command, info_name=name)
        lines.extend([f"## `{name}`", "", *(command.help or "").strip().splitlines(), ""])
        if hasattr(command, "commands"):
            for child, nested in command.commands.items():
                describe(nested, f"{name} {child}")
            return
        lines.extend(["```", " ".join([name, *command.collect_usage_pieces(context)]), "```", ""])
        rows = [p.get_help_record(context) for p in command.get_params(context)]
        rows = [row for row in rows if row and row[0] != "--help"]
        if rows:
            lines.extend(["| argument or option | meaning |", "|---|---|"])
            lines.extend(f"| `{cell(a)}` | {cell(b)} |" for a, b in rows)
            lines.append("")

    describe(top, "bphcoffea")
    return "\n".join(lines)


def cell(text):
    """Return a text as the cell of a table."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def fileset_schema():
    """Return the page with the JSON schema of filesets."""
    from bphcoffea.datasets import Fileset

    schema = json.dumps(Fileset.model_json_schema(), indent=2)
    return (
        "# JSON schema of filesets\n\nA fileset that matches this schema has the right form; that "
        "its files can be read is checked by `bphcoffea fileset check`. Editors that know JSON "
        f"schemas complete and check the keys.\n\n```json\n{schema}\n```\n"
    )
