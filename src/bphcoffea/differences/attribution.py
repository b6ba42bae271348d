"""Causes of candidates that one run has selected and another one has not.

The causes are tried in this order: the input of the other run; its metadata; its corrections; at
last its cuts and code. A cause is found if the event is selected once this part of the other run is
replaced, beside those before it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import numpy as np
import pyarrow as pa

from bphcoffea.analysis import ALL, CLASSIFIER
from bphcoffea.arrays import Booleans, Integers
from bphcoffea.differences.changes import Changes, RecordedRun
from bphcoffea.differences.matching import NUMBERS
from bphcoffea.differences.records import (
    BLINDING,
    CODE,
    CORRECTION,
    CUT,
    INPUT,
    UNKNOWN,
    Cause,
)
from bphcoffea.differences.rereading import Rereader, Wanted
from bphcoffea.processing import BEST, Rejection, Verdict

#: Step that stands for a category that the candidate is not in.
_CATEGORY = "category"


@dataclass(frozen=True)
class Side:
    """The candidates of a dataset in one run, and their partners in the other run.

    Attributes
    ----------
    run
        The run.
    table
        Its candidates.
    partner
        Row of the same candidate in the other run, -1 without one, shape (rows,).
    """

    run: RecordedRun
    table: pa.Table
    partner: Integers

    def members(self, group: str) -> Booleans:
        """Return which candidates are in a region or category, shape (rows,)."""
        if group == ALL:
            return np.ones(self.table.num_rows, dtype=np.bool_)
        names = self.table.column_names
        if f"in_{group}" in names:
            inside: Booleans = self.table[f"in_{group}"].to_numpy().astype(np.bool_)
            return inside
        if "category" in names:
            categories = self.table["category"].to_numpy().astype(str)
            return np.asarray(categories == group)
        return np.zeros(self.table.num_rows, dtype=np.bool_)

    @property
    def groups(self) -> list[str]:
        """Regions and categories, after the group of all candidates."""
        record = self.run.analysis
        regions = [region.name for region in record.regions]
        return [ALL, *(name for name in (*regions, *record.categories) if name != ALL)]

    def missing_from(self, other: Side, group: str) -> Integers:
        """Return the rows of a group that the other run does not have in it."""
        partner = self.partner
        there = np.zeros(len(partner), dtype=np.bool_)
        paired = partner >= 0
        there[paired] = other.members(group)[partner[paired]]
        return np.flatnonzero(self.members(group) & ~there)


@dataclass
class Attributed:
    """Candidates of a dataset that the other run lacks, and why.

    Attributes
    ----------
    causes
        Cause by group and row.
    values
        Columns of the same candidate as the other run's analysis sees it, by row, if it was read.
    """

    causes: dict[str, dict[int, Cause]] = field(default_factory=dict)
    values: dict[int, Mapping[str, float]] = field(default_factory=dict)


def attribute(
    pairs: Mapping[str, tuple[Side, Side]], changes: Changes, rereader: Rereader
) -> dict[str, Attributed]:
    """Return the causes of all candidates that the second side of each dataset lacks.

    Parameters
    ----------
    pairs
        By dataset, the side that has selected the candidates and the side that lacks some.
    changes
        What differs between the runs.
    rereader
        Rereader of the run that lacks some.
    """
    lost = {
        name: {
            group: one.missing_from(other, group).tolist()
            for group in dict.fromkeys((*one.groups, *other.groups))
        }
        for name, (one, other) in pairs.items()
    }
    found = {name: Attributed({group: {} for group in lost[name]}) for name in pairs}
    wanted: dict[str, Wanted] = {}
    for name, (one, other) in pairs.items():
        rows = sorted({row for of_group in lost[name].values() for row in of_group})
        places = _places(name, one, other, rows)
        for group, of_group in lost[name].items():
            for row in of_group:
                if isinstance(place := places[row], Cause):
                    found[name].causes[group][row] = place
        readable = {r: place for r, place in places.items() if not isinstance(place, Cause)}
        wanted[name] = Wanted(one.table, list(readable), readable)
    _ladder(pairs, lost, found, wanted, changes, rereader)
    return found


def _ladder(
    pairs: Mapping[str, tuple[Side, Side]],
    lost: Mapping[str, Mapping[str, Sequence[int]]],
    found: dict[str, Attributed],
    wanted: Mapping[str, Wanted],
    changes: Changes,
    rereader: Rereader,
) -> None:
    """Find the causes of the candidates whose events the other run has read."""
    open_ = {
        (name, group, row)
        for name, groups in lost.items()
        for group, rows in groups.items()
        for row in rows
        if row not in found[name].causes[group]
    }

    def settle(unit: tuple[str, str, int], cause: Cause) -> None:
        name, group, row = unit
        found[name].causes[group][row] = cause
        open_.discard(unit)

    def still_open(datasets: Sequence[str]) -> dict[str, Wanted]:
        rows: dict[str, set[int]] = {name: set() for name in datasets}
        for name, _, row in open_:
            if name in rows:
                rows[name].add(row)
        return {name: wanted[name].only(sorted(of_name)) for name, of_name in rows.items()}

    # as it was: this names the cut
    verdicts = rereader.select(still_open(list(pairs)))
    first: dict[tuple[str, str, int], Rejection] = {}
    judged: dict[tuple[str, str, int], Verdict] = {}
    for unit in sorted(open_):
        name, group, row = unit
        verdict = verdicts.get((name, row))
        if verdict is None:
            settle(unit, _unread(name, changes))
            continue
        # of hidden data, nothing is told about another candidate than the one that is shown already
        shown = verdict.rejected is not None and verdict.instead is None
        if shown or not _hides(name, pairs[name][1].run):
            found[name].values[row] = verdict.values
        if not _same_event(pairs[name][0].table, row, verdict):
            settle(unit, Cause(INPUT, "the file holds another event at this entry"))
        elif (rejection := _rejection(verdict, group)) is None:
            settle(unit, _selected_again(name, pairs[name][1].run))
        else:
            first[unit], judged[unit] = rejection, verdict

    # with the metadata of the run that has selected it
    metadata = {
        n: pairs[n][0].run.provenance["datasets"][n] for n in pairs if changes.selecting_metadata(n)
    }
    alone = [name for name in metadata if not changes.selecting(name) and not changes.by_code]
    for unit in sorted(open_):
        if unit[0] in alone:
            settle(unit, _of(INPUT, _keys(unit[0], changes), first[unit]))
    verdicts = rereader.select(still_open(list(metadata)), metadata=metadata)
    for unit in sorted(open_):
        name, group, row = unit
        if (verdict := verdicts.get((name, row))) and _rejection(verdict, group) is None:
            settle(unit, _of(INPUT, _keys(name, changes), first[unit]))

    # and with its corrections: first each section by itself, which names it, then all of them
    sections = {name: changes.selecting(name) for name in pairs if changes.selecting(name)}
    attempts: list[dict[str, tuple[str, ...]]] = [
        {name: (section,) for name, names in sections.items() if section in names}
        for section in dict.fromkeys(s for names in sections.values() for s in names)
    ]
    for unit in sorted(open_):
        names = sections.get(unit[0], ())
        if len(names) == 1 and not changes.by_code and unit[0] not in metadata:
            settle(unit, _of(CORRECTION, names[0], first[unit]))
    if any(len(names) > 1 for names in sections.values()):
        attempts.append(sections)
    last = {unit: (first[unit], verdict) for unit in open_ if (verdict := judged.get(unit))}
    tried: set[tuple[str, str, int]] = set()
    for attempt in attempts:
        verdicts = rereader.select(
            still_open(list(attempt)), metadata=metadata or None, sections=attempt
        )
        for unit in sorted(open_):
            name, group, row = unit
            if name not in attempt or (verdict := verdicts.get((name, row))) is None:
                continue
            tried.add(unit)
            rejection = _rejection(verdict, group)
            if rejection is None:
                settle(unit, _of(CORRECTION, " and ".join(attempt[name]), first[unit]))
            elif attempt[name] == tuple(sections[name]):
                last[unit] = rejection, verdict
    for unit in sorted(open_):
        one = pairs[unit[0]][0].run
        rejection, verdict = last[unit]
        cause = _cut_or_code(rejection, verdict, one, changes)
        if unit[0] in sections and unit not in tried:
            kind = f"{CORRECTION} or {cause.kind}" if changes.by_code else CORRECTION
            cause = _of(kind, " and ".join(sections[unit[0]]), rejection)
        settle(unit, cause)


def _of(kind: str, name: str, rejection: Rejection) -> Cause:
    return Cause(kind, name, rejection.step, rejection.requirement)


def _keys(dataset: str, changes: Changes) -> str:
    return f"metadata differ ({', '.join(changes.selecting_metadata(dataset))})"


def _rejection(verdict: Verdict, group: str) -> Rejection | None:
    """Return why a candidate is not in a group; None if it is."""
    if verdict.rejected is not None or group == ALL:
        return verdict.rejected
    if group == verdict.category or verdict.regions.get(group, verdict) is None:
        return None
    if verdict.instead is not None:
        return verdict.instead
    if (rejection := verdict.regions.get(group)) is not None:
        return rejection
    return Rejection(_CATEGORY, f"is in {group}, not in {verdict.category or 'any'}")


def _cut_or_code(
    rejection: Rejection, verdict: Verdict, one: RecordedRun, changes: Changes
) -> Cause:
    """Return the cause once nothing but cuts and code is left.

    Parameters
    ----------
    rejection
        What rejects the candidate.
    verdict
        Verdict on its event.
    one
        The run that has selected it.
    changes
        What differs between the runs.
    """
    if not changes.by_code:
        return _of(UNKNOWN, "nothing that is recorded differs", rejection)
    if rejection.step == CLASSIFIER:
        return _of(CUT if changes.classifier else CODE, "", rejection)
    if rejection.step not in (_CATEGORY, BEST) and rejection.requirement not in one.texts:
        return _of(CUT, "", rejection)
    if changes.declared and verdict.instead is not None and verdict.instead.step == BEST:
        # the run that has selected the candidate may reject the better one by a cut
        return _of(f"{CUT} or {CODE}", "", rejection)
    if changes.objects:
        changed = f"{rejection.requirement}, of other objects ({', '.join(changes.objects)})"
        return Cause(CUT, "", rejection.step, changed)
    return _of(CODE, "", rejection)


def _unread(dataset: str, changes: Changes) -> Cause:
    """Return what the cause may be if the event cannot be read again."""
    sections = changes.selecting(dataset)
    kinds = [INPUT] if changes.selecting_metadata(dataset) else []
    kinds += [CORRECTION] if sections else []
    kinds += [CUT, CODE] if changes.by_code else []
    name = ""
    if kinds == [CORRECTION]:
        name = " and ".join(sections)
    elif kinds == [INPUT]:
        name = _keys(dataset, changes)
    return Cause(" or ".join(kinds) or UNKNOWN, name)


def _selected_again(dataset: str, other: RecordedRun) -> Cause:
    """Return the cause of a candidate that the other run's analysis selects, but the run lacks."""
    if _hides(dataset, other):
        return Cause(BLINDING, "the other run hides it")
    return Cause(UNKNOWN, "the other run's analysis selects it now")


