from .btag.payload import CENTRAL as CENTRAL, DEFAULT as DEFAULT
from .btag.working_points import BTagFactor as BTagFactor
from .btag.shape import BTagShapeFactor as BTagShapeFactor
from .correction_set import read_correction_set as read_correction_set
from .declaration import Particle as Particle
from .energies.electron_energy import ElectronEnergyPayload as ElectronEnergyPayload
from .energies.energy_corrections import EnergyCorrections as EnergyCorrections
from .era import Corrections as Corrections, EraCorrections as EraCorrections
from .era import load_corrections as load_corrections
from .factors import MuonFactor as MuonFactor, PileupFactor as PileupFactor
from .factors import TriggerFactor as TriggerFactor
from .energies.jet_energy import JetEnergyPayload as JetEnergyPayload
from .energies.muon_momentum import MuonMomentumPayload as MuonMomentumPayload
from .object_factors import ObjectFactor as ObjectFactor
from .object_factors import ObjectTriggerFactor as ObjectTriggerFactor
from .payload import Payload as Payload
from .payload_factor import Factor as Factor, WHOLE as WHOLE, product as product
from .energies.tau_energy import TauEnergyPayload as TauEnergyPayload
