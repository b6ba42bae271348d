"""How many Ds decays a search would see: from the yield of Ds → φ(μμ)π.

The yield is fitted in some data, the search made in others: the number of Ds is proportional to the
luminosity, and scaled by the ratio of the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from bphcoffea.errors import InputError
from bphcoffea.results.folder import RunFolder
from bphcoffea.results.normalisation import generated
from bphcoffea.statistics.data_sample import (
    DataSample,
    NotFittedByYearError,
    UnknownLuminosityError,
    year_of,
)

#: Branching fractions of φ → μμ and Ds → φπ, and their uncertainties [PDG].
PHI_TO_MUONS: Final = 2.86e-4
PHI_TO_MUONS_ERROR: Final = 0.19e-4
DS_TO_PHI_PI: Final = 0.045
DS_TO_PHI_PI_ERROR: Final = 0.004
#: What a fit calls the peak of the normalisation channel, and its yield.
PEAK: Final = "ds"
YIELD: Final = f"n_{PEAK}"


@dataclass(frozen=True)
class DsYield:
    """The normalisation of a search in Ds decays.

    Attributes
    ----------
    fitted, fitted_error
        Ds → φ(μμ)π in the data.
    efficiency, efficiency_error
        Fitted yield of the simulation, with the model that the data are fitted with, over the
        decays that it stands for, before the generator's filter; the error is statistical.
    prompt, prompt_error
        Part of the Ds that is produced promptly, as the simulated signal is.
    data
        What was fitted; None if that is not known.
    search
        The data of the search; None before they are known, see :meth:`for_search`.
    same_data
        Whether somebody asserts that the two are the same data.
    luminosity_ratio
        Luminosity of the search over that of the data that were fitted.
    fit_model
        Relative difference of the number of decays if data and simulation are both fitted with the
        alternative of the model, which has tails on both sides of the peaks or on the low side
        alone.
    remarks
        Notes for the user about the fit and the efficiency, one sentence each.
    """

    fitted: float
    fitted_error: float
    efficiency: float
    efficiency_error: float
    prompt: float = 1.0
    prompt_error: float = 0.0
    data: DataSample | None = None
    search: DataSample | None = None
    same_data: bool = False
    luminosity_ratio: float = 1.0
    fit_model: float = 0.0
    remarks: tuple[str, ...] = ()

    @property
    def decays(self) -> float:
        """Prompt Ds that decayed in any way: N·f·L/L_fitted/[B(φ→μμ)·B(Ds→φπ)·ε]."""
        fractions = PHI_TO_MUONS * DS_TO_PHI_PI * self.efficiency
        return self.fitted * self.prompt * self.luminosity_ratio / fractions

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the normalisation, a sentence each."""
        if self.data is None or self.search is None or self.data.eras == self.search.eras:
            return self.remarks
        return (
            *self.remarks,
            f"the eras differ: Ds → φπ is fitted in {', '.join(self.data.eras)}, the search is "
            f"made in {', '.join(self.search.eras)}; the efficiency and the number of Ds per fb⁻¹ "
            "are taken to be the same",
        )

    def for_search(self, search: DataSample, *, same_data: bool = False) -> DsYield:
        """Scale the number of Ds to the data of a search.

        Parameters
        ----------
        search
            The data of the search.
        same_data
            Assert that what was fitted and what is searched in are the same data: nothing is scaled
            then, and no luminosity needed.

        Raises
        ------
        UnknownLuminosityError
            When the luminosity of either is not known.
        InputError
            When the collision energies differ.
        """
        if self.data is None:
            raise ValueError("it is not known in which data the yield was fitted")
        energies = sorted({*self.data.energies, *search.energies})
        if len(energies) > 1:
            raise InputError(
                f"the collision energies differ: {_energies(search)} in the search "
                f"({search.run}), {_energies(self.data)} in Ds → φπ ({self.data.run}); use data "
                "and simulation of one energy, which is that of the era's year unless the "
                "metadata have 'energy'"
            )
        if same_data:
            return replace(self, search=search, same_data=True, luminosity_ratio=1.0)
        for sample in (search, self.data):
            if not sample.luminosity:
                raise UnknownLuminosityError(
                    f"{sample.run}: the luminosity of {sample} is not known (see: bphcoffea lumi "
                    f"{sample.run}); give each a 'luminosity' in the fileset, or look it up with "
                    "a table of brilcalc, or assert that search and Ds → φπ are the same data"
                )
        ratio = float(search.luminosity or 0) / float(self.data.luminosity or 1)
        return replace(self, search=search, same_data=False, luminosity_ratio=ratio)

    def uncertainties(self) -> dict[str, float]:
        """Relative uncertainties of :attr:`decays`, by their sources."""
        relative = {
            "ds_yield": self.fitted_error / self.fitted,
            "ds_efficiency": self.efficiency_error / self.efficiency,
            "ds_fit_model": self.fit_model,
            "f_prompt": self.prompt_error / self.prompt,
            "br_ds_phipi": DS_TO_PHI_PI_ERROR / DS_TO_PHI_PI,
            "br_phi_mumu": PHI_TO_MUONS_ERROR / PHI_TO_MUONS,
        }
        return {name: value for name, value in relative.items() if value > 0}

    def as_json(self) -> dict[str, Any]:
        """As it stands in ``limit.json``."""
        return {
            **asdict(self),
            "decays": self.decays,
            "uncertainties": self.uncertainties(),
            "notes": list(self.notes),
        }

    @classmethod
    def of_run(
        cls,
        run: RunFolder,
        prompt: float = 1.0,
        prompt_error: float = 0.0,
        *,
        year: str | None = None,
    ) -> DsYield:
        """Of a run of Ds → φπ that was fitted.

        Parameters
        ----------
        run
            Its folder: with ``fit.json``, which holds a fit of the simulated peak.
        prompt, prompt_error
            As above; they are not measured here.
        year
            Take the yield in the data of that year. A run without such data gives the yield in all
            its data, with a remark.

        Raises
        ------
        NotFittedByYearError
            When the fit is of several years together.
        InputError
            When the run was not fitted, its fit is not valid or is one of simulation, simulation of
            Ds → φπ is missing or can't be fitted, or a number is not positive.
        """
        if not 0 < prompt <= 1:
            raise InputError(f"--f-prompt {prompt:g}: a fraction lies between 0 and 1")
        if not (run.path / "fit.json").is_file():
            raise InputError(f"{run.path}: not fitted; do so with: bphcoffea fit {run.path}")
        fit = run.read("fit.json")
        if YIELD not in fit["parameters"]:
            raise InputError(f"{run.path}: its fit has no yield '{YIELD}'; is it of Ds → φπ?")
        metadata = run.fileset_metadata
        simulated = [name for name in fit["datasets"] if metadata[name].is_mc]
        if simulated:
            raise InputError(
                f"{run.path}: its fit is of simulation ({', '.join(simulated)}), which tells no "
                f"yield in data; fit the data with: bphcoffea fit {run.path}"
            )
        year_remarks: tuple[str, ...] = ()
        if year is not None:
            fit, year_remarks = _of_year(run, fit, year)
        if not fit["valid"]:
            raise InputError(f"{run.path}: its fit is not valid: {'; '.join(fit['problems'])}")
        measured = fit["parameters"][YIELD]
        if measured["value"] <= 0:
            raise InputError(f"{run.path}: the yield '{YIELD}' is {measured['value']:g}")
        simulation, efficiency, error = _efficiency(run, fit)
        shift, remarks = _fit_model(run, fit, measured["value"] / efficiency)
        unfiltered = [n for n in simulation if metadata[n].filter_efficiency is None]
        if unfiltered:
            remarks += (f"{', '.join(unfiltered)}: no filter_efficiency, which is taken to be 1",)
        return cls(
            float(measured["value"]), float(measured["error"]), efficiency, error,
            prompt, prompt_error, DataSample.of_run(run, fit["datasets"], simulation),
            fit_model=shift, remarks=year_remarks + remarks,
        )  # fmt: skip


