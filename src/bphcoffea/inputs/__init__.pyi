from .any_format import any_format as any_format
from .columns import Form as Form
from .fcc import FCCSchema as FCCSchema
from .forms import BranchFilter as BranchFilter, branch_filter as branch_filter
from .forms import form_of as form_of, form_of_tree as form_of_tree
from .forms import iteritems_options as iteritems_options
from .forms import template_form as template_form
from .nanoaod import ReducedNanoAODSchema as ReducedNanoAODSchema
from .physlite import ReducedPHYSLITESchema as ReducedPHYSLITESchema
from .tree3mu import ThreeMuSchema as ThreeMuSchema, Tree3MuSchema as Tree3MuSchema
from .tree3mu import TwoMuTrackSchema as TwoMuTrackSchema
from .wztree import PARKING_PATHS as PARKING_PATHS, SIGNAL_PARAMETERS as SIGNAL_PARAMETERS
from .wztree import SIGNAL_PROCESS as SIGNAL_PROCESS, SIGNAL_SAMPLE as SIGNAL_SAMPLE
from .wztree import WZTreeSchema as WZTreeSchema
