"""How the files of a fileset differ: branches that some lack, and files that are listed twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from uuid import UUID

from bphcoffea.analysis.branch_needs import BranchNeeds
from bphcoffea.datasets.file_check import FileReport
from bphcoffea.datasets.fileset import FileEntry, Fileset


@dataclass
class Comparison:
    """Result of comparing the files of a fileset.

    Attributes
    ----------
    problems
        Why the fileset must not be processed, one line each.
    notes
        Differences between files that the analysis accounts for, one line each.
    held
        For each dataset, the branches looked for that some file of it has.
    """

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)


def compare_files(
    fileset: Fileset,
    reports: Sequence[FileReport],
    needs: Mapping[str, BranchNeeds],
    unseen: Iterable[str] = (),
) -> Comparison:
    """Compare the files of each dataset, and find files that are listed twice.

    Parameters
    ----------
    fileset
        The fileset.
    reports
        Reports on its files, or on some of them. Files that can't be read, and those without
        entries, are ignored.
    needs
        Branches that the analysis needs, by dataset.
    unseen
        Datasets with files that were not opened.
    """
    found = Comparison()
    unseen = set(unseen)
    for name in fileset.names:
        own = [report for report in reports if report.file.dataset == name]
        filled = [report for report in own if report.used and report.entries]
        if any(report.unreadable for report in own):
            unseen.add(name)
        if name in needs:
            _compare_branches(name, filled, needs[name], found, is_whole=name not in unseen)
    _find_doubles(fileset, reports, found)
    return found


def _compare_branches(
    name: str,
    filled: Sequence[FileReport],
    needs: BranchNeeds,
    found: Comparison,
    *,
    is_whole: bool,
) -> None:
    total = sum(report.entries or 0 for report in filled)
    held = []
    for branch in needs.looked_for:
        without = [report for report in filled if branch not in report.held]
        if len(without) < len(filled):
            held.append(branch)
        if not without:
            continue
        nowhere = len(without) == len(filled)
        events = sum(report.entries or 0 for report in without)
        absent = (
            f"dataset '{name}': {branch} is absent from {len(without)} of {len(filled)} files "
            f"({events:,} of {total:,} events)"
        )
        if branch in needs.in_some_file and nowhere and is_whole:
            found.problems.append(
                f"dataset '{name}': no file has the branch {branch}; is the trigger path right? "
                "(see 'hlt' in the metadata of the dataset)"
            )
        elif branch in needs.in_some_file:
            # one that no file shows may be in those that were not looked at
            held += [branch] * nowhere
            found.notes.append(f"{absent}: there the path counts as not fired")
        elif branch in needs.in_all_or_none and not nowhere:
            files = ", ".join(report.file.path for report in without[:3])
            more = f" and {len(without) - 3} more" if len(without) > 3 else ""
            found.problems.append(
                f"{absent}: {files}{more}; their events would not mean the same as the others', "
                "so put those files into a dataset of their own"
            )
        elif not nowhere:
            found.notes.append(f"{absent}: there its weight is 1")
    found.held[name] = tuple(held)


def _find_doubles(fileset: Fileset, reports: Sequence[FileReport], found: Comparison) -> None:
    """Find files with the same UUID: copies, links, or one file behind two servers."""
    alike: dict[tuple[bytes, str, int], list[FileReport]] = {}
    for report in reports:
        if report.uuid and any(report.uuid) and report.entries:
            key = (report.uuid, report.file.tree, report.entries)
            alike.setdefault(key, []).append(report)
    for same in alike.values():
        for first, second in combinations(same, 2):
            names = (first.file.dataset, second.file.dataset)
            one, other = (fileset[r.file.dataset].files[r.file.path] for r in (first, second))
            if not _overlap(one, other, first.entries or 0):
                continue
            line = (
                f"dataset '{names[1]}', {second.file.path}: is the same file as "
                f"{first.file.path}"
                + (f" of dataset '{names[0]}'" if names[0] != names[1] else "")
                + f" (UUID {UUID(bytes=first.uuid)})"
            )
            if any(not fileset[name].metadata.is_mc for name in names):
                found.problems.append(f"{line}; its events would count twice: remove one of them")
            else:
                found.notes.append(f"{line}; its events count twice")


def _overlap(first: FileEntry, second: FileEntry, entries: int) -> bool:
    whole = ((0, entries),)
    return any(
        max(a, c) < min(b, d)
        for a, b in (whole if first.steps is None else first.steps)
        for c, d in (whole if second.steps is None else second.steps)
    )
