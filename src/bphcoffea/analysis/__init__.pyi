from .analysis import Analysis as Analysis, GENERATOR_WEIGHT as GENERATOR_WEIGHT
from .blinding import Blind as Blind, Hidden as Hidden
from .branch_needs import BranchNeeds as BranchNeeds
from .weights.btag import BTag as BTag, BTagShape as BTagShape
from .calibrations.calibration import Calibration as Calibration
from .calibrations.calibration import ResolvedCalibration as ResolvedCalibration
from .classifier import CLASSIFIER as CLASSIFIER, Classifier as Classifier
from .classifier import SCORE as SCORE
from .classifier import SCORE_BIN as SCORE_BIN, load_classifier as load_classifier
from .declaration import COLUMNS as COLUMNS, FACTOR as FACTOR
from .declaration import check_for_dataset as check_for_dataset
from .calibrations.electron_energy import ElectronEnergy as ElectronEnergy
from .event_filters import filters_passed as filters_passed
from .event_numbering import EVENT_NUMBERS as EVENT_NUMBERS, event_numbers as event_numbers
from .weights.event_weights import PrefiringWeight as PrefiringWeight, TopPtWeight as TopPtWeight
from .weights.generator_weights import PartonShower as PartonShower, PDFWeights as PDFWeights
from .weights.generator_weights import ScaleWeights as ScaleWeights
from .histograms import Categories as Categories, Histogram as Histogram
from .calibrations.jet_energy import JetEnergy as JetEnergy
from .legs import leg_abs_eta as leg_abs_eta, leg_eta as leg_eta, leg_pt as leg_pt
from .legs import separation as separation
from .mass_functions import BackgroundShape as BackgroundShape, PeakShape as PeakShape
from .mass_model import MassModel as MassModel, Peak as Peak
from .metadata import DatasetMetadata as DatasetMetadata, HELD as HELD
from .model_scores import score as score
from .models import MissingExtraError as MissingExtraError, Model as Model
from .models import library_version as library_version
from .calibrations.muon_momentum import MuonMomentum as MuonMomentum
from .n_minus_1 import NMinus1 as NMinus1
from .names import ALL as ALL, DOWN as DOWN, NOMINAL as NOMINAL, UP as UP
from .names import repeated as repeated
from .weights.object_weight import ObjectWeight as ObjectWeight
from .objects import ObjectVariable as ObjectVariable, Objects as Objects
from .objects import OptionalVariable as OptionalVariable, each as each, flag as flag
from .objects import nth as nth, number_of as number_of, quantity as quantity
from .records import AnalysisRecord as AnalysisRecord, BlindRecord as BlindRecord
from .records import ScoreRecord as ScoreRecord
from .records import ClassifierRecord as ClassifierRecord, CutRecord as CutRecord
from .records import HistogramRecord as HistogramRecord, ResonanceRecord as ResonanceRecord
from .regions import Region as Region, crossed as crossed
from .resolved import ResolvedAnalysis as ResolvedAnalysis
from .selection import Candidates as Candidates, Cut as Cut, Selection as Selection
from .selection import SUBSAMPLE as SUBSAMPLE, subsample as subsample
from .shifts import Amounts as Amounts, MomentumShift as MomentumShift, OPAQUE as OPAQUE
from .shifts import Path as Path, Shift as Shift, opaque as opaque, replaced as replaced
from .calibrations.tau_energy import TauEnergy as TauEnergy
from .template_fit import Envelope as Envelope, FitRegion as FitRegion
from .template_fit import FreeNormalisation as FreeNormalisation, LogNormal as LogNormal
from .template_fit import Pruning as Pruning, StatisticalErrors as StatisticalErrors
from .template_fit import TemplateFit as TemplateFit, VariationRule as VariationRule
from .template_fit import as_names as as_names, matches as matches
from .trigger_paths import DatasetPathFired as DatasetPathFired, PathFired as PathFired
from .calibrations.unclustered_energy import UnclusteredEnergy as UnclusteredEnergy
from .variables import Axis as Axis, Condition as Condition, EventFunction as EventFunction
from .variables import Requirement as Requirement, Values as Values, Variable as Variable
from .weights.weight import GENERATOR as GENERATOR
from .weights.weight import LifetimeWeight as LifetimeWeight, MuonWeight as MuonWeight
from .weights.weight import PileupWeight as PileupWeight
from .weights.weight import TriggerWeight as TriggerWeight, Weight as Weight
from .weights.weight import WeightContext as WeightContext
