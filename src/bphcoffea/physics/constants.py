"""Masses, couplings and lifetimes, in GeV unless stated otherwise."""

from typing import Final

#: Muon mass, GeV [PDG, as the `particle` package gives it].
MUON_MASS: Final = 0.1056583755
#: Charged pion mass, GeV [PDG, as the `particle` package gives it].
PION_MASS: Final = 0.13957039
#: Ds+ mass, GeV [PDG, as the `particle` package gives it].
DS_MASS: Final = 1.96835
#: D+ mass, GeV [PDG, as the `particle` package gives it].
DPLUS_MASS: Final = 1.86966
#: φ(1020) mass, GeV [PDG, as the `particle` package gives it].
PHI_MASS: Final = 1.019461
#: φ(1020) width, GeV [PDG, as the `particle` package gives it].
PHI_WIDTH: Final = 0.004249
#: J/ψ mass, GeV [PDG, as the `particle` package gives it].
JPSI_MASS: Final = 3.0969
#: Z mass, GeV [PDG, as the `particle` package gives it].
Z_MASS: Final = 91.1879
#: Fermi constant G_F, GeV⁻² [PDG].
FERMI_CONSTANT: Final = 1.1663787e-5
#: Reduced Planck constant ħ, GeV s [exact in SI; PDG].
HBAR: Final = 6.582119569e-25
#: Speed of light, mm/s [exact in SI].
SPEED_OF_LIGHT: Final = 299792458e3
#: Mean lifetime of the Ds+, s [PDG].
DS_LIFETIME: Final = 504e-15
#: Decay constant of the Ds+, GeV [lattice QCD], in the normalisation where the pion's is 0.13.
DS_DECAY_CONSTANT: Final = 0.2498
#: Decay constant of the charged pion, GeV [lattice QCD].
PION_DECAY_CONSTANT: Final = 0.1302
#: Element |V_cs| of the quark mixing matrix [PDG 2020].
V_CS: Final = 0.987
#: Element |V_ud| of the quark mixing matrix [PDG 2020].
V_UD: Final = 0.97370
