"""Mass fits as parametric models of RooFit: a workspace, a datacard of Combine, and HS3.

ROOT makes them, of its own PDFs. It is imported when a model is written; only Linux has it as a
package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from bphcoffea.arrays import Floats
from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder, file_name
from bphcoffea.statistics.datacards import DATA, Card, Column
from bphcoffea.statistics.fit_record import FitRecord
from bphcoffea.statistics.mass_fit import MassFit, Tail
from bphcoffea.statistics.mass_shapes import BACKGROUND, TAIL_PARAMETERS, background_parameters
from bphcoffea.statistics.roofit import (
    SIGMAS,
    WORKSPACE,
    RooFitObjects,
    digits,
    identifier,
    load_root,
    quiet,
)
from bphcoffea.statistics.run_histograms import of_datasets
from bphcoffea.statistics.search import PARAMETRIC
from bphcoffea.statistics.spectrum import Spectrum

#: Names in a workspace: the mass in GeV, the sum of the components, and its product with the
#: constraints.
MASS, MODEL, CONSTRAINED = "mass", "model", "constrained_model"
#: Classes of the peaks without the prefix ``Roo``. That of one tail is not the general one, which
#: RooFit cannot read back from HS3.
PEAKS: Final = {
    "crystal_ball": "CBShape",
    "double_crystal_ball": "CrystalBall",
    "gaussian": "Gaussian",
    "voigtian": "Voigtian",
}
#: Shapes that HS3 does not know.
NOT_IN_HS3: Final = ("voigtian",)


def write_roofit_models(run: RunFolder, record: FitRecord | None = None) -> list[Path]:
    """Write the mass fits of a run as parametric models into its folder ``parametric``.

    There is a model of the whole spectrum, named after the histogram, and one for each further fit
    of the record; each consists of the files that :func:`write_roofit_model` writes.

    Parameters
    ----------
    run
        The run.
    record
        Its fit; by default that in its ``fit.json``.

    Raises
    ------
    RunError
        If the run was not fitted.
    FitError
        If ROOT is not installed, a fit is not valid, or the fitted candidates are weighted.
    """
    record = FitRecord.of_run(run) if record is None else record
    load_root()
    histogram = run.histograms()[record.histogram]
    fits = {record.histogram: record}
    fits |= {f"{record.histogram}_{group}": fit for group, fit in record.by.items()}
    written = []
    with run.replacing(PARAMETRIC) as temporary:
        folder = temporary / PARAMETRIC
        folder.mkdir()
        for name, of_part in fits.items():
            simulation = of_part.nominal.simulation or record.nominal.simulation
            tail = Tail.of((found.fit for found in simulation.values()), "simulation")
            total = of_datasets(histogram, of_part.datasets, of_part.category)
            spectrum = Spectrum.of(total, of_part.fit.model)
            if not of_part.fit.valid:
                raise FitError(f"the fit of {name} is not valid: {'; '.join(of_part.fit.problems)}")
            if spectrum.weighted:
                raise FitError(
                    f"the candidates of {name} are weighted: a parametric model needs data, each "
                    "of weight 1"
                )
            path = folder / file_name(name, fits)
            written += write_roofit_model(of_part.fit, spectrum.counts, path, tail)
    return [run.output / PARAMETRIC / path.name for path in written]


def write_roofit_model(
    fit: MassFit, counts: Floats, path: Path, tail: Tail | None = None
) -> list[Path]:
    """Write a mass fit as a workspace of RooFit, a datacard that uses it, and HS3.

    The workspace has a PDF for each component, ``model``, their extended sum, the data as
    `RooDataHist` ``data_obs``, and ``constrained_model``, the product with the constraints of the
    tail; parameters have the names and values of ``fit.parameters``. The strength of the datacard
    is the yield of the first peak relative to the fitted one.

    Parameters
    ----------
    fit
        Valid fit.
    counts
        Fitted counts, shape (bins,).
    path
        Path of the files without extension.
    tail
        Tail of simulation that constrained the fit.

    Returns
    -------
    Paths of ``.root``, ``.txt`` and, if HS3 knows the shape of the peaks, ``.json``.

    Raises
    ------
    FitError
        If ROOT is not installed.
    """
    root, channel = load_root(), identifier(path.name)
    files = [path.with_name(path.name + ending) for ending in (".root", ".txt", ".json")]
    with quiet(root):
        workspace = root.RooWorkspace(WORKSPACE)
        constrained = _Builder(workspace, fit, channel).build(counts, tail)
        if not workspace.writeToFile(str(files[0])):
            raise OSError(f"{files[0]}: not written")
        files[1].write_text(_card(fit, channel, files[0].name, constrained), encoding="utf-8")
        if fit.model.shape in NOT_IN_HS3:
            return files[:2]
        root.RooJSONFactoryWSTool(workspace).exportJSON(str(files[2]))
    return files


class _Builder(RooFitObjects):
    """Objects of a mass fit."""

    def __init__(self, workspace: Any, fit: MassFit, channel: str) -> None:
        super().__init__(workspace)
        self.fit, self.channel = fit, channel

    def build(self, counts: Floats, tail: Tail | None) -> list[str]:
        """Make model and data; return the names of the constrained parameters."""
        fit, low, high = self.fit, *self.fit.range
        self.make(f"{MASS}[{digits(low)},{digits(high)}]")
        constrained = self._tail(tail) if tail is not None else []
        for name, found in fit.parameters.items():
            if self.workspace.function(name):  # part of the tail
                continue
            limits = (
                ""
                if found.limits is None
                else f",{digits(found.limits[0])},{digits(found.limits[1])}"
            )
            self.make(f"{name}[{digits(found.value)}{limits}]")
            if found.error is not None:
                self.workspace.var(name).setError(found.error)
        parts = [f"n_{name}*{self._pdf(name)}" for name in _components(fit)]
        self.make(f"SUM::{MODEL}({','.join(parts)})")
        gaussians = [f"Gaussian::constraint_{name}({name},0,1)" for name in constrained]
        self.make(f"PROD::{CONSTRAINED}({','.join([MODEL, *gaussians])})")
        for name in _components(fit)[1:]:
            # where Combine looks for the yield of a PDF
            self.make(f"expr::{name}_{self.channel}_norm('@0',{{n_{name}}})")
        self.add_data(MASS, f"{DATA}_{self.channel}", self.fit.edges, counts)
        return constrained

    def _pdf(self, name: str) -> str:
        """Make the PDF of a component, and return its name."""
        model, full = self.fit.model, f"{name}_{self.channel}"
        if name == BACKGROUND:
            shape = background_parameters(model)
            if model.background == "exponential":
                self.make(f"Exponential::{full}({MASS},{shape[0]})")
                return full
            # recursive fractions, see `mass_shapes`
            texts = [
                "*".join([*([f"@{i - 1}"] if i else []), *(f"(1-@{k})" for k in range(end))])
                for i, end in enumerate([len(shape), *range(len(shape))])
            ]
            for index, text in enumerate(texts):
                self.make(f"expr::bernstein_part_{index}('{text}',{{{','.join(shape)}}})")
            parts = ",".join(f"bernstein_part_{index}" for index in range(len(texts)))
            self.make(f"Bernstein::{full}({MASS},{{{parts}}})")
            return full
        tails = [parameter for pair in TAIL_PARAMETERS[model.shape] for parameter in pair]
        widths = [f"sigma_{name}"]
        if model.shape == "voigtian":
            widths.insert(0, f"gamma_{name}")
        arguments = ",".join([MASS, f"mean_{name}", *widths, *tails])
        self.make(f"{PEAKS[model.shape]}::{full}({arguments})")
        return full

    def _tail(self, tail: Tail) -> list[str]:
        """Make the constrained parameters of the tail of uncorrelated ones; return these."""
        found = self.fit.parameters
        free = [name for name in tail.names if not found[name].fixed]
        if not free:
            return []
        mean, covariance = _conditional(tail, free, found)
        lower = np.linalg.cholesky(covariance)
        pulls = np.linalg.solve(lower, [found[name].value for name in free] - mean)
        names = [f"tail_{index + 1}" for index in range(len(free))]
        for name, pull in zip(names, pulls, strict=True):
            limit = max(SIGMAS, 2 * abs(pull))
            self.make(f"{name}[{digits(pull)},{digits(-limit)},{digits(limit)}]")
        for name, center, row in zip(free, mean, lower, strict=True):
            terms = "+".join(f"({digits(x)})*@{index}" for index, x in enumerate(row))
            text = f"{digits(center)}+{terms}"
            if limits := found[name].limits:
                text = f"max({digits(limits[0])},min({digits(limits[1])},{text}))"
            self.make(f"expr::{name}('{text}',{{{','.join(names)}}})")
        return names


def _conditional(
    tail: Tail, free: Sequence[str], found: Mapping[str, Any]
) -> tuple[Floats, Floats]:
    """Return mean and covariance of some constrained parameters if the fit fixed the others."""
    place = [tail.names.index(name) for name in free]
    others = [index for index in range(len(tail.names)) if index not in place]
    means = np.array([tail.values[name] for name in tail.names])
    precision = np.linalg.inv(np.array(tail.covariance))
    covariance: Floats = np.linalg.inv(precision[np.ix_(place, place)]).astype(np.float64)
    away = np.array([found[tail.names[index]].value for index in others]) - means[others]
    mean: Floats = means[place] - covariance @ precision[np.ix_(place, others)] @ away
    return mean, covariance


def _components(fit: MassFit) -> list[str]:
    """Return the names of the components whose yield is not fixed to 0."""
    names = [peak.name for peak in fit.model.peaks]
    present = {n: fit.parameters[f"n_{n}"] for n in (*names, BACKGROUND)}
    return [name for name, found in present.items() if found.value or not found.fixed]


def _card(fit: MassFit, channel: str, file: str, constrained: Sequence[str]) -> str:
    """Return the text of a datacard whose processes are PDFs of a workspace."""
    first, *others = _components(fit)
    # the strength multiplies the yield of the first peak
    strength = max(fit.parameters[f"n_{first}"].value, 1.0)
    columns = [Column(channel, first, 0, f"{strength:.10g}")]
    columns += [Column(channel, name, place + 1, "1") for place, name in enumerate(others)]
    card = Card({channel: "-1"}, columns, digits=6, width=16)
    text = card.text(f"shapes * * {file} {WORKSPACE}:$PROCESS_$CHANNEL", "-" * 20)
    return text + "".join(f"{name} param 0 1\n" for name in constrained)
