"""Number of Ds decays in the data of a search, from the yield of Ds → φ(μμ)π.

The yield may be fitted in other data than those of the search: the number of Ds is proportional to
the luminosity, and scaled by the ratio of the two.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import Final

from typing_extensions import override

from bphcoffea.errors import FitError
from bphcoffea.results import RunFolder
from bphcoffea.statistics import (
    DataSample,
    FitRecord,
    JsonObject,
    ModelFit,
    NotFittedByYearError,
    Record,
    UnknownLuminosityError,
    simulated_decays,
    year_of,
)

#: Branching fractions of φ → μμ and Ds → φπ, and their uncertainties [PDG].
PHI_TO_MUONS: Final = 2.86e-4
PHI_TO_MUONS_ERROR: Final = 0.19e-4
DS_TO_PHI_PI: Final = 0.045
DS_TO_PHI_PI_ERROR: Final = 0.004
#: Names of the peak of the normalisation channel and of its yield in a fit.
PEAK: Final = "ds"
YIELD: Final = f"n_{PEAK}"


@dataclass(frozen=True)
class DsYield(Record):
    """Normalisation of a search in Ds decays.

    Attributes
    ----------
    fitted, fitted_error
        Yield of Ds → φ(μμ)π in the data, and its error.
    efficiency, efficiency_error
        Yield of simulation, fitted with the model of the data, over the simulated decays before the
        generator's filter; the error is statistical.
    prompt, prompt_error
        Fraction of the Ds that is produced promptly, like the simulated signal.
    data
        The fitted data; None if unknown.
    search
        Data of the search; None before :meth:`for_search`.
    same_data
        Whether the user asserts that the fitted data are those of the search.
    luminosity_ratio
        Luminosity of the search over that of the fitted data.
    fit_model
        Relative difference of the number of decays if data and simulation are both fitted with the
        alternative model, in which the peaks have another shape.
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
        """Number of prompt Ds decays of any kind: N·f·L/L_fitted/[B(φ→μμ)·B(Ds→φπ)·ε]."""
        fractions = PHI_TO_MUONS * DS_TO_PHI_PI * self.efficiency
        return self.fitted * self.prompt * self.luminosity_ratio / fractions

    @property
    def notes(self) -> tuple[str, ...]:
        """Remarks on the normalisation for the user, one sentence each."""
        if self.data is None or self.search is None or self.data.eras == self.search.eras:
            return self.remarks
        return (
            *self.remarks,
            f"the eras differ: Ds → φπ is fitted in {', '.join(self.data.eras)}, the search is "
            f"made in {', '.join(self.search.eras)}; the efficiency and the number of Ds per fb⁻¹ "
            "are taken to be the same",
        )

    def for_search(self, search: DataSample, *, same_data: bool = False) -> DsYield:
        """Return the normalisation, scaled to the data of a search.

        Parameters
        ----------
        search
            Data of the search.
        same_data
            Assert that the fitted data are those of the search: nothing is scaled, and no
            luminosity is needed.

        Raises
        ------
        UnknownLuminosityError
            If the luminosity of either is unknown.
        FitError
            If the collision energies differ.
        """
        if self.data is None:
            raise ValueError("the data of the fitted yield are unknown")
        energies = sorted({*self.data.energies, *search.energies})
        if len(energies) > 1:
            raise FitError(
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

    @override
    def as_json(self) -> JsonObject:
        """Return the content of ``limit.json`` about the normalisation."""
        return {
            **super().as_json(),
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
        """Return the yield of a fitted run of Ds → φπ.

        Parameters
        ----------
        run
            Run with ``fit.json``, which holds a fit of the simulated peak.
        prompt, prompt_error
            Fraction of the Ds that is produced promptly, and its uncertainty.
        year
            Return the yield in the data of that year. A run without such data gives the yield in
            all its data, with a remark.

        Raises
        ------
        NotFittedByYearError
            If only a fit of several years together exists.
        RunError
            If the run was not fitted.
        FitError
            If the fit is not valid or is one of simulation, simulation of Ds → φπ is missing or not
            fitted, or a number is not positive.
        """
        if not 0 < prompt <= 1:
            raise FitError(f"the prompt fraction of the Ds is {prompt:g}, not between 0 and 1")
        record = FitRecord.of_run(run)
        if YIELD not in record.parameters:
            raise FitError(f"{run.path}: its fit has no yield '{YIELD}'; is it of Ds → φπ?")
        metadata = run.fileset_metadata
        if simulated := [name for name in record.datasets if metadata[name].is_mc]:
            raise FitError(
                f"{run.path}: its fit is of simulation ({', '.join(simulated)}), which has no "
                f"yield in data; fit the data with: bphcoffea fit {shlex.quote(str(run.path))}"
            )
        year_remarks: tuple[str, ...] = ()
        if year is not None:
            record, year_remarks = _of_year(run, record, year)
        if not record.fit.valid:
            raise FitError(f"{run.path}: its fit is not valid: {'; '.join(record.fit.problems)}")
        measured = record.parameters[YIELD]
        if measured.value <= 0:
            raise FitError(f"{run.path}: the yield '{YIELD}' is {measured.value:g}")
        simulation, efficiency, error = _efficiency(run, record.nominal)
        shift, remarks = _fit_model(run, record.alternative, measured.value / efficiency)
        if unfiltered := [n for n in simulation if metadata[n].filter_efficiency is None]:
            remarks += (f"{', '.join(unfiltered)}: no filter_efficiency, which is taken to be 1",)
        return cls(
            measured.value, float(measured.error or 0), efficiency, error,
            prompt, prompt_error, DataSample.of_run(run, record.datasets, simulation),
            fit_model=shift, remarks=year_remarks + remarks,
        )  # fmt: skip


def _energies(sample: DataSample) -> str:
    return " and ".join(f"{energy:g}" for energy in sample.energies) + " TeV"


def _of_year(run: RunFolder, record: FitRecord, year: str) -> tuple[FitRecord, tuple[str, ...]]:
    """Return the fit of a year, with remarks if data or simulation are of other years."""
    metadata, remarks = run.fileset_metadata, []
    names = [name for name in record.datasets if year_of(metadata[name]) == year]
    if not names:
        eras = ", ".join(sorted({metadata[name].era for name in record.datasets}))
        remarks.append(f"{run.path} has no data of {year}: the yield is that of {eras}")
    elif len(names) < len(record.datasets):
        of_year = record.by.get(year)
        if (
            of_year is None
            or not of_year.nominal.simulation
            or sorted(of_year.datasets) != sorted(names)
        ):
            raise NotFittedByYearError(
                f"{run.path}: the yield of {year} is needed, but data of several years are fitted "
                "together; fit each year by itself"
            )
        record = of_year
    fitted = record.nominal.simulation.get(PEAK)
    simulated = fitted.datasets if fitted else ()
    other_years = [name for name in simulated if year_of(metadata[name]) != year]
    if names and other_years:
        remarks.append(
            f"the efficiency of Ds → φπ in {year} is that of simulation of other years: "
            f"{', '.join(other_years)}"
        )
    return record, tuple(remarks)


def _efficiency(run: RunFolder, fits: ModelFit) -> tuple[tuple[str, ...], float, float]:
    """Return the simulated datasets, their efficiency, and its statistical error."""
    fitted = fits.simulation.get(PEAK)
    if fitted is None:
        raise FitError(
            f"{run.path}: fit.json has no fit of simulated '{PEAK}', from which the efficiency is "
            "taken; add such simulation to the run if it has none, then: "
            f"bphcoffea fit {shlex.quote(str(run.path))}"
        )
    names = ", ".join(fitted.datasets)
    if not fitted.fit.valid:
        raise FitError(
            f"{run.path}: the efficiency is unknown, since the fit of {names} is not "
            f"valid: {'; '.join(fitted.fit.problems)}"
        )
    found = fitted.fit.parameters[YIELD]
    # generator times pile-up weights, like those of the candidates: the pile-up cancels
    decays = simulated_decays(run, fitted.datasets)
    if found.value <= 0 or decays <= 0:
        raise FitError(f"{run.path}: nothing of {names} is selected")
    return fitted.datasets, found.value / decays, float(found.error or 0) / decays


def _fit_model(
    run: RunFolder, other: ModelFit | None, decays: float
) -> tuple[float, tuple[str, ...]]:
    """Return the relative difference of the decays with the alternative model, or a remark."""
    if other is None:
        problems = ["it was not fitted"]
    else:
        problems = [*other.fit.problems, *other.simulation[PEAK].fit.problems]
    if other is None or problems:
        reason = "; ".join(dict.fromkeys(problems))
        return 0.0, (f"no uncertainty of the fit's model: its alternative is not valid: {reason}",)
    _, efficiency, _ = _efficiency(run, other)
    return abs(other.fit.parameters[YIELD].value / efficiency / decays - 1), ()
