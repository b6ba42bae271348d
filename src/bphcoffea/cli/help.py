"""Help of commands that fits into narrow terminals."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand
from typing_extensions import override

from bphcoffea.cli.terminal import terminal_width

#: Width below which columns of options would be cut off.
_COLUMNS = 80


class FittingCommand(TyperCommand):
    """Command whose help stands in plain lines where the terminal is too narrow for columns."""

    @override
    def format_help(self, ctx: Any, formatter: Any) -> None:
        if terminal_width() < _COLUMNS:
            self.rich_markup_mode = None
        super().format_help(ctx, formatter)
