"""What all commands and groups share: options of ``bphcoffea``, and help that fits."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand, TyperGroup
from typing_extensions import override

from bphcoffea.cli.terminal import terminal_width

#: Width below which columns of options would be cut off.
_COLUMNS = 80
#: Flags of ``bphcoffea`` that may also follow the command.
_FLAGS = ("debug", "quiet", "verbose")


if TYPE_CHECKING:
    _Mixin = TyperCommand
else:
    _Mixin = object


class _WithFlags(_Mixin):
    @override
    def get_params(self, ctx: Any) -> list[Any]:
        flags = [copy.copy(flag) for flag in ctx.find_root().command.params if flag.name in _FLAGS]
        for flag in flags:
            flag.hidden = True  # the help of bphcoffea names them once for all commands
        return [*flags, *super().get_params(ctx)]

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest: list[str] = super().parse_args(ctx, args)
        root = ctx.find_root()
        given = [flag for flag in _FLAGS if ctx.params.pop(flag, False)]
        if given and not ctx.resilient_parsing:
            root.params.update(dict.fromkeys(given, True))
            root.command.callback(**root.params)
        return rest


class Command(_WithFlags, TyperCommand):
    """Command whose help stands in plain lines where the terminal is too narrow for columns."""

    @override
    def format_help(self, ctx: Any, formatter: Any) -> None:
        if terminal_width() < _COLUMNS:
            self.rich_markup_mode = None
        super().format_help(ctx, formatter)


class Group(_WithFlags, TyperGroup):
    """Group of commands."""
