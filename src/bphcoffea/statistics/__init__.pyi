from .blindness import NotHiddenError as NotHiddenError, StillBlindError as StillBlindError
from .blindness import Windows as Windows, blind_variable as blind_variable
from .blindness import blind_windows as blind_windows, category_windows as category_windows
from .blindness import overlapping as overlapping
from .blindness import check_hidden as check_hidden, check_unblinding as check_unblinding
from .cls_limits import cls_at as cls_at, upper_limit as upper_limit
from .counting import Channel as Channel, counting_workspace as counting_workspace
from .data_sample import CATEGORY as CATEGORY, Categories as Categories, NEGLIGIBLE as NEGLIGIBLE
from .data_sample import WEIGHT as WEIGHT, read_candidates as read_candidates
from .data_sample import relative_changes as relative_changes
from .data_sample import DataSample as DataSample, NotFittedByYearError as NotFittedByYearError
from .data_sample import UnknownLuminosityError as UnknownLuminosityError, data_of as data_of
from .data_sample import of_year as of_year, simulated_decays as simulated_decays
from .data_sample import year_of as year_of
from .datacards import write_datacard as write_datacard
from .datacards import write_shape_datacard as write_shape_datacard
from .exclusion import Range as Range, Scan as Scan, scan as scan
from .fit_record import FitRecord as FitRecord, ModelFit as ModelFit
from .limit_record import Export as Export, LimitRecord as LimitRecord
from .limit_results import Confidence as Confidence, Limit as Limit, MEDIAN as MEDIAN
from .limit_results import QUANTILES as QUANTILES
from .mass_background import Background as Background, fit_background as fit_background
from .mass_fit import MassFit as MassFit, Parameter as Parameter
from .mass_shapes import BACKGROUND as BACKGROUND
from .records import JsonObject as JsonObject, Record as Record
from .roofit_models import write_roofit_model as write_roofit_model
from .roofit_models import write_roofit_models as write_roofit_models
from .roofit_spectra import write_roofit_spectra as write_roofit_spectra
from .run_fit import fit_mass as fit_mass
from .run_histograms import of_datasets as of_datasets, whole as whole
from .scaled_model import unit_of as unit_of
from .search import Search as Search
from .search import option as option, search_of as search_of, searches as searches
from .shape_workspace import MassChannel as MassChannel, mass_workspace as mass_workspace
from .sidebands import SidebandFit as SidebandFit, fit_sidebands as fit_sidebands
from .signal_fit import SignalFit as SignalFit, fit_signal_shape as fit_signal_shape
from .splot import sweighted_candidates as sweighted_candidates, sweights as sweights
from .splot import write_sweights as write_sweights
from .strength import fit_strength as fit_strength
from .templates import BuiltModel as BuiltModel, Finding as Finding, TemplateFit as TemplateFit
from .templates import TemplateAxis as TemplateAxis, axes_of as axes_of
from .templates import build_model as build_model, declared_model as declared_model
from .templates import findings_of as findings_of, load_model_file as load_model_file
from .workspace import WORKSPACE_FILE as WORKSPACE_FILE, Workspace as Workspace
from .zfit_models import zfit_model as zfit_model
