from .btag_efficiencies import btag_efficiencies as btag_efficiencies
from .files import from_json as from_json, write as write
from .histograms import Converted as Converted, from_histogram as from_histogram
from .jet_number_factors import btag_normalisation as btag_normalisation
from .pileup import pileup_from_histograms as pileup_from_histograms
from .pileup import pileup_from_profiles as pileup_from_profiles
