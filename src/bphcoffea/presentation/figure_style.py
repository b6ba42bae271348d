"""Groups, labels and colours of figures, from a TOML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from bphcoffea.documents import faults, read_toml
from bphcoffea.errors import InputError, RunError
from bphcoffea.patterns import check_patterns, matches
from bphcoffea.presentation.labels import literal
from bphcoffea.results import DatasetRecord


def _color(text: str) -> str:
    from matplotlib.colors import is_color_like

    if not is_color_like(text):
        raise ValueError(f"'{text}' is no colour; write '#5790fc', or a name of matplotlib")
    return text


class FigureStyle(BaseModel):
    """Groups, labels and colours of figures.

    Attributes
    ----------
    groups
        Patterns of the names of datasets and processes that are drawn as one, by the label of the
        group.
    labels
        Labels of processes, datasets, regions and categories, by name.
    colors
        Colours of processes, by name or label.

    Examples
    --------
    >>> FigureStyle(colors={"top": "tab:red"}).colors["top"]
    'tab:red'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    groups: Mapping[str, tuple[str, ...]] = {}
    labels: Mapping[str, Annotated[str, AfterValidator(literal)]] = {}
    colors: Mapping[str, Annotated[str, AfterValidator(_color)]] = {}

    def label_of(self, name: str, record: DatasetRecord, *, alone: bool = False) -> str:
        """Return the label of the process of a simulated dataset.

        Parameters
        ----------
        name, record
            The dataset.
        alone
            Whether it is a hypothesis of its own, whatever its process.
        """
        process = record.process or name
        for group, patterns in self.groups.items():
            if matches(name, patterns) or matches(process, patterns):
                return literal(group)
        chosen = self.labels.get(name) or ("" if alone else self.labels.get(process, ""))
        plain = "" if alone else record.process or ""
        return chosen or record.label or plain or literal(name)

    def check(self, processes: Mapping[str, DatasetRecord], parts: Mapping[str, str]) -> None:
        """Raise an InputError if a name is none of a run; `parts` are regions and categories."""
        known = {name for of in processes.items() for name in (of[0], of[1].process) if name}
        for patterns in self.groups.values():
            check_patterns(
                sorted(known), patterns, "dataset or process", RunError, place="[groups]: "
            )
        named = sorted({*known, *parts})
        check_patterns(named, self.labels, "dataset, process or part", RunError, place="[labels]: ")
        shown = {self.label_of(name, record) for name, record in processes.items()}
        shown |= {record.label for record in processes.values() if record.label}
        colored = sorted({*known, *shown, *self.groups})
        check_patterns(colored, self.colors, "process", RunError, place="[colors]: ")


def load_style(path: str | Path) -> FigureStyle:
    """Read groups, labels and colours of figures from a TOML.

    Raises
    ------
    InputError
        If the file cannot be read, or contains anything else.
    """
    content = read_toml(path, "style file")
    try:
        return FigureStyle.model_validate(content)
    except ValidationError as error:
        raise InputError(
            "\n".join(f"{path}: {'.'.join(place)}: {text}" for place, text, _ in faults(error))
        ) from None
