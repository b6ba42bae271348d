"""``bphcoffea template``: models of templates."""

from __future__ import annotations

import typer

from bphcoffea.cli import template_build

app = typer.Typer(
    no_args_is_help=True, help="Build and check template models from histograms of runs."
)
for command in (template_build.build, template_build.check):
    app.command()(command)
