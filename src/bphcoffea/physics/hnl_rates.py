"""Widths, lifetime and branching fractions of a heavy neutral lepton N that mixes with the muon.

It is made in Ds → Nμ and seen in N → μπ. All rates are linear in the mixing |V|², so that each is
a function of the mass times |V|². Formulas: arXiv:1805.08567 (A.11) for the two-body decays,
Phys. Rev. D 94, 113007 for the total width.

Masses are in GeV, decay lengths in mm. Arguments are numbers or arrays, which broadcast; numbers
give a number, arrays an array.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from bphcoffea.physics.constants import (
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
#: What goes in comes out: numbers or arrays.
Number = TypeVar("Number", float, Array)

#: Total width in units of that of one decay to massless particles, G_F² m⁵ |V|²/(96π³)
#: [Phys. Rev. D 94, 113007]. Width, lifetime and BR(N → μπ) all use it: changing it moves them
#: together.
CHANNELS: Final = 10.95
#: Above this mass, GeV, a Ds does not decay to N and a muon.
MAXIMUM_MASS: Final = DS_MASS - MUON_MASS
#: Below this mass, GeV, N does not decay to a muon and a pion.
MINIMUM_MASS: Final = MUON_MASS + PION_MASS

#: What |V|² may be above 1 by rounding.
_ROUNDING = 1e-9


def total_width(mass: Number, mixing: Number) -> Number:
    """Total width Γ_N = k·G_F² m⁵ |V|²/(96π³) of the neutrino, GeV, with k = `CHANNELS`.

    Parameters
    ----------
    mass
        Of the neutrino, GeV.
    mixing
        |V|², from 0 to 1.

    Returns
    -------
    Of the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        When a mass is not positive and finite, or a |V|² is not from 0 to 1.
    """
    result: Number = _number(_mixings(mixing) * _total_width(_masses(mass)))
    return result


def mixing_from_ctau(mass: Number, ctau: Number) -> Number:
    """The |V|² = ħc/(cτ·Γ_N(|V|² = 1)) with which the neutrino has a mean proper decay length.

    Parameters
    ----------
    mass
        Of the neutrino, GeV.
    ctau
        Mean proper decay length cτ, mm.

    Returns
    -------
    Of the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        When a mass or length is not positive and finite, or when a neutrino of that mass lives
        longer than that even with |V|² = 1.
    """
    shortest = HBAR * SPEED_OF_LIGHT / _total_width(_masses(mass))
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
    result: Number = _number(mixing)
    return result


def ctau_from_mixing(mass: Number, mixing: Number) -> Number:
    """Mean proper decay length cτ = ħc/Γ_N of the neutrino, mm.

    Parameters
    ----------
    mass
        Of the neutrino, GeV.
    mixing
        |V|², above 0 and up to 1.

    Returns
    -------
    Of the shape to which the arguments broadcast.

    Raises
    ------
    ValueError
        When a mass is not positive and finite, or a |V|² is not above 0 and up to 1: without
        mixing the neutrino is stable.
    """
    mixings = _positive(_mixings(mixing), "|V|²")
    result: Number = _number(HBAR * SPEED_OF_LIGHT / _total_width(_masses(mass)) / mixings)
    return result


def branching_ds_to_n_mu(mass: Number, mixing: Number) -> Number:
    """Branching fraction of Ds → Nμ.

    Γ = G_F² f_Ds² m_Ds³ |V_cs|² |V|²/(8π)·[y_N² + y_μ² − (y_N² − y_μ²)²]·√λ(1, y_N², y_μ²) with
    y = m/m_Ds; the fraction is Γ·τ_Ds/ħ.

    Parameters
    ----------
    mass
        Of the neutrino, GeV.
    mixing
        |V|², from 0 to 1.

    Returns
    -------
    Of the shape to which the arguments broadcast; 0 from `MAXIMUM_MASS` on.

    Raises
    ------
    ValueError
        When a mass is not positive and finite, or a |V|² is not from 0 to 1.
    """
    result: Number = _number(_mixings(mixing) * _ds_to_n_mu(_masses(mass)))
    return result


def branching_n_to_mu_pi(mass: Number) -> Number:
    """Branching fraction of N → μπ, in which |V|² cancels.

    Γ = G_F² f_π² |V_ud|² |V|² m³/(16π)·[(1 − x_μ²)² − x_π²(1 + x_μ²)]·√λ(1, x_μ², x_π²) with
    x = m/m_N; the fraction is Γ/Γ_N.

    Parameters
    ----------
    mass
        Of the neutrino, GeV.

    Returns
    -------
    Of the shape of the masses; 0 up to `MINIMUM_MASS`.

    Raises
    ------
    ValueError
        When a mass is not positive and finite.
    """
    result: Number = _number(_n_to_mu_pi(_masses(mass)))
    return result


def branching_product(mass: Number, mixing: Number) -> Number:
    """BR(Ds → Nμ)·BR(N → μπ), to which the yield of signal is proportional.

    Parameters
    ----------
    mass
        Of the neutrino, GeV.
    mixing
        |V|², from 0 to 1.

    Returns
    -------
    Of the shape to which the arguments broadcast; 0 unless the mass is between `MINIMUM_MASS` and
    `MAXIMUM_MASS`.

    Raises
    ------
    ValueError
        When a mass is not positive and finite, or a |V|² is not from 0 to 1.
    """
    masses = _masses(mass)
    result: Number = _number(_mixings(mixing) * _ds_to_n_mu(masses) * _n_to_mu_pi(masses))
    return result


def _total_width(mass: Array) -> Array:
    """Γ_N with |V|² = 1, GeV."""
    return CHANNELS * FERMI_CONSTANT**2 * mass**5 / (96 * np.pi**3)


def _ds_to_n_mu(mass: Array) -> Array:
    """BR(Ds → Nμ) with |V|² = 1."""
    allowed = mass < MAXIMUM_MASS
    neutrino = np.where(allowed, mass, 0) / DS_MASS
    muon = MUON_MASS / DS_MASS
    helicity = neutrino**2 + muon**2 - (neutrino**2 - muon**2) ** 2
    width = (FERMI_CONSTANT * DS_DECAY_CONSTANT * V_CS) ** 2 * DS_MASS**3 / (8 * np.pi) * helicity
    return np.where(allowed, width * _root_lambda(neutrino, muon) * DS_LIFETIME / HBAR, 0)


def _n_to_mu_pi(mass: Array) -> Array:
    """BR(N → μπ)."""
    allowed = mass > MINIMUM_MASS
    open_mass = np.where(allowed, mass, 1)
    muon, pion = MUON_MASS / open_mass, PION_MASS / open_mass
    helicity = (1 - muon**2) ** 2 - pion**2 * (1 + muon**2)
    width = (FERMI_CONSTANT * PION_DECAY_CONSTANT * V_UD) ** 2 * open_mass**3 / (16 * np.pi)
    width = width * helicity * _root_lambda(muon, pion)
    return np.where(allowed, width / _total_width(open_mass), 0)


def _root_lambda(first: Values, second: Values) -> Array:
    """√λ(1, a², b²) of a decay to masses a and b, in units of the mass that decays.

    The product keeps its digits at threshold, where the sum of squares loses them.
    """
    product = (1 - (first + second) ** 2) * (1 - (first - second) ** 2)
    root: Array = np.sqrt(np.maximum(product, 0))  # rounding, at threshold
    return root


def _masses(mass: Values) -> Array:
    return _positive(mass, "neutrino masses", "GeV")


def _mixings(mixing: Values) -> Array:
    values = np.asarray(mixing, dtype=np.float64)
    wrong = values[~((values >= 0) & (values <= 1 + _ROUNDING))]
    if wrong.size:
        raise ValueError(f"|V|² must be from 0 to 1, not {wrong[0]:g}")
    return values


def _positive(values: Values, what: str, unit: str = "") -> Array:
    array = np.asarray(values, dtype=np.float64)
    wrong = array[~((array > 0) & np.isfinite(array))]
    if wrong.size:
        raise ValueError(f"{what} must be positive and finite, not {wrong[0]:g} {unit}".rstrip())
    return array


def _number(values: Array) -> Any:
    """A number instead of an array without axes."""
    return values if np.ndim(values) else float(values)
