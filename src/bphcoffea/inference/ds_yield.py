"""How many Ds decays a search would see: from the yield of Ds → φ(μμ)π in the same data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from bphcoffea.analysis.histograms import NOMINAL
from bphcoffea.errors import InputError
from bphcoffea.execution.folder import RunFolder

#: Branching fractions of φ → μμ and Ds → φπ [PDG].
PHI_TO_MUONS: Final = 2.86e-4
DS_TO_PHI_PI: Final = 0.045
#: What a fit calls the yield, and a fileset the simulation, of the normalisation channel.
YIELD, PROCESS = "n_ds", "ds_phipi"


@dataclass(frozen=True)
class DsYield:
    """The normalisation of a search in Ds decays.

    Attributes
    ----------
    fitted, fitted_error
        Ds → φ(μμ)π in the data.
    efficiency, efficiency_error
        Part of the simulated decays that is selected and lies in the range of the fit; the error is
        statistical.
    prompt, prompt_error
        Part of the Ds that is produced promptly, as the simulated signal is.
    """

    fitted: float
    fitted_error: float
    efficiency: float
    efficiency_error: float
    prompt: float = 1.0
    prompt_error: float = 0.0

    @property
    def decays(self) -> float:
        """Prompt Ds that decayed in any way: N·f/[B(φ→μμ)·B(Ds→φπ)·ε]."""
        return self.fitted * self.prompt / (PHI_TO_MUONS * DS_TO_PHI_PI * self.efficiency)

    def uncertainties(self) -> dict[str, float]:
        """Relative uncertainties of :attr:`decays`, by their sources."""
        relative = {
            "ds_yield": self.fitted_error / self.fitted,
            "ds_efficiency": self.efficiency_error / self.efficiency,
            "f_prompt": self.prompt_error / self.prompt,
        }
        return {name: value for name, value in relative.items() if value > 0}

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``limit.json``."""
        return {**asdict(self), "decays": self.decays, "uncertainties": self.uncertainties()}

    @classmethod
    def of_run(cls, run: RunFolder, prompt: float = 1.0, prompt_error: float = 0.0) -> DsYield:
        """Of a run of Ds → φπ that was fitted.

        Parameters
        ----------
        run
            Its folder: with ``fit.json``, and simulation whose ``process`` is ``ds_phipi``.
        prompt, prompt_error
            As above; they are not measured here.

        Raises
        ------
        InputError
            When the run was not fitted, has no such simulation, or a number is not positive.
        """
        if not 0 < prompt <= 1:
            raise InputError(f"--f-prompt {prompt:g}: a fraction lies between 0 and 1")
        if not (run.path / "fit.json").is_file():
            raise InputError(f"{run.path}: not fitted; do so with: bphcoffea fit {run.path}")
        fit = run.read("fit.json")
        if YIELD not in fit["parameters"]:
            raise InputError(f"{run.path}: its fit has no yield '{YIELD}'; is it of Ds → φπ?")
        measured = fit["parameters"][YIELD]
        efficiency, error = _efficiency(run, fit)
        if measured["value"] <= 0:
            raise InputError(f"{run.path}: the yield '{YIELD}' is {measured['value']:g}")
        return cls(
            float(measured["value"]), float(measured["error"]), efficiency, error,
            prompt, prompt_error,
        )  # fmt: skip


def _efficiency(run: RunFolder, fit: dict[str, Any]) -> tuple[float, float]:
    """Selected part of the simulation, and its statistical error."""
    names = [
        name
        for name, known in run.datasets.items()
        if known["is_mc"] and known.get("process") == PROCESS
    ]
    if not names:
        raise InputError(
            f"{run.path}: no simulation of process '{PROCESS}', which tells the efficiency"
        )
    histogram = run.histograms()[fit["histogram"]]
    centers = histogram.axes[-1].centers
    low, high = fit["range"]
    inside = (centers > low) & (centers < high)
    passed = variance = sumw_before_cuts = 0.0
    for name in names:
        counts = histogram[name, sum, NOMINAL, :]
        passed += float(np.sum(counts.values()[inside]))
        variance += float(np.sum(counts.variances()[inside]))
        # generator times pile-up weights, as those of the candidates: the pile-up cancels
        sumw_before_cuts += float(run.cutflow[name][0]["sumw"])
    if passed <= 0 or sumw_before_cuts <= 0:
        raise InputError(f"{run.path}: nothing of {', '.join(names)} is selected")
    return passed / sumw_before_cuts, math.sqrt(variance) / sumw_before_cuts
