from .blinding import NothingToHideError as NothingToHideError, blinded as blinded
from .bugs import Bug as Bug, declared_at as declared_at
from .checkpoint_folders import CheckpointFolder as CheckpointFolder, OLD_DAYS as OLD_DAYS
from .checkpoint_folders import default_place as default_place
from .checkpoint_folders import list_checkpoints as list_checkpoints
from .chunks import Plan as Plan, unprotected as unprotected
from .executors.dask_health import ClusterLostError as ClusterLostError
from .executors.engines import WrongExecutorError as WrongExecutorError, engine as engine
from .file_opening import compare_checksums as compare_checksums, open_files as open_files
from .loading import find_analysis as find_analysis, load_analysis as load_analysis
from .loading import source_notes as source_notes
from .needs import needs_of as needs_of
from .recorded import EntriesOfFile as EntriesOfFile, NotRepeatableError as NotRepeatableError
from .recorded import plan_of as plan_of
from .recorded import read_entries as read_entries, recorded_analysis as recorded_analysis
from .recorded import recorded_corrections as recorded_corrections
from .recorded import recorded_fileset as recorded_fileset
from .run_analysis import Options as Options, run as run
