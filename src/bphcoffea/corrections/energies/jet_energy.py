"""Energy corrections of a collection of jets, evaluated by coffea's ``jetmet_tools``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import awkward as ak
import numpy as np

from bphcoffea.arrays import Booleans
from bphcoffea.corrections.compiled import CompiledCorrections
from bphcoffea.corrections.declaration import RESOLUTION, JetEnergySection
from bphcoffea.corrections.section import era_ending
from bphcoffea.errors import CorrectionsError

#: Function from the name of an input to its values, shape (jets,).
Inputs: TypeAlias = Callable[[str], ak.Array]
#: Inputs that corrections of jets may have, in the names of CMS's files.
INPUT_NAMES: Final = ("JetPt", "JetEta", "JetPhi", "JetA", "Rho", "run")
#: Input of scale factors that selects the nominal value, up or down.
_SYSTEMATIC: Final = "systematic"


class JetEnergyPayload:
    """Corrections of the energies of jets; they can be pickled.

    Parameters
    ----------
    folder
        Folder of the TOML.
    section
        Names of the corrections.
    era
        Name of the era, appended to the names of decorrelated uncertainties.

    Attributes
    ----------
    uncertainties
        Sources of uncertainty of the energy scale, and ``jer`` for the resolution, keyed by the
        beginning of the names of their variations.
    smears
        Whether the energies of simulated jets are smeared.

    Raises
    ------
    CorrectionsError
        If a file is missing or wrong, lacks a correction, or one has an unknown input.
    """

    def __init__(self, folder: Path, section: JetEnergySection, era: str) -> None:
        self._section = section
        self.smears = section.resolution is not None
        names = {RESOLUTION: RESOLUTION} if self.smears else {}
        names |= {source: f"jes_{source}" for source in section.sources}
        self.uncertainties = {
            name + era_ending(era, decorrelated=source in section.decorrelated): source
            for source, name in names.items()
        }
        scales = {"simulation": section.simulation, "data": section.data}
        levels = {kind: names for kind, names in scales.items() if isinstance(names, tuple)}
        single = [names for names in scales.values() if isinstance(names, str)]
        single += [name for name in (section.simulation_offset, section.data_offset) if name]
        single += section.sources.values()
        smearing = [name for name in (section.resolution, section.scale_factor) if name]
        # a file of CMS takes a second to read, and most have the resolution as well
        of_file = single if section.resolution_file else (*single, *smearing)
        self._scale = _compiled(folder / section.file, of_file, levels)
        # of one kind a list of levels, which is called like the kind
        self._names = {kind: kind if kind in levels else name for kind, name in scales.items()}
        self._other_file: CompiledCorrections | None = None
        if section.resolution_file and smearing:
            self._other_file = _compiled(folder / section.resolution_file, smearing, {})

    @property
    def _resolution(self) -> CompiledCorrections:
        return self._other_file or self._scale

    def recalibrates(self, *, is_mc: bool) -> bool:
        """Return whether the energies of the file are replaced."""
        return (self._section.simulation if is_mc else self._section.data) is not None

    def correction(self, inputs: Inputs, *, is_mc: bool) -> ak.Array:
        """Return the factor to the uncorrected energy of each jet, shape (jets,).

        Parameters
        ----------
        inputs
            Values of each input, shape (jets,); ``JetPt`` is the uncorrected momentum.
        is_mc
            Whether the jets are simulated.
        """
        # imports numba and scipy.stats, a second for all interpreters that correct no jets
        from coffea.jetmet_tools import CorrectionLibJEC

        correction = self._scale.correction(str(self._names["simulation" if is_mc else "data"]))
        return _evaluated(CorrectionLibJEC(correction), "getCorrection", inputs)

    def offset(self, inputs: Inputs, *, is_mc: bool) -> ak.Array:
        """Return the factor of the correction for pile-up; see :meth:`correction`."""
        from coffea.jetmet_tools import CorrectionLibJEC

        name = self._section.simulation_offset if is_mc else self._section.data_offset
        if name is None:
            return ak.ones_like(inputs("JetPt"))
        return _evaluated(CorrectionLibJEC(self._scale.correction(name)), "getCorrection", inputs)

    def smearing(
        self, inputs: Inputs, pt_gen: ak.Array, noise: ak.Array, variation: int
    ) -> ak.Array:
        """Return the factor that smears each jet by the hybrid method, shape (jets,).

        Parameters
        ----------
        inputs
            Values of each input, shape (jets,); ``JetPt`` is the corrected momentum.
        pt_gen
            Transverse momentum of the generated jet, GeV, shape (jets,); 0 without one.
        noise
            Normally distributed random numbers, shape (jets,).
        variation
            0 for the nominal scale factor, 1 for up, 2 for down.
        """
        from coffea.jetmet_tools import CorrectionLibJER, CorrectionLibJERSF
        from coffea.jetmet_tools.CorrectedJetsFactory import jer_smear

        resolution = self._resolution.correction(str(self._section.resolution))
        scale_factor = self._resolution.correction(str(self._section.scale_factor))
        return jer_smear(
            pt_gen,
            inputs("JetPt"),
            inputs("JetEta"),
            _evaluated(CorrectionLibJER(resolution), "getResolution", inputs),
            noise,
            _evaluated(CorrectionLibJERSF(scale_factor), "getScaleFactor", inputs),
            variation,
            forceStochastic=False,
        )

    def outside(self, inputs: Inputs, corrected: Inputs, *, is_mc: bool) -> Booleans:
        """Return which jets are outside the bins of the correction or of the resolution.

        Parameters
        ----------
        inputs
            Inputs of :meth:`correction`.
        corrected
            Inputs of :meth:`smearing`.
        is_mc
            Whether the jets are simulated.

        Returns
        -------
        Array of shape (jets,).
        """
        found = np.zeros(len(inputs("JetPt")), dtype=np.bool_)
        names = []
        if self.recalibrates(is_mc=is_mc):
            names.append((self._scale, self._names["simulation" if is_mc else "data"], inputs))
        if is_mc and self.smears:
            names.append((self._resolution, self._section.resolution, corrected))
        for file, name, values in names:
            of_name = file.inputs(str(name))
            found |= file.outside(str(name), {i: ak.to_numpy(values(i)) for i in of_name})
        return found

    def uncertainty(self, source: str, inputs: Inputs) -> ak.Array:
        """Return the factors up and down of a source of uncertainty, shape (jets, 2)."""
        from coffea.jetmet_tools import CorrectionLibJUNC

        correction = self._scale.correction(self._section.sources[source])
        ((_, factors),) = _evaluated(
            CorrectionLibJUNC([(source, correction)]), "getUncertainty", inputs
        )
        return factors

    def describe(self) -> dict[str, object]:
        """Return the description for ``provenance.json``."""
        files = (self._scale, self._resolution)
        sha256 = {str(file.path.absolute()): file.sha256 for file in files}
        return {**self._section.model_dump(mode="json"), "sha256": sha256}


def _evaluated(adapter: Any, method: str, inputs: Inputs) -> Any:
    """Return what a method of one of coffea's adapters gives for the inputs that it asks for."""
    values = {name: inputs(name) for name in adapter.signature}
    try:
        return getattr(adapter, method)(**values)
    except (IndexError, RuntimeError) as error:
        ranges = [f"{name} in [{ak.min(v)}, {ak.max(v)}]" for name, v in values.items()]
        raise CorrectionsError(
            f"correctionlib cannot evaluate a correction of jets at {', '.join(ranges)} ({error})"
        ) from None


def _compiled(
    path: Path, names: Iterable[str], levels: Mapping[str, tuple[str, ...]]
) -> CompiledCorrections:
    """Return corrections of a file; raise a CorrectionsError if one has an unknown input."""
    names = tuple(names)
    compiled = CompiledCorrections(path, names, levels, updated="JetPt")
    for name in (*names, *(level for of_kind in levels.values() for level in of_kind)):
        unknown = {*compiled.inputs(name)} - {*INPUT_NAMES, _SYSTEMATIC}
        if unknown:
            raise CorrectionsError(
                f"{path}: '{name}' has the input {', '.join(sorted(unknown))}; corrections of jets "
                f"may have {', '.join(INPUT_NAMES)}"
            )
    return compiled
