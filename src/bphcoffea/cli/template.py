"""``bphcoffea template``: template models, their fits and limits."""

from __future__ import annotations

import typer

from bphcoffea.cli import template_build, template_fit

app = typer.Typer(
    no_args_is_help=True, help="Build template models from histograms of runs, and fit them."
)
for command in (
    *(template_build.build, template_build.check),
    *(template_fit.fit, template_fit.significance, template_fit.limit),
    *(template_fit.scan, template_fit.rank, template_fit.gof),
):
    app.command()(command)
