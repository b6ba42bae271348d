"""``bphcoffea template``: template fits of a workspace."""

from __future__ import annotations

import typer

from bphcoffea.cli import template_fit

app = typer.Typer(
    no_args_is_help=True, help="Fit the templates of a workspace, and set limits with it."
)
for command in (
    *(template_fit.fit, template_fit.significance, template_fit.limit),
    *(template_fit.scan, template_fit.rank, template_fit.gof),
):
    app.command()(command)
