from .candidates import Candidates as Candidates, VariableError as VariableError
from .processor import Processor as Processor, Sink as Sink, empty_result as empty_result
from .columns import Columns as Columns, sorted_tables as sorted_tables
from .result import DatasetResult as DatasetResult
from .selected import Selected as Selected
from .tracing import TracingError as TracingError, branch_needs as branch_needs
from .tracing import branches_of_cuts as branches_of_cuts
from .single_events import BEST as BEST, Rejection as Rejection, Verdict as Verdict
from .single_events import relative_difference as relative_difference, verdicts as verdicts
