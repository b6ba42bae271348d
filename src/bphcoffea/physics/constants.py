"""Masses and branching fractions, each named once. Units: GeV."""

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
