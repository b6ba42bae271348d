from .records import IN_BOTH as IN_BOTH
from .records import Cause as Cause, ColumnDifference as ColumnDifference
from .records import GroupDifference as GroupDifference, RunComparison as RunComparison
from .two_runs import compare_runs as compare_runs
