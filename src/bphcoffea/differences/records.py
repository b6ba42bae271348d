"""Records of the comparison of two runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from bphcoffea.analysis import ALL
from bphcoffea.html_table import html_table

if TYPE_CHECKING:
    import pyarrow as pa

#: First column of the row with the number of common candidates.
IN_BOTH: Final = "in both"
#: Kinds of causes, in the order of tables.
INPUT, CORRECTION, CUT, CODE, BLINDING = "input", "correction", "cut", "code", "blinding"
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class Cause:
    """Why a candidate is selected by one run and not by the other one.

    Attributes
    ----------
    kind
        ``input``, ``correction``, ``cut``, ``code``, ``blinding``, ``unknown``; or several of them,
        such as ``cut or code``, if only more information could tell.
    name
        Section of the corrections, or what differs in the input; empty for other causes.
    cut, requirement
        Name of the cut, region or step that rejects the candidate in the other run, and the text of
        the requirement that it fails; empty if unknown.
    """

    kind: str
    name: str = ""
    cut: str = ""
    requirement: str = ""

    def __str__(self) -> str:
        failed = f"{self.cut}: {self.requirement}" if self.cut else ""
        if self.kind == CUT:
            return f"cut {failed}"
        what = f"{self.kind}: {self.name}" if self.name else self.kind
        return f"{what}, at cut {failed}" if failed else what


@dataclass(frozen=True)
class GroupDifference:
    """Numbers of candidates of a dataset in two runs.

    Attributes
    ----------
    dataset
        Name of the dataset.
    group
        Region or category; ``all`` for all selected candidates.
    first, second, common
        Candidates in the first run, in the second run, and in both.
    lost, gained
        Candidates in the first run alone, and in the second run alone, by cause.
    """

    dataset: str
    group: str
    first: int
    second: int
    common: int
    lost: Mapping[Cause, int]
    gained: Mapping[Cause, int]

    @property
    def same(self) -> bool:
        """Whether both runs have the same candidates."""
        return not self.lost and not self.gained

    def rows(self) -> Iterator[tuple[str, int]]:
        """Yield the rows of a table: what is counted, and its number."""
        yield "in A", self.first
        yield "in B", self.second
        yield IN_BOTH, self.common
        for title, causes in (("lost", self.lost), ("gained", self.gained)):
            yield title, sum(causes.values())
            yield from ((f"  {cause}", number) for cause, number in causes.items())


@dataclass(frozen=True)
class ColumnDifference:
    """Values of a column that differ between two runs.

    Attributes
    ----------
    dataset, column
        Names of the dataset and of the column.
    candidates, of
        Number of common candidates whose values differ, and of all common ones.
    largest
        Largest relative difference, |a - b| / max(|a|, |b|).
    cause
        What may have caused it: what differs between the runs.
    """

    dataset: str
    column: str
    candidates: int
    of: int
    largest: float
    cause: str


@dataclass(frozen=True)
class RunComparison:
    """Comparison of the selected candidates of two runs, A and B; see :func:`.compare_runs`.

    Attributes
    ----------
    first, second
        Paths of the folders of A and B.
    made
        What differs in how the runs were made, one line each.
    groups
        Numbers of candidates by dataset and region or category.
    columns
        Columns whose values differ for candidates of both runs.
    candidates
        A row per candidate that was lost or gained: ``change``, dataset, group, numbers, place in
        the input, cause, and the values in A and B (``mass_A``, ``mass_B``).
    notes
        Remarks for the user, one line each: what could not be found out, and why.
    """

    first: str
    second: str
    made: Sequence[str]
    groups: Sequence[GroupDifference]
    columns: Sequence[ColumnDifference]
    candidates: pa.Table
    notes: Sequence[str]

    @property
    def same(self) -> bool:
        """Whether both runs have the same candidates, with the same values and weights."""
        return all(group.same for group in self.groups) and not self.columns

    def as_json(self) -> dict[str, Any]:
        """Return the comparison without the list of candidates, as data for JSON."""
        return {
            "A": self.first,
            "B": self.second,
            "same": self.same,
            "made": list(self.made),
            "groups": [_group_as_json(group) for group in self.groups],
            "columns": [asdict(column) for column in self.columns],
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        whole = [group for group in self.groups if group.group == ALL]
        common = sum(group.common for group in whole)
        lost, gained = (
            sum(sum(causes.values()) for causes in of_all)
            for of_all in ([g.lost for g in whole], [g.gained for g in whole])
        )
        counts = f"{common:,} common, {lost:,} lost, {gained:,} gained"
        return f"RunComparison('{self.first}' and '{self.second}': {counts})"

    def _repr_html_(self) -> str:
        header = ("dataset", "group", "in A", "in B", "in both", "lost", "gained")
        rows = [
            (
                *(group.dataset, group.group),
                *(f"{n:,}" for n in (group.first, group.second, group.common)),
                *(_counts_in_words(causes) for causes in (group.lost, group.gained)),
            )
            for group in self.groups
        ]
        tables = [html_table(header, rows, repr(self))]
        if self.columns:
            titles = ("dataset", "column", "candidates", "largest relative difference", "cause")
            found = [
                (c.dataset, c.column, f"{c.candidates:,}", f"{c.largest:.2g}", c.cause)
                for c in self.columns
            ]
            tables.append(html_table(titles, found, "Common candidates whose values differ"))
        return "".join(tables)


def _counts_in_words(causes: Mapping[Cause, int]) -> str:
    parts = "; ".join(f"{number:,} {cause}" for cause, number in causes.items())
    return f"{sum(causes.values()):,} ({parts})" if parts else "0"


def _group_as_json(group: GroupDifference) -> dict[str, Any]:
    sides = {"lost": group.lost, "gained": group.gained}
    by_cause = {
        side: [{**asdict(cause), "candidates": number} for cause, number in causes.items()]
        for side, causes in sides.items()
    }
    counts = {"A": group.first, "B": group.second, "common": group.common}
    return {"dataset": group.dataset, "group": group.group, **counts, **by_cause}
