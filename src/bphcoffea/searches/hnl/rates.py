"""Width, lifetime and branching fractions of a heavy neutral lepton N that mixes with the muon.

N is produced in Ds → Nμ and detected in N → μπ; it only mixes with the muon neutrino. All rates are
linear in the mixing |V|²: each is a function of the mass times |V|². The nature of N is that of a
`Neutrino`, by default a Majorana particle:

- Majorana: N is its own antiparticle and decays to both charges, μ⁻π⁺ and μ⁺π⁻, equally often. Its
  width is Γ_N = k(m)·G_F² m⁵ |V|²/(96π³), and BR(N → μπ) = 2Γ(N → μ⁻π⁺)/Γ_N.
- Dirac: lepton number is conserved, so that the two muons of Ds⁺ → μ⁺N, N → μ⁻π⁺ have opposite
  charges. The width is half as large, so that N lives twice as long at the same |V|², and
  BR(N → μπ) = Γ(N → μ⁻π⁺)/Γ_N is the same.

k(m) counts the open decays, relative to that to three massless leptons of different flavours. It
is the sum of the partial widths of arXiv:1805.08567 (tables 1 to 3, appendix A): three leptons;
single mesons (π, K, η, ρ, ω, K*, η', φ) below 1 GeV; above, quarks with the QCD correction of
hadronic τ decays. At 1 GeV, where the two descriptions meet, they lie 3% on either side of their
mean. The two-body decays are formula (A.11) there; Phys. Rev. D 94, 113007 has 10.95 massless
channels at high mass, which includes charm and τ leptons that are closed below the Ds mass.

Masses are in GeV, decay lengths in mm. Arguments are numbers or arrays, which broadcast; the result
is a number if all arguments are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bphcoffea.physics import (
    DS_DECAY_CONSTANT,
    DS_LIFETIME,
    DS_MASS,
    FERMI_CONSTANT,
    HBAR,
    MUON_MASS,
    PION_DECAY_CONSTANT,
    PION_MASS,
    SPEED_OF_LIGHT,
    V_CS,
    V_UD,
)

Array: TypeAlias = npt.NDArray[np.float64]
Values: TypeAlias = float | Array
#: Numbers or arrays; results have the type of the arguments.
Number = TypeVar("Number", float, Array)

#: k(m) at some masses, GeV, for linear interpolation; sources are in the docstring of the module.
CHANNELS: Final = (
    (0.245, 9.5), (0.25, 11.3), (0.27, 13.7), (0.3, 15.0), (0.35, 14.9), (0.4, 13.7), (0.5, 11.1),
    (0.6, 9.1), (0.7, 7.8), (0.8, 6.85), (0.85, 6.6), (0.9, 6.85), (1.0, 7.6), (1.25, 7.75),
    (1.5, 7.8), (2.0, 7.8),
)  # fmt: skip
#: Relative uncertainty of k(m): half the difference of the sums over mesons and over quarks.
CHANNELS_UNCERTAINTY: Final = 0.03
#: Above this mass, GeV, a Ds does not decay to N and a muon.
MAXIMUM_MASS: Final = DS_MASS - MUON_MASS
#: Below this mass, GeV, N does not decay to a muon and a pion.
MINIMUM_MASS: Final = MUON_MASS + PION_MASS

#: Tolerance of |V|² above 1, for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Neutrino:
    """Nature of the heavy neutral lepton, from which its width and lifetime follow.

    Attributes
    ----------
    majorana
        Whether N is a Majorana particle; else it is a Dirac particle.
    channels
        A constant k for all masses; `CHANNELS` if None.
    factor
        Factor by which k is multiplied.

    Examples
    --------
    >>> round(Neutrino().ctau_from_mixing(1.0, 1e-3))
    568
    >>> round(Neutrino(majorana=False).ctau_from_mixing(1.0, 1e-3))
    1136
    """

    majorana: bool = True
    channels: float | None = None
    factor: float = 1.0

    @property
    def name(self) -> str:
        """Either ``majorana`` or ``dirac``."""
        return "majorana" if self.majorana else "dirac"

    def shifted(self, sigmas: float) -> Neutrino:
        """Return N with k moved by some standard deviations of its uncertainty.

        A constant k is exact.
        """
        if self.channels is not None:
            return self
        return replace(self, factor=self.factor * (1 + CHANNELS_UNCERTAINTY) ** sigmas)

    def total_width(self, mass: Number, mixing: Number) -> Number:
        """Return the total width Γ_N, GeV.

        Parameters
        ----------
        mass
            Mass of N, GeV.
        mixing
            |V|², from 0 to 1.

        Returns
        -------
        The result, of the shape to which the arguments broadcast.

        Raises
        ------
        ValueError
            If a mass is not positive and finite, k is not known for it, or a |V|² is not from 0
            to 1.
        """
        width = _mixings(mixing) * self._total_width(_masses(mass))
        return _number(width, mass, mixing)

    def mixing_from_ctau(self, mass: Number, ctau: Number) -> Number:
        """Return the mixing |V|² = ħc/(cτ·Γ_N(|V|² = 1)) of N with a mean proper decay length.

        Parameters
        ----------
        mass
            Mass of N, GeV.
        ctau
            Mean proper decay length cτ, mm.

        Returns
        -------
        The result, of the shape to which the arguments broadcast.

        Raises
        ------
        ValueError
            If a mass or length is not positive and finite, k is not known for a mass, or a
            neutrino of that mass lives longer than that even with |V|² = 1.
        """
        shortest = HBAR * SPEED_OF_LIGHT / self._total_width(_masses(mass))
        lengths = _positive(ctau, "decay lengths", "mm")
        mixing = shortest / lengths
        if np.any(mixing > 1 + _ROUNDING):
            short, least, heavy = (
                values[mixing > 1 + _ROUNDING][0]
                for values in np.broadcast_arrays(lengths, shortest, np.asarray(mass))
            )
            raise ValueError(
                f"a neutrino of {heavy:g} GeV has a decay length of {least:g} mm with |V|² = 1, "
                f"so none has {short:g} mm"
            )
        return _number(mixing, mass, ctau)

    def ctau_from_mixing(self, mass: Number, mixing: Number) -> Number:
        """Return the mean proper decay length cτ = ħc/Γ_N, mm.

        Parameters
        ----------
        mass
            Mass of N, GeV.
        mixing
            |V|², above 0 and up to 1.

        Returns
        -------
        The result, of the shape to which the arguments broadcast.

        Raises
        ------
        ValueError
            If a mass is not positive and finite, k is not known for it, or a |V|² is not above 0
            and up to 1: without mixing the neutrino is stable.
        """
        mixings = _positive(_mixings(mixing), "|V|²")
        lengths = HBAR * SPEED_OF_LIGHT / self._total_width(_masses(mass)) / mixings
        return _number(lengths, mass, mixing)

    def branching_n_to_mu_pi(self, mass: Number) -> Number:
        """Return the branching fraction of N → μπ of any charge, in which |V|² cancels.

        Γ(N → μ⁻π⁺) = G_F² f_π² |V_ud|² |V|² m³/(16π)·[(1 − x_μ²)² − x_π²(1 + x_μ²)]·
        √λ(1, x_μ², x_π²) with x = m/m_N.

        Parameters
        ----------
        mass
            Mass of N, GeV.

        Returns
        -------
        The fraction, of the shape of the masses; 0 up to `MINIMUM_MASS`.

        Raises
        ------
        ValueError
            If a mass is not positive and finite, or k is not known for it.
        """
        masses = _masses(mass)
        allowed = masses > MINIMUM_MASS
        open_mass = np.where(allowed, masses, 1)
        charges = 2 if self.majorana else 1
        fraction = charges * _n_to_one_charge(open_mass) / self._total_width(open_mass)
        return _number(np.where(allowed, fraction, 0), mass)

    def branching_product(self, mass: Number, mixing: Number) -> Number:
        """Return BR(Ds → Nμ)·BR(N → μπ), to which the yield of signal is proportional.

        Parameters
        ----------
        mass
            Mass of N, GeV.
        mixing
            |V|², from 0 to 1.

        Returns
        -------
        The product, of the shape to which the arguments broadcast; 0 unless the mass is between
        `MINIMUM_MASS` and `MAXIMUM_MASS`.

        Raises
        ------
        ValueError
            If a mass is not positive and finite, k is not known for it, or a |V|² is not from 0
            to 1.
        """
        return branching_ds_to_n_mu(mass, mixing) * self.branching_n_to_mu_pi(mass)

    def _total_width(self, mass: Array) -> Array:
        """Return Γ_N with |V|² = 1, GeV."""
        scale = self.factor * (1.0 if self.majorana else 0.5)
        return scale * self._channels(mass) * FERMI_CONSTANT**2 * mass**5 / (96 * np.pi**3)

    def _channels(self, mass: Array) -> Values:
        if self.channels is not None:
            return self.channels
        masses, values = np.transpose(CHANNELS)
        outside = mass[(mass < masses[0]) | (mass > masses[-1])]
        if outside.size:
            raise ValueError(
                f"the width of a neutrino of {outside[0]:g} GeV is not known: masses are "
                f"{masses[0]:g} to {masses[-1]:g} GeV"
            )
        channels: Array = np.interp(mass, masses, values)
        return channels


#: N that is its own antiparticle, the default.
MAJORANA: Final = Neutrino()


def branching_ds_to_n_mu(mass: Number, mixing: Number) -> Number:
    """Return the branching fraction of Ds → Nμ, which is the same for a Majorana and a Dirac N.

    Γ = G_F² f_Ds² m_Ds³ |V_cs|² |V|²/(8π)·[y_N² + y_μ² − (y_N² − y_μ²)²]·√λ(1, y_N², y_μ²) with
    y = m/m_Ds; the fraction is Γ·τ_Ds/ħ.

    Parameters
    ----------
    mass
        Mass of N, GeV.
    mixing
        |V|², from 0 to 1.

    Returns
    -------
    The fraction, of the shape to which the arguments broadcast; 0 from `MAXIMUM_MASS` on.

    Raises
    ------
    ValueError
        If a mass is not positive and finite, or a |V|² is not from 0 to 1.
    """
    masses = _masses(mass)
    allowed = masses < MAXIMUM_MASS
    neutrino = np.where(allowed, masses, 0) / DS_MASS
    muon = MUON_MASS / DS_MASS
    helicity = neutrino**2 + muon**2 - (neutrino**2 - muon**2) ** 2
    width = (FERMI_CONSTANT * DS_DECAY_CONSTANT * V_CS) ** 2 * DS_MASS**3 / (8 * np.pi) * helicity
    fraction = width * _root_lambda(neutrino, muon) * DS_LIFETIME / HBAR
    return _number(_mixings(mixing) * np.where(allowed, fraction, 0), mass, mixing)


def muon_energy(mass: float) -> float:
    """Return the energy of the muon of Ds → Nμ in the rest frame of the Ds, GeV.

    Parameters
    ----------
    mass
        Mass of N, GeV, up to `MAXIMUM_MASS`.
    """
    return (DS_MASS**2 + MUON_MASS**2 - mass**2) / (2 * DS_MASS)


def _n_to_one_charge(mass: Array) -> Array:
    """Return Γ(N → μ⁻π⁺) with |V|² = 1, GeV, at masses above `MINIMUM_MASS`."""
    muon, pion = MUON_MASS / mass, PION_MASS / mass
    helicity = (1 - muon**2) ** 2 - pion**2 * (1 + muon**2)
    width = (FERMI_CONSTANT * PION_DECAY_CONSTANT * V_UD) ** 2 * mass**3 / (16 * np.pi)
    return width * helicity * _root_lambda(muon, pion)


def _root_lambda(first: Values, second: Values) -> Array:
    """Return √λ(1, a², b²) of a decay to masses a and b, in units of the mass that decays.

    Unlike the sum of squares, the product keeps its precision at threshold.
    """
    product = (1 - (first + second) ** 2) * (1 - (first - second) ** 2)
    root: Array = np.sqrt(np.maximum(product, 0))  # negative by rounding at threshold
    return root


def _masses(mass: Values) -> Array:
    return _positive(mass, "neutrino masses", "GeV")


def _mixings(mixing: Values) -> Array:
    values = np.asarray(mixing, dtype=np.float64)
    wrong = values[~((values >= 0) & (values <= 1 + _ROUNDING))]
    if wrong.size:
        raise ValueError(f"|V|² must be from 0 to 1, not {wrong[0]:g}")
    return values


def _positive(values: Values, name: str, unit: str = "") -> Array:
    array = np.asarray(values, dtype=np.float64)
    wrong = array[~((array > 0) & np.isfinite(array))]
    if wrong.size:
        raise ValueError(f"{name} must be positive and finite, not {wrong[0]:g} {unit}".rstrip())
    return array


def _number(values: Array, *arguments: Number) -> Number:
    """Return values as an array if an argument is one, else as a number."""
    array = any(np.ndim(argument) for argument in arguments)
    return values if array else float(values)  # type: ignore[return-value]
