"""``bphcoffea template``: template models, their fits and limits."""

from __future__ import annotations

import typer

from bphcoffea.cli import template_build, template_inference

app = typer.Typer(
    no_args_is_help=True, help="Build template models from histograms of runs, and fit them."
)
for command in (
    *(template_build.build, template_build.check),
    *(template_inference.fit, template_inference.significance, template_inference.limit),
    *(template_inference.scan, template_inference.rank, template_inference.gof),
):
    app.command()(command)