def _hides(dataset: str, run: RecordedRun) -> bool:
    """Return whether a run hides candidates of a dataset."""
    blind, is_mc = run.analysis.blind, run.provenance["datasets"][dataset]["is_mc"]
    return blind is not None and blind.blinded and not is_mc


def _same_event(table: pa.Table, row: int, verdict: Verdict) -> bool:
    """Return whether the event that was read has the numbers of the candidate."""
    names = [name for name in NUMBERS if name in table.column_names and name in verdict.numbers]
    return all(table[name][row].as_py() == verdict.numbers[name] for name in names)


def _places(
    dataset: str, one: Side, other: Side, rows: Sequence[int]
) -> dict[int, tuple[str, int] | Cause]:
    """Return where the other run has read each candidate, or why it has not."""
    ranges = other.run.ranges.get(dataset)
    if ranges is None:
        if dataset in other.run.provenance["datasets"]:
            return dict.fromkeys(rows, Cause(INPUT, "nothing of the dataset was read"))
        return dict.fromkeys(rows, Cause(INPUT, "the dataset is not in the run"))
    if not {"file", "entry"} <= set(one.table.column_names):
        return dict.fromkeys(rows, Cause(UNKNOWN, "the tables hold no files and entries"))
    known = _same_files(dataset, one, other)
    files, entries = (one.table[name].to_pylist() for name in ("file", "entry"))
    places: dict[int, tuple[str, int] | Cause] = {}
    for row in rows:
        partner = int(one.partner[row])
        if partner >= 0:
            places[row] = (
                other.table["file"][partner].as_py(),
                other.table["entry"][partner].as_py(),
            )
            continue
        file, entry = known.get(files[row]), entries[row]
        if file is None:
            failed = (dataset, files[row]) in other.run.failed
            why = "could not be read" if failed else "was not read"
            places[row] = Cause(INPUT, f"the file {why}")
        elif any(start <= entry < stop for start, stop in ranges[file]):
            places[row] = (file, entry)
        elif (dataset, file) in other.run.failed:
            places[row] = Cause(INPUT, "reading the entries failed")
        else:
            places[row] = Cause(INPUT, "the entries were not read")
    return places


