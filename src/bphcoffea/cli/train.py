"""``bphcoffea train``: a classifier of signal and sidebands."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

import typer

from bphcoffea import presentation, results, training
from bphcoffea.cli.arguments import Output, RunDirectory
from bphcoffea.cli.status import note_missing_events
from bphcoffea.cli.terminal import new_table, say, show_table
from bphcoffea.errors import InputError


def train(
    directory: RunDirectory,
    output: Output,
    folds: Annotated[int, typer.Option(min=2, help="Number of models.")] = 5,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            metavar="NAME",
            help="Column of the tables to train on; may be repeated. By default all suitable ones.",
        ),
    ] = None,
    bins: Annotated[
        int, typer.Option(min=1, help="Bins of the score per category, chosen by Σ s²/b.")
    ] = 2,
    edges: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CATEGORY=LOW,...",
            help="Lower bin edges of a category (all=LOW,... without categories) to use instead.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random numbers.")] = 0,
) -> None:
    """Train a classifier on the signal and the data sidebands of a run, for `run --classifier`."""
    run = results.RunFolder(directory)
    edges_by_category = dict(_parsed_edges(text) for text in edges or ())
    trained = training.train_run(
        run, inputs or (), folds=folds, bins=bins, edges=edges_by_category, seed=seed
    )
    classifier = trained.write(output)
    datasets = run.datasets
    data = presentation.Heading.of(datasets[name] for name in datasets.data)
    presentation.plot_training(trained, data, output)
    _print_training(trained.as_json())
    say(f"classifier: {classifier.source}")
    note_missing_events(run)


def _parsed_edges(text: str) -> tuple[str, tuple[float, ...]]:
    category, _, values = text.rpartition("=")
    try:
        edges = tuple(float(value) for value in values.split(","))
    except ValueError:
        edges = ()
    ascending = all(low < high for low, high in pairwise(edges))
    if not category or not edges or not ascending or edges[0] < 0 or edges[-1] >= 1:
        raise InputError(
            f"--edges {text}: write CATEGORY=LOW,... with ascending edges from 0 on and below 1"
        )
    return category, edges


def _print_training(result: Mapping[str, Any]) -> None:
    """Print how well a trained classifier separates, and the bins of its score."""
    say(f"trained on {result['signal']:,} signal and {result['sidebands']:,} sideband candidates")
    auc_train, auc_test = result["auc"]["train"], result["auc"]["test"]
    say(f"AUC {auc_test:.4f} ({auc_train:.4f} for candidates that were seen in training)")
    shares = sorted(result["importances"].items(), key=lambda item: -item[1])
    say(f"importances: {', '.join(f'{name} {100 * share:.0f}%' for name, share in shares)}")
    correlation = result["correlation_with_mass"]["all"]
    say(f"rank correlation of score and mass in the sidebands: {correlation:+.3f}")
    table = new_table("category", "from score", "signal", "sidebands", title="Bins")
    for name, bins in result["bins"].items():
        rows = zip(bins["edges"], bins["signal_fractions"], bins["sidebands"], strict=True)
        for number, (edge, fraction, count) in enumerate(reversed(list(rows)), 1):
            category = f"{'' if name == 'all' else name}{number}"
            table.add_row(category, f"{edge:g}", f"{100 * fraction:.1f}%", f"{count:,}")
    show_table(table)
    for note in result["notes"]:
        say(f"note: {note}")
