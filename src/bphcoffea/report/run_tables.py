"""Tables of a report about the run itself: what was read, how fast, and how it was made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from bphcoffea.report.tables import Row, Table, number, pairs, share
from bphcoffea.results import RunFolder

#: Keys of ``metrics.json`` with totals, and what a row of them is.
WORK: Final = {
    "by_dataset": "dataset",
    "by_worker": "worker",
    "by_site": "site",
    "by_file": "file",
}


def completeness_tables(ledger: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the events of each dataset, and the entries that are missing or were hard to read."""
    rows: list[Row] = []
    for name, counts in ledger["datasets"].items():
        expected, processed = counts["expected_events"], counts["processed_events"]
        rows.append(
            (
                *(name, counts["dataset_events"], expected, processed, expected - processed),
                counts["uncounted_files"],
            )
        )
    header = ("dataset", "in all", "expected", "processed", "missing", "files not counted")
    yield Table("Events of each dataset", header, rows)
    if failed := ledger["failed"]:
        lost = [(f["file"], f["dataset"], *_range(f), f["attempts"], f["error"]) for f in failed]
        columns = ("file", "dataset", "entries", "tries", "reason")
        yield Table("Missing entries", columns, lost)
    if detours := ledger["detours"]:
        read: list[Row] = [
            (d["file"], d["dataset"], *_range(d), d["used"], d["attempts"], d["error"])
            for d in detours
        ]
        places = ("file", "dataset", "entries", "read from", "tries", "first error")
        yield Table("Entries that were read after an error", places, read)


def throughput_tables(metrics: Mapping[str, Any]) -> Iterator[Table]:
    """Yield the work of a run, in total and by dataset, worker, site and file."""
    yield pairs(
        "Work of the run",
        ("quantity", "value"),
        (
            ("executor", f"{metrics['executor']}, {metrics['workers']} workers"),
            ("whole run", f"{metrics['run_s']:.1f} s"),
            ("chunks", f"{metrics['chunks']:,} in {metrics['wall_s']:.1f} s"),
            ("events per second", f"{metrics['events_per_s']:,.0f}"),
            ("read", f"{metrics['bytes_read'] / 1e6:,.1f} MB"),
            ("highest memory of a worker", f"{metrics['peak_rss_mb']:,.0f} MB"),
            ("resumed chunks", f"{metrics['chunks_resumed']:,}"),
        ),
    )
    header = ("chunks", "events", "s", "events/s", "in input", "MB/s", "CPU", "memory [MB]")
    for key, kind in WORK.items():
        rows = [
            (
                *(name, total["chunks"], total["events"], number(total["wall_s"], ".1f")),
                number(total["events_per_s"], ",.0f"),
                share(total["input_s"], total["wall_s"]),
                number(total["bytes_per_s"] / 1e6, ".1f"),
                number(total["cpu_fraction"], ".0%"),
                number(total["peak_rss_mb"], ",.0f"),
            )
            for name, total in metrics[key].items()
        ]
        yield Table(f"Work by {kind}", (kind, *header), rows)


def provenance_tables(run: RunFolder, content: Mapping[str, Any]) -> Iterator[Table]:
    """Yield how a run was made, from the content of its ``provenance.json``."""
    header = ("quantity", "value")
    analysis = content["analysis"]
    yield pairs(
        "How the run was made",
        header,
        (
            ("command", " ".join(content["command"])),
            ("started", content["started"]),
            ("finished", content["finished"]),
            ("analysis", f"{analysis['name']}, {analysis['file']}"),
            ("SHA-256 of the analysis", analysis["sha256"]),
            ("SHA-256 with imported files", analysis.get("with_imported_sha256")),
            ("git commit of the analysis", analysis.get("git_commit")),
            ("SHA-256 of the fileset", content["fileset_sha256"]),
            ("classifier", content.get("classifier") and content["classifier"].get("name")),
        ),
    )
    datasets: list[Row] = [
        (
            *(name, "simulation" if of.is_mc else "data", of.era, of.kind),
            *(of.process or "", of.label or ""),
        )
        for name, of in run.fileset_metadata.items()
    ]
    columns = ("dataset", "kind", "era", "role", "process", "label")
    yield Table("Datasets", columns, datasets)
    files = [
        (f"{era['name']}: {place}", file["file"], file["sha256"])
        for era in content["corrections"]
        for place, file in _files(era)
    ]
    if files:
        yield Table("Corrections", ("correction", "file", "SHA-256"), files)
    versions = {"python": content["python"], **content["packages"]}
    yield pairs("Versions", ("package", "version"), versions.items())
    yield pairs("Options", ("option", "value"), _flat(content["options"]))


def _range(entry: Mapping[str, Any]) -> tuple[str]:
    return ("all" if entry["stop"] is None else f"{entry['start']:,}–{entry['stop']:,}",)


def _files(content: Any, place: str = "") -> Iterator[tuple[str, Mapping[str, str]]]:
    """Yield all files with their hashes in the record of corrections, and where they stand."""
    if isinstance(content, Mapping):
        if "file" in content and "sha256" in content:
            yield place or "declaration", {key: str(content[key]) for key in ("file", "sha256")}
        for name, part in content.items():
            yield from _files(part, f"{place} {name}".strip())
    elif isinstance(content, list):
        for part in content:
            yield from _files(part, place)


def _flat(content: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, object]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{place}{name} ")
        else:
            yield f"{place}{name}", value
