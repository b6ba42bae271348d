"""Sections of an era's TOML that calibrate leptons and the unclustered energy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bphcoffea.corrections.section import Flag, Name, PayloadSection, Section

#: Transverse momentum, GeV.
_Momentum = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class MuonMomentumSection(Section):
    """Scale and resolution of the momenta of muons.

    Attributes
    ----------
    file
        Text file of Rochester corrections (``RoccoR2018UL.txt``), or the correctionlib file of the
        Muon POG's ``muonscarekit``.
    min_pt, max_pt
        Range in which the corrections of ``muonscarekit`` are valid, GeV: by default 26 to 200.
        Other muons keep their momentum.
    decorrelated
        See :class:`.PayloadSection`.
    """

    file: Name
    min_pt: _Momentum | None = None
    max_pt: _Momentum | None = None
    decorrelated: Flag = False


class ElectronEnergySection(Section):
    """Scale and resolution of the energies of electrons.

    Attributes
    ----------
    file
        Path of the correctionlib file, relative to the TOML.
    scale
        Name of the scale of data.
    smearing
        Name of the smearing of simulation, which also has the uncertainties.
    min_pt
        Transverse momentum from which `scale` and `smearing` are valid, GeV.
    scale_uncertainty
        Name of the scale's uncertainty for files whose energies are corrected already.
    inputs
        Keys of text inputs of `scale_uncertainty`, such as ``year``.
    branches
        Uncertainties to take from branches of NanoAOD: ``scale`` from ``dEscaleUp`` and ``Down``,
        ``resolution`` from ``dEsigmaUp`` and ``Down``.
    decorrelated
        See :class:`.PayloadSection`.
    """

    file: Name | None = None
    scale: Name | None = None
    smearing: Name | None = None
    min_pt: _Momentum = 20.0
    scale_uncertainty: Name | None = None
    inputs: Mapping[str, str] = {}
    branches: tuple[Literal["scale", "resolution"], ...] = ()
    decorrelated: Flag = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = (self.scale, self.smearing, self.scale_uncertainty)
        if (self.file is None) != (names == (None, None, None)):
            raise ValueError(
                "file needs a correction of it: scale, smearing or scale_uncertainty, and these "
                "need the file"
            )
        if self.smearing and (self.scale_uncertainty or self.branches):
            raise ValueError(
                "smearing has the uncertainties of the scale and of the resolution; leave "
                "scale_uncertainty and branches out"
            )
        if self.scale_uncertainty and "scale" in self.branches:
            raise ValueError("scale_uncertainty and the branches of the scale; give one of them")
        return self


class TauEnergySection(PayloadSection):
    """Energy scale of simulated hadronic taus, and of electrons and muons that look like taus.

    Attributes
    ----------
    split
        Whether taus of different decay modes, electrons and muons have variations of their own.
    """

    split: Flag = False


class UnclusteredEnergySection(Section):
    """Uncertainty of the energy that belongs to no jet or lepton, from branches of NanoAOD.

    Attributes
    ----------
    decorrelated
        See :class:`.PayloadSection`.
    """

    decorrelated: Flag = False
