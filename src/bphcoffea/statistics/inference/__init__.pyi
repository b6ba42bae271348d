from .strength_limit import UpperLimit as UpperLimit, limit as limit
from .fitted_yields import ChannelYields as ChannelYields, Yields as Yields
from .fitted_yields import yields as yields
from .goodness import GoodnessOfFit as GoodnessOfFit, goodness_of_fit as goodness_of_fit
from .impacts import Impact as Impact, Ranking as Ranking, rank as rank
from .profile import ProfileScan as ProfileScan, scan as scan
from .signal_significance import Significance as Significance, significance as significance
from .likelihood_fit import Fit as Fit, ParameterResult as ParameterResult, fit as fit
from .workspace_model import WorkspaceModel as WorkspaceModel
