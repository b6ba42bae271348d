from .credentials import BearerToken as BearerToken, Credential as Credential, Proxy as Proxy
from .credentials import grid_proxy as grid_proxy, usual_proxy as usual_proxy
from .decompression import decompressed as decompressed
from .disks import UnwritableError as UnwritableError, make_folder as make_folder
from .disks import write_file as write_file, write_whole as write_whole
from .disks import user_cache as user_cache, writing_to as writing_to
from .file_identity import identity as identity
from .locks import is_locked as is_locked, locked as locked
from .manifest import OccupiedError as OccupiedError, claimed as claimed, lock_of as lock_of
from .manifest import mark as mark, replacing as replacing, written as written
from .file_handles import in_use as in_use
from .servers import ONCE as ONCE, Retries as Retries, Storage as Storage, TIMEOUT as TIMEOUT
from .servers import by_silence as by_silence, fsspec_url as fsspec_url, host as host
from .servers import note_silence as note_silence
from .servers import reason as reason, scheme_fault as scheme_fault, shortened as shortened
from .servers import silence_of as silence_of
from .stageout import adler32_at as adler32_at, check_target as check_target
from .stageout import stage_out as stage_out, stage_out_folder as stage_out_folder
from .targets import TransferError as TransferError
from .uproot_preparation import prepare_uproot as prepare_uproot
