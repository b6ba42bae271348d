"""Figures of a trained classifier: ROC curve, and scores in training and test samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bphcoffea.arrays import Floats
from bphcoffea.presentation import style
from bphcoffea.presentation.colors import BLUE, RED
from bphcoffea.storage import replacing
from bphcoffea.training import Scores, Training, roc_curve

#: Number of bins of the score.
BINS = 25


@style.cms_style()
def draw_roc(training: Training, heading: style.Heading) -> Figure:
    """Draw sideband rejection against signal efficiency."""
    figure = style.new_figure(10, 10)
    axes = figure.add_subplot()
    for test, sample, line in ((False, "seen in training", "--"), (True, "not seen", "-")):
        scored = training.scored(test=test)
        signal, background = roc_curve(scored.signal, scored.background)
        axes.plot(
            signal,
            1 - background,
            line,
            color=BLUE if test else RED,
            linewidth=2.5,
            label=f"Candidates {sample}: AUC {scored.area:.4f}",
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.05)
    axes.set_xlabel("Signal efficiency")
    axes.set_ylabel("Sideband rejection")
    axes.legend(loc="lower left", fontsize=style.SMALL)
    heading.above(axes)
    return figure


@style.cms_style()
def draw_overtraining(training: Training, heading: style.Heading) -> Figure:
    """Draw the scores of signal and sidebands, seen in training and not.

    The p-value of the Kolmogorov-Smirnov test is the smallest of all folds, times their number.
    """
    figure = style.new_figure(10, 10)
    axes = figure.add_subplot()
    train, test = training.scored(test=False), training.scored(test=True)
    folds = training.as_json()["folds"]
    edges = np.linspace(0, 1, BINS + 1)
    largest = 0.0
    for name, label, color, trained, tested in (
        ("signal", "Simulated signal", BLUE, train.signal, test.signal),
        ("background", "Sidebands", RED, train.background, test.background),
    ):
        seen, _ = _density(trained, edges)
        p_value = min(1.0, len(folds) * min(fold[f"ks_{name}"] for fold in folds))
        style.steps(
            axes,
            seen,
            edges,
            fill=True,
            color=color,
            alpha=0.35,
            label=f"{label}, seen in training",
        )
        density, error = _density(tested, edges)
        filled = density > 0
        axes.errorbar(
            ((edges[1:] + edges[:-1]) / 2)[filled],
            density[filled],
            yerr=error[filled],
            fmt="o",
            color=color,
            markersize=5,
            label=f"{label}, not seen (KS p = {p_value:.2g})",
        )
        largest = max(largest, float(np.max(seen)), float(np.max(density + error)))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.4 * largest)
    axes.set_xlabel("Classifier score")
    axes.set_ylabel("Density")
    axes.legend(loc="upper center", fontsize=style.SMALL)
    heading.above(axes)
    return figure


def _density(scores: Scores, edges: Floats) -> tuple[Floats, Floats]:
    """Return the density of scores in bins and its statistical error, each of shape (bins,)."""
    content, _ = np.histogram(scores.values, edges, weights=scores.weights)
    squares, _ = np.histogram(scores.values, edges, weights=np.square(scores.weights))
    scale = np.sum(scores.weights) * np.diff(edges)
    return content / scale, np.sqrt(squares) / scale


@style.cms_style()
def plot_training(training: Training, heading: style.Heading, folder: Path) -> list[Path]:
    """Draw the figures of a training into ``figures`` below a folder, and return their paths."""
    with replacing(folder, style.FIGURES) as temporary:
        paths = style.save(draw_roc(training, heading), temporary / style.FIGURES, "roc")
        paths += style.save(
            draw_overtraining(training, heading), temporary / style.FIGURES, "overtraining"
        )
    return [folder / style.FIGURES / path.name for path in paths]
