"""Run an analysis over chunks of events: select, weight and fill."""

from bphcoffea.processing.candidates import Candidates, VariableError
from bphcoffea.processing.processor import Processor, Sink, empty_result
from bphcoffea.processing.result import Columns, DatasetResult
from bphcoffea.processing.selected import Selected
from bphcoffea.processing.tracing import branch_needs, branches_of_cuts, required_branches

__all__ = [
    "Candidates",
    "Columns",
    "DatasetResult",
    "Processor",
    "Selected",
    "Sink",
    "VariableError",
    "branch_needs",
    "branches_of_cuts",
    "empty_result",
    "required_branches",
]