def _same_files(dataset: str, one: Side, other: Side) -> dict[str, str]:
    """Return the file of the other run for each file of one run that it has read.

    Files have the same path, or hold common events at the same entries, or have the same name.
    """
    files = one.run.ranges.get(dataset, {})
    others = {file: file for file in other.run.ranges[dataset]}
    known = {file: others[file] for file in files if file in others}
    paired = np.flatnonzero(one.partner >= 0)
    if len(known) < len(files) and len(paired) and "file" in other.table.column_names:
        mine, theirs = (
            t.take(pa.array(rows)).select(["file", "entry"]).to_pylist()
            for t, rows in ((one.table, paired), (other.table, one.partner[paired]))
        )
        both = Counter(
            (a["file"], b["file"])
            for a, b in zip(mine, theirs, strict=True)
            if a["file"] not in known and b["file"] in others and a["entry"] == b["entry"]
        )
        known |= {a: b for (a, b), _ in reversed(both.most_common())}
    left = [file for file in others if file not in known.values()]
    for file in (file for file in files if file not in known):
        alike = [each for each in left if _name(each) == _name(file)]
        if len(alike) == 1 and sum(_name(each) == _name(file) for each in files) == 1:
            known[file] = alike[0]
    return known


def _name(file: str) -> str:
    return PurePosixPath(file.partition("?")[0]).name
