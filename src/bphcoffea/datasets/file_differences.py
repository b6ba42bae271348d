"""Differences between the files of a fileset: missing branches, and files listed twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from bphcoffea.analysis import BranchNeeds
from bphcoffea.datasets.dataset import FileEntry
from bphcoffea.datasets.file_check import FileReport
from bphcoffea.datasets.fileset import Fileset


@dataclass
class Comparison:
    """Result of comparing the files of a fileset.

    Attributes
    ----------
    problems
        Reasons not to process the fileset, one line each.
    notes
        Differences between files that the analysis accounts for, one line each.
    held
        Branches looked for that some file has, by dataset.
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
        Reports on all or some of its files. Unreadable files and files without entries are ignored.
    needs
        Branches that the analysis needs, by dataset.
    unseen
        Datasets with files that were not opened.
    """
    comparison = Comparison()
    unseen = set(unseen)
    for name in fileset.names:
        of_dataset = [report for report in reports if report.file.dataset == name]
        filled = [report for report in of_dataset if report.used and report.entries]
        if any(report.unreadable for report in of_dataset):
            unseen.add(name)
        if name in needs:
            _compare_branches(name, filled, needs[name], comparison, is_whole=name not in unseen)
    _find_doubles(fileset, reports, comparison)
    return comparison


def _compare_branches(
    name: str,
    filled: Sequence[FileReport],
    needs: BranchNeeds,
    comparison: Comparison,
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
            comparison.problems.append(
                f"dataset '{name}': no file has the branch {branch}; is the trigger path right? "
                "(see 'hlt' in the metadata of the dataset)"
            )
        elif branch in needs.in_some_file:
            # files that were not opened may have it
            held += [branch] * nowhere
            comparison.notes.append(f"{absent}: there the path counts as not fired")
        elif branch in needs.in_all_or_none and not nowhere:
            files = ", ".join(report.file.path for report in without[:3])
            more = f" and {len(without) - 3} more" if len(without) > 3 else ""
            comparison.problems.append(
                f"{absent}: {files}{more}; their events would be treated differently, so put "
                "those files into another dataset"
            )
        elif not nowhere:
            comparison.notes.append(f"{absent}: there its weight is 1")
    comparison.held[name] = tuple(held)


def _find_doubles(fileset: Fileset, reports: Sequence[FileReport], comparison: Comparison) -> None:
    """Find files with the same UUID: copies, links, or one file behind two servers."""
    by_identity: dict[tuple[bytes, str, int], list[FileReport]] = {}
    for report in reports:
        if report.uuid and any(report.uuid) and report.entries:
            key = (report.uuid, report.file.tree, report.entries)
            by_identity.setdefault(key, []).append(report)
    for same in by_identity.values():
        for position, second in enumerate(same):
            # one line for each file, however often it is listed
            first = next((r for r in same[:position] if _count_twice(fileset, r, second)), None)
            if first is None:
                continue
            names = (first.file.dataset, second.file.dataset)
            line = (
                f"dataset '{names[1]}', {second.file.path}: is the same file as "
                f"{first.file.path}"
                + (f" of dataset '{names[0]}'" if names[0] != names[1] else "")
                + f" (UUID {UUID(bytes=first.uuid)})"
            )
            if any(not fileset[name].metadata.is_mc for name in names):
                comparison.problems.append(
                    f"{line}; its events would count twice: remove one of them"
                )
            else:
                comparison.notes.append(f"{line}; its events count twice")


def _count_twice(fileset: Fileset, first: FileReport, second: FileReport) -> bool:
    """Return whether the same events of two equal files are requested, and not as other parts."""
    datasets = [fileset[report.file.dataset] for report in (first, second)]
    parts = {dataset.metadata.subsample for dataset in datasets}
    if len(parts) == 2 and None not in parts:
        return False
    one, other = (d.files[r.file.path] for d, r in zip(datasets, (first, second), strict=True))
    return _overlap(one, other, first.entries or 0)


def _overlap(first: FileEntry, second: FileEntry, entries: int) -> bool:
    whole = ((0, entries),)
    return any(
        max(a, c) < min(b, d)
        for a, b in (whole if first.steps is None else first.steps)
        for c, d in (whole if second.steps is None else second.steps)
    )
