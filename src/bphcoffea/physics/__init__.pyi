from .constants import DS_DECAY_CONSTANT as DS_DECAY_CONSTANT, DS_LIFETIME as DS_LIFETIME
from .constants import DS_MASS as DS_MASS, FERMI_CONSTANT as FERMI_CONSTANT, HBAR as HBAR
from .constants import MUON_MASS as MUON_MASS, PION_DECAY_CONSTANT as PION_DECAY_CONSTANT
from .constants import PION_MASS as PION_MASS, SPEED_OF_LIGHT as SPEED_OF_LIGHT, V_CS as V_CS
from .constants import V_UD as V_UD
from .energies import collision_energy as collision_energy
from .generator import Combination as Combination, CombinationRule as CombinationRule
from .generator import ONE_SIGMA as ONE_SIGMA, top_pt_weight as top_pt_weight
from .kinematics import delta_r as delta_r, four_momentum as four_momentum
from .kinematics import invariant_mass as invariant_mass, recoil_mass as recoil_mass
from .lifetimes import lifetime_weight as lifetime_weight, mixture_weight as mixture_weight
from .lists import distinct as distinct, doubles as doubles, elementwise as elementwise
from .lists import flattened as flattened, lengths as lengths, share_offsets as share_offsets
from .matching import equal_pairs as equal_pairs, first_match as first_match
from .resolution import mass_resolution as mass_resolution
from .topology import pointing_angle as pointing_angle, surroundings as surroundings
from .triggers import fired as fired
from .windows import Window as Window, covered as covered, gaps as gaps, in_words as in_words
from .windows import signal_window as signal_window, united as united, width_of as width_of
from .windows import within as within
