"""Comparison of the selected candidates of two runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from bphcoffea.analysis import ALL
from bphcoffea.differences.attribution import Attributed, Side, attribute
from bphcoffea.differences.changes import Changes, RecordedRun
from bphcoffea.differences.matching import NUMBERS, PLACE, match
from bphcoffea.differences.records import (
    Cause,
    ColumnDifference,
    GroupDifference,
    RunComparison,
)
from bphcoffea.differences.rereading import Rereader, value_columns
from bphcoffea.errors import RunError
from bphcoffea.patterns import chosen
from bphcoffea.processing import relative_difference
from bphcoffea.results import RunFolder

#: Columns of weights begin so.
_WEIGHT = "weight"


def compare_runs(
    first: RunFolder | str | Path,
    second: RunFolder | str | Path,
    *,
    datasets: Sequence[str] = (),
    tolerance: float = 1e-9,
    reread: bool = True,
) -> RunComparison:
    """Compare the selected candidates of two runs, and find the cause of each difference.

    Candidates that the second run, B, lacks are lost, and those that the first run, A, lacks are
    gained. To find out which requirement rejects them, their events are read again with the
    analysis of the run that lacks them, which runs its code.

    Parameters
    ----------
    first, second
        Runs A and B, or their folders.
    datasets
        Names of datasets, or glob patterns; all by default.
    tolerance
        Relative difference up to which values of common candidates are the same.
    reread
        Whether events may be read again. Else the causes remain open that only this can tell.

    Raises
    ------
    RunError
        If a folder has no finished run, neither run has a table of candidates, or no dataset
        matches a pattern.

    Examples
    --------
    >>> from bphcoffea import compare_runs
    >>> comparison = compare_runs("before", "after")  # doctest: +SKIP
    >>> comparison.groups[0].lost  # doctest: +SKIP
    {Cause(kind='cut', name='', cut='track', requirement='track_pt > 1.4 GeV'): 310}
    """
    folders = [run if isinstance(run, RunFolder) else RunFolder(run) for run in (first, second)]
    runs = [RecordedRun(folder) for folder in folders]
    changes = Changes.between(*runs)
    names = _datasets(folders, datasets)
    pairs = {name: _sides(runs, name) for name in names}
    with Rereader(runs[1], runs[0], enabled=reread) as rereader:
        lost = attribute(pairs, changes, rereader)
        faults = dict(rereader.faults)
    with Rereader(runs[0], runs[1], enabled=reread) as rereader:
        turned = {name: (other, one) for name, (one, other) in pairs.items()}
        gained = attribute(turned, changes, rereader)
        faults |= rereader.faults
    return RunComparison(
        first=str(folders[0].path),
        second=str(folders[1].path),
        made=[*changes.lines(), *_fileset_line(runs)],
        groups=[
            group
            for name, (one, other) in pairs.items()
            for group in _groups(name, one, other, lost[name], gained[name])
        ],
        columns=[
            column
            for name, (one, other) in pairs.items()
            for column in _columns(name, one, other, changes, tolerance)
        ],
        candidates=_candidates(pairs, lost, gained),
        notes=[*faults, *_column_notes(pairs)],
    )


def _datasets(folders: Sequence[RunFolder], patterns: Sequence[str]) -> list[str]:
    """Return the chosen datasets of which a run has a table of candidates."""
    found = [[n for n in folder.datasets if folder.has_candidates(n)] for folder in folders]
    names = list(dict.fromkeys(name for of_run in found for name in of_run))
    if not names:
        places = " and ".join(str(folder.path) for folder in folders)
        raise RunError(f"{places}: no dataset has a table of candidates")
    return list(chosen(names, patterns, "dataset", RunError, place=f"{folders[0].path}: "))


def _sides(runs: Sequence[RecordedRun], dataset: str) -> tuple[Side, Side]:
    tables = [
        run.folder.candidates(dataset)
        if dataset in run.provenance["datasets"] and run.folder.has_candidates(dataset)
        else None
        for run in runs
    ]
    filled = [table for table in tables if table is not None]
    first, second = (filled[0].slice(0, 0) if table is None else table for table in tables)
    matched = match(first, second)
    partners = [np.full(table.num_rows, -1, dtype=np.int64) for table in (first, second)]
    partners[0][matched.first] = matched.second
    partners[1][matched.second] = matched.first
    return Side(runs[0], first, partners[0]), Side(runs[1], second, partners[1])


def _groups(
    dataset: str, one: Side, other: Side, lost: Attributed, gained: Attributed
) -> Iterator[GroupDifference]:
    for group in dict.fromkeys((*one.groups, *other.groups)):
        first, second = (int(np.count_nonzero(side.members(group))) for side in (one, other))
        of_lost, of_gained = (Counter(found.causes[group].values()) for found in (lost, gained))
        yield GroupDifference(
            dataset=dataset,
            group=group,
            first=first,
            second=second,
            common=first - of_lost.total(),
            lost=dict(of_lost.most_common()),
            gained=dict(of_gained.most_common()),
        )


def _columns(
    dataset: str, one: Side, other: Side, changes: Changes, tolerance: float
) -> Iterator[ColumnDifference]:
    """Yield the columns whose values differ for common candidates."""
    rows = np.flatnonzero(one.partner >= 0)
    tables = one.table.take(pa.array(rows)), other.table.take(pa.array(one.partner[rows]))
    numbers = [
        [*value_columns(t), *(n for n in t.column_names if n.startswith(_WEIGHT))] for t in tables
    ]
    for name in (name for name in numbers[0] if name in numbers[1]):
        values = [table[name].to_numpy().astype(np.float64) for table in tables]
        differences = relative_difference(*values)
        count = int(np.count_nonzero(differences > tolerance))
        if count:
            largest, cause = float(np.max(differences)), _changed_by(name, dataset, changes)
            yield ColumnDifference(dataset, name, count, len(rows), largest, cause)


def _changed_by(column: str, dataset: str, changes: Changes) -> str:
    """Return what may have changed a column, from what differs between the runs."""
    sections = changes.sections.get(dataset, ())
    factor = column.removeprefix(f"{_WEIGHT}_")
    of_factor = [s for s in sections if factor in (s, s.rpartition(".")[2])]
    if column == _WEIGHT:
        of_factor = list(sections)
    sections = tuple(of_factor) if of_factor else changes.selecting(dataset)
    causes = [f"correction {' and '.join(sections)}"] if sections else []
    if keys := changes.selecting_metadata(dataset):
        causes.append(f"input (metadata: {', '.join(keys)})")
    if changes.by_code:
        # with other cuts, another candidate of the event may be the best one
        causes += ["cut", "code"] if changes.declared and not of_factor else ["code"]
    return " or ".join(causes) or "unknown"


def _column_notes(pairs: Mapping[str, tuple[Side, Side]]) -> Iterator[str]:
    """Yield a line with the columns that only one run has."""
    for title, mine, theirs in (("A", 0, 1), ("B", 1, 0)):
        only = dict.fromkeys(
            name
            for sides in pairs.values()
            for name in sides[mine].table.column_names
            if name not in sides[theirs].table.column_names
        )
        if only:
            yield f"only the tables of {title} have the columns {', '.join(only)}"


def _fileset_line(runs: Sequence[RecordedRun]) -> Iterator[str]:
    first, second = ({(d, f) for d, fs in run.ranges.items() for f in fs} for run in runs)
    if runs[0].provenance["fileset_sha256"] == runs[1].provenance["fileset_sha256"]:
        return
    counts = [(len(only), title) for only, title in ((first - second, "A"), (second - first, "B"))]
    parts = [
        f"; {n:,} {'path' if n == 1 else 'paths'} of files only in {title}"
        for n, title in counts
        if n
    ]
    yield f"input: the fileset{''.join(parts)}"


def _candidates(
    pairs: Mapping[str, tuple[Side, Side]],
    lost: Mapping[str, Attributed],
    gained: Mapping[str, Attributed],
) -> pa.Table:
    """Return the table of lost and gained candidates."""
    rows: list[dict[str, Any]] = []
    for name, (one, other) in pairs.items():
        rows += _rows(name, "lost", one, lost[name], ("A", "B"))
        rows += _rows(name, "gained", other, gained[name], ("B", "A"))
    columns = dict.fromkeys((*_LISTED, *(key for row in rows for key in row)))
    arrays = {
        name: pa.array((row.get(name) for row in rows), _LISTED.get(name)) for name in columns
    }
    return pa.table(arrays)


#: First columns of the list of candidates, and their types.
_LISTED: Final[dict[str, pa.DataType]] = {
    **dict.fromkeys(("change", "dataset", "group"), pa.string()),
    **dict(zip(NUMBERS, (pa.int64(), pa.int64(), pa.uint64()), strict=True)),
    **dict(zip(PLACE, (pa.string(), pa.int64()), strict=True)),
    **dict.fromkeys(Cause.__dataclass_fields__, pa.string()),
}


def _rows(
    dataset: str, change: str, side: Side, found: Attributed, titles: tuple[str, str]
) -> Iterator[dict[str, Any]]:
    """Yield a row per candidate, and a further one per group that only a common one has left."""
    causes = {
        (row, group): cause
        for group, of_group in found.causes.items()
        for row, cause in of_group.items()
        if group == ALL or side.partner[row] >= 0
    }
    if not causes:
        return
    mine, theirs = titles
    places = [name for name in (*NUMBERS, *PLACE) if name in side.table.column_names]
    values = value_columns(side.table)
    taken = sorted({row for row, _ in causes})
    known = side.table.take(pa.array(taken)).select([*places, *values]).to_pylist()
    by_row = dict(zip(taken, known, strict=True))
    for (row, group), cause in sorted(causes.items(), key=lambda item: item[0]):
        here = by_row[row]
        there = found.values.get(row, {})
        yield {
            "change": change,
            "dataset": dataset,
            "group": group,
            **{name: here[name] for name in places},
            **{name: getattr(cause, name) for name in Cause.__dataclass_fields__},
            **{f"{name}_{mine}": here[name] for name in values},
            **{f"{name}_{theirs}": there.get(name) for name in values},
        }
