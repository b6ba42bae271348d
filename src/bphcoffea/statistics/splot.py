"""sWeights, which separate the components of a mass fit in any other variable of the candidates.

The method is sPlot [M. Pivk, F.R. Le Diberder, Nucl. Instrum. Meth. A 555 (2005) 356]. The other
variable must be independent of the mass within each component.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder, file_name
from bphcoffea.statistics.data_sample import CATEGORY, WEIGHT
from bphcoffea.statistics.fit_record import FitRecord
from bphcoffea.statistics.mass_fit import MassFit

if TYPE_CHECKING:
    import pyarrow as pa

#: Largest relative difference between the numbers of candidates and of fitted entries: masses are
#: rounded, so that a few at an edge of a bin may be counted on its other side.
ROUNDING = 1e-3
#: Beginning of the names of the columns with sWeights.
PREFIX = "sweight_"


def sweights(fit: MassFit, masses: Floats) -> dict[str, Floats]:
    """Return the sWeights of the fitted candidates, shape (n,), by component.

    A candidate has the weight of its bin in the fit, so that the weights of a component add up to
    its fitted yield. The squares of the weights of all candidates add up to the variance of the
    yield at fixed shapes; those of the candidates in a bin of another variable to the variance of
    the weighted content of that bin.

    Parameters
    ----------
    fit
        Valid fit.
    masses
        Masses of the fitted candidates, each of weight 1, GeV; shape (n,). Those outside the range
        of the fit have the weight 0.

    Returns
    -------
    Weights of each peak, and of ``background``, whose yield the fit did not fix.

    Raises
    ------
    FitError
        If the fit is not valid, has no free yield, or is of other candidates.
    """
    if not fit.valid:
        raise FitError(f"a fit that is not valid has no sWeights: {'; '.join(fit.problems)}")
    # 0 below the range and the highest number above it
    bins = np.searchsorted(fit.edges, masses, side="right")
    counts = np.bincount(bins, minlength=len(fit.edges) + 1)[1:-1]
    if abs(np.sum(counts) - fit.entries) > ROUNDING * fit.entries:
        raise FitError(
            f"{np.sum(counts)} of the candidates are in the range of the fit, which has "
            f"{fit.entries:g} entries: sWeights need the candidates that were fitted"
        )
    expected = fit.expected()
    yields = {name: fit.parameters[f"n_{name}"] for name in expected}
    names = [name for name, found in yields.items() if not found.fixed and found.value]
    if not names:
        raise FitError("all yields of the fit are fixed: there are no sWeights")
    total = sum(expected.values())
    fractions = np.array([expected[name] / yields[name].value for name in names])
    per_event = np.divide(fractions, total, out=np.zeros_like(fractions), where=total > 0)
    covariance = np.linalg.inv((per_event * counts) @ per_event.T)
    # a weight of 0 for candidates below and above the range
    weights = np.pad(covariance @ per_event, ((0, 0), (1, 1)))
    return {name: of_bins[bins] for name, of_bins in zip(names, weights, strict=True)}


def sweighted_candidates(run: RunFolder, record: FitRecord) -> dict[str, pa.Table]:
    """Return the tables of the fitted candidates with their sWeights, by dataset.

    Parameters
    ----------
    run
        The run that was fitted.
    record
        Its fit.

    Returns
    -------
    Columns of :meth:`RunFolder.candidates`, and ``sweight_<component>`` for each component.

    Raises
    ------
    FitError
        If :func:`sweights` raises it, the candidates are weighted, or they have no column with the
        mass.
    """
    import pyarrow as pa

    column = run.analysis.histograms[record.histogram].variable
    tables = {name: run.candidates(name) for name in record.datasets if run.has_candidates(name)}
    if record.category is not None:
        tables = {
            name: table.filter(pa.compute.equal(table[CATEGORY], record.category))
            for name, table in tables.items()
        }
    for name, table in tables.items():
        if column not in table.column_names:
            raise FitError(
                f"the candidates of {name} have no column '{column}', the fitted mass; "
                "declare it in the columns of the analysis"
            )
        if not np.all(table[WEIGHT].to_numpy() == 1):
            raise FitError(
                f"the candidates of {name} are weighted: sWeights are for data, each of weight 1"
            )
    masses = np.concatenate([np.empty(0), *(t[column].to_numpy() for t in tables.values())])
    weights = sweights(record.fit, masses)
    start = 0
    for name, table in tables.items():
        part = slice(start, start := start + len(table))
        for component, values in weights.items():
            table = table.append_column(f"{PREFIX}{component}", pa.array(values[part]))
        tables[name] = table
    return tables


def write_sweights(run: RunFolder, record: FitRecord | None, folder: str) -> list[Path]:
    """Write the tables of :func:`sweighted_candidates` into a folder of a run.

    Parameters
    ----------
    run
        The run that was fitted.
    record
        Its fit; None to remove the tables of an earlier fit only.
    folder
        Name of the folder.

    Returns
    -------
    The Parquet files, one for each dataset.
    """
    tables = {} if record is None else sweighted_candidates(run, record)
    names = {name: f"{file_name(name, run.datasets)}.parquet" for name in tables}
    with run.replacing(folder) as temporary:
        if tables:
            import pyarrow.parquet as pq

            (temporary / folder).mkdir()
            for name, table in tables.items():
                pq.write_table(table, temporary / folder / names[name])
    return [run.output / folder / name for name in names.values()]
