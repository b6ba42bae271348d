"""Training sample of a classifier, from the tables of a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bphcoffea.analysis import ALL, COLUMNS, FACTOR, SCORE, BlindRecord
from bphcoffea.arrays import Booleans, Floats
from bphcoffea.errors import RunError, alternatives
from bphcoffea.physics import Window, within
from bphcoffea.results import RunFolder
from bphcoffea.training.metrics import rank_correlation

_NUMBERS: Final = (pa.types.is_floating, pa.types.is_integer, pa.types.is_boolean)
#: Largest rank correlation of an input with the mass in the sidebands.
MOST_CORRELATED: Final = 0.5

Events: TypeAlias = npt.NDArray[np.uint64]
Names: TypeAlias = npt.NDArray[np.str_]


@dataclass(frozen=True)
class Sample:
    """Candidates of simulated signal and of the sidebands of data.

    Attributes
    ----------
    inputs
        Names of the inputs.
    values
        Values of the inputs, shape (n, inputs).
    signal
        Whether each candidate is simulated signal, else of the sidebands; shape (n,).
    weights
        Weights, shape (n,).
    events
        Event numbers, shape (n,).
    category
        Category of each candidate, ``all`` in an analysis without categories; shape (n,).
    mass
        Blind variable, shape (n,).
    notes
        Remarks for the user, one sentence each.
    """

    inputs: tuple[str, ...]
    values: Floats
    signal: Booleans
    weights: Floats
    events: Events
    category: Names
    mass: Floats
    notes: tuple[str, ...] = ()


def read_sample(folder: RunFolder, inputs: Sequence[str] = ()) -> Sample:
    """Read signal and sidebands from the tables of a run.

    Data in the blind windows of their category are never read, even if the run is unblinded.

    Parameters
    ----------
    folder
        The run.
    inputs
        Columns to train on. By default all columns of numbers that the tables of all datasets have,
        except the mass, its resolution, and those that are strongly correlated with the mass.

    Raises
    ------
    RunError
        If the run has no signal, data, blind windows or usable inputs, or used a classifier.
    """
    analysis, path = folder.analysis, folder.path
    if analysis.classifier:
        raise RunError(
            f"{path}: was made with a classifier, so that its tables lack rejected candidates; "
            "train on a run without one"
        )
    blind = analysis.blind
    windows = _windows(blind)
    if blind is None or not windows:
        raise RunError(
            f"{path}: no windows of a blind mass are known, and so no sidebands to train on; "
            "the analysis must declare them, or the run be blind"
        )
    datasets = folder.datasets
    signals, data = datasets.signal, datasets.data
    for names, kind in ((signals, 'simulation of kind "signal"'), (data, "data")):
        if not names:
            raise RunError(f"{path}: holds no {kind} to train on; run over a fileset that does")
    tables = {name: folder.candidates(name) for name in (*signals, *data)}
    mass = blind.variable
    lacking = sorted(
        name for name in ("event", mass) if any(name not in t.column_names for t in tables.values())
    )
    if lacking:
        raise RunError(f"{path}: the tables lack the column {', '.join(lacking)}")
    chosen = tuple(inputs) or _numbers(tables.values(), mass)
    _check_inputs(chosen, mass, tables)
    scales, notes = _scales(folder, signals)
    parts = [
        _part(table, chosen, mass, scales.get(name), windows) for name, table in tables.items()
    ]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("values", "signal", "weights", "events", "category", "mass")
    }
    sample = replace(parts[0], **arrays, notes=tuple(notes))
    if np.any(sample.weights < 0):
        raise RunError(
            f"{path}: {np.count_nonzero(sample.weights < 0)} candidates have negative weights, "
            "which XGBoost cannot use"
        )
    return _uncorrelated(sample, given=bool(inputs))


def _windows(blind: BlindRecord | None) -> dict[str, list[Window]]:
    """Return the blind windows of each category; those of ``all`` apply to all others."""
    if blind is None:
        return {}
    of_all = [*blind.windows, *blind.hidden]
    windows = {name: list(of_category) for name, of_category in blind.by_category.items()}
    return windows | ({ALL: of_all} if of_all else {})


def _numbers(tables: Iterable[pa.Table], mass: str) -> tuple[str, ...]:
    """Return the columns of numbers that all tables have, except the mass and its resolution."""
    first, *others = tables
    return tuple(
        name
        for name in first.column_names
        if name not in (*COLUMNS, mass, SCORE.name)
        and not name.startswith((FACTOR, "mass"))
        and all(name in table.column_names for table in others)
        and any(is_number(first.schema.field(name).type) for is_number in _NUMBERS)
    )


def _check_inputs(inputs: tuple[str, ...], mass: str, tables: Mapping[str, pa.Table]) -> None:
    """Raise a RunError if an input cannot be used."""
    faults = []
    if not inputs:
        faults.append("no column of numbers is left to train on")
    for name in inputs:
        if name in (mass, "mass"):
            faults.append(f"'{name}' can't be an input: the score would depend on the mass")
            continue
        if name in (*COLUMNS, SCORE.name) or name.startswith(FACTOR):
            faults.append(f"'{name}' can't be an input: simulation and data differ in it")
            continue
        faults += [
            f"dataset '{dataset}' has no column '{name}'"
            f"{alternatives(name, _numbers([table], mass))}"
            for dataset, table in tables.items()
            if name not in table.column_names
        ]
    if faults:
        raise RunError("\n".join(faults))


def _scales(folder: RunFolder, signals: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """Return the factor of the weights of each signal dataset, and notes."""
    normalisation = folder.normalisation
    scales = {name: normalisation[name].scale for name in signals if name in normalisation}
    finite = {name: scale for name, scale in scales.items() if scale is not None}
    if len(finite) == len(signals):
        return finite, []
    notes = []
    if len(signals) > 1:
        notes.append(
            "not all samples of signal can be scaled to the data, so that they are mixed in "
            "proportion to their sums of weights"
        )
    return dict.fromkeys(signals, 1.0), notes


def _part(
    table: pa.Table,
    inputs: Sequence[str],
    mass: str,
    scale: float | None,
    windows: Mapping[str, list[Window]],
) -> Sample:
    """Return the sample of one dataset: of signal, which has a scale, or of data sidebands."""
    masses = table[mass].to_numpy().astype(np.float64)
    category = np.full(len(masses), ALL)
    if "category" in table.column_names:
        category = table["category"].to_numpy(zero_copy_only=False).astype(str)
    kept = np.ones(len(masses), dtype=np.bool_)
    if scale is None:
        for name in np.unique(category):
            blind = windows.get(name) or windows.get(ALL)
            members = category == name
            # without windows the sidebands of a category are unknown
            kept[members] = ~within(masses[members], blind) if blind else False
    columns = [table[name].to_numpy(zero_copy_only=False) for name in inputs]
    return Sample(
        inputs=tuple(inputs),
        values=np.stack([column.astype(np.float64) for column in columns], axis=1)[kept],
        signal=np.full(np.count_nonzero(kept), scale is not None),
        weights=table["weight"].to_numpy()[kept] * (1.0 if scale is None else scale),
        events=table["event"].to_numpy().astype(np.uint64)[kept],
        category=category[kept],
        mass=masses[kept],
    )


def _uncorrelated(sample: Sample, *, given: bool) -> Sample:
    """Leave out inputs that are strongly correlated with the mass; raise if they were given."""
    sidebands = ~sample.signal
    strong = {
        name: value
        for name, column in zip(sample.inputs, sample.values.T, strict=True)
        if abs(value := rank_correlation(column[sidebands], sample.mass[sidebands]))
        > MOST_CORRELATED
    }
    if not strong:
        return sample
    correlations = ", ".join(f"'{name}' ({value:+.2f})" for name, value in strong.items())
    if given:
        raise RunError(
            f"strongly correlated with the mass in the sidebands: {correlations}; leave them out"
        )
    left = [number for number, name in enumerate(sample.inputs) if name not in strong]
    if not left:
        raise RunError(
            f"no input is left: all are strongly correlated with the mass: {correlations}"
        )
    return replace(
        sample,
        inputs=tuple(sample.inputs[number] for number in left),
        values=sample.values[:, left],
        notes=(*sample.notes, f"left out, as strongly correlated with the mass: {correlations}"),
    )
