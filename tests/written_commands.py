"""The commands that the documentation shows."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]


def written_commands():
    """Yield page and words of each command: whole ones in blocks, others in the text."""
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ):
        text = page.read_text()
        for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            lines = block.replace("\\\n", " ").splitlines()
            for line in lines if language in ("", "bash", "console") else ():
                if line.startswith("bphcoffea "):
                    yield page.name, shlex.split(line, comments=True)[1:], True
        for line in re.findall(r"`bphcoffea ([^`]*)`", text):
            yield page.name, shlex.split(line), False
