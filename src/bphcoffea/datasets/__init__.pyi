from .build import add_to_fileset as add_to_fileset, build_fileset as build_fileset
from .checksums import ChecksumReport as ChecksumReport, FileToCompare as FileToCompare
from .checksums import compare as compare, files_to_compare as files_to_compare
from .checksums import with_checksums as with_checksums
from .dataset import UNKNOWN_ERA as UNKNOWN_ERA
from .dataset import Dataset as Dataset, FileEntry as FileEntry, Metadata as Metadata
from .file_check import FileReport as FileReport, FileToOpen as FileToOpen, files_of as files_of
from .file_check import inspect as inspect, with_entries as with_entries
from .file_differences import compare_files as compare_files
from .first_look import fileset_of_files as fileset_of_files
from .fileset import Fileset as Fileset
from .importing import import_fileset as import_fileset
from .known_files import KnownFiles as KnownFiles
from .loading import load_fileset as load_fileset, load_filesets as load_filesets
