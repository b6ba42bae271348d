from .analysis import Analysis as Analysis, load_classifier as load_classifier
from .corrections import load_corrections as load_corrections
from .datasets import Fileset as Fileset, load_fileset as load_fileset
from .differences import compare_runs as compare_runs
from .errors import CorrectionsError as CorrectionsError, DeclarationError as DeclarationError
from .errors import FacilityError as FacilityError, FilesetError as FilesetError
from .errors import FitError as FitError, InputError as InputError, RunError as RunError
from .execution import Options as Options, blinded as blinded, load_analysis as load_analysis
from .execution import run as run
from .facilities import load_facility as load_facility
from .presentation import plot_run as plot_run
from .results import RunFolder as RunFolder
from .statistics import fit_mass as fit_mass

__version__: str