def _energies(sample: DataSample) -> str:
    return " and ".join(f"{energy:g}" for energy in sample.energies) + " TeV"


def _of_year(
    run: RunFolder, fit: Mapping[str, Any], year: str
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Fit of the data of a year, and remarks if those or the simulation are of other years."""
    metadata, remarks = run.fileset_metadata, []
    names = [name for name in fit["datasets"] if year_of(metadata[name]) == year]
    if not names:
        eras = ", ".join(sorted({metadata[name].era for name in fit["datasets"]}))
        remarks.append(f"{run.path} has no data of {year}: the yield is that of {eras}")
    elif len(names) < len(fit["datasets"]):
        fit = fit.get("by", {}).get(year, {})
        if "simulation" not in fit or sorted(fit["datasets"]) != sorted(names):
            raise NotFittedByYearError(
                f"{run.path}: the yield of {year} is needed, but data of several years are fitted "
                "together; fit each year by itself"
            )
    simulated = fit.get("simulation", {}).get(PEAK, {}).get("datasets", ())
    others = [name for name in simulated if year_of(metadata[name]) != year]
    if names and others:
        remarks.append(
            f"the efficiency of Ds → φπ in {year} is that of simulation of other years: "
            f"{', '.join(others)}"
        )
    return fit, tuple(remarks)


def _efficiency(run: RunFolder, fit: Mapping[str, Any]) -> tuple[list[str], float, float]:
    """Simulated datasets, the part of their decays that a fit finds, and its statistical error."""
    fitted = fit.get("simulation", {}).get(PEAK)
    if fitted is None:
        raise InputError(
            f"{run.path}: fit.json has no fit of simulated '{PEAK}', from which the efficiency is "
            "taken; add such simulation to the run if it has none, then: "
            f"bphcoffea fit {run.path}"
        )
    names = list(fitted["datasets"])
    if not fitted["valid"]:
        raise InputError(
            f"{run.path}: the efficiency is unknown, since the fit of {', '.join(names)} is not "
            f"valid: {'; '.join(fitted['problems'])}"
        )
    found = fitted["parameters"][YIELD]
    # generator times pile-up weights, as those of the candidates: the pile-up cancels
    metadata, cutflow = run.fileset_metadata, run.cutflow
    decays = sum(generated(metadata[name], float(cutflow[name][0]["sumw"])) for name in names)
    if found["value"] <= 0 or decays <= 0:
        raise InputError(f"{run.path}: nothing of {', '.join(names)} is selected")
    return names, float(found["value"]) / decays, float(found["error"]) / decays


def _fit_model(
    run: RunFolder, fit: Mapping[str, Any], decays: float
) -> tuple[float, tuple[str, ...]]:
    """Relative difference of the decays with the alternative model; a remark if there is none."""
    other = fit["alternative"]
    problems = [*other["problems"], *other["simulation"][PEAK]["problems"]]
    if problems:
        reason = "; ".join(dict.fromkeys(problems))
        return 0.0, (f"no uncertainty of the fit's model: its alternative is not valid: {reason}",)
    _, efficiency, _ = _efficiency(run, other)
    return abs(other["parameters"][YIELD]["value"] / efficiency / decays - 1), ()
