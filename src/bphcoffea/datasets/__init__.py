"""Filesets: the files and the metadata of each dataset."""

from bphcoffea.datasets.dataset import Dataset, FileEntry
from bphcoffea.datasets.fileset import Fileset
from bphcoffea.datasets.loading import load_fileset, load_filesets
from bphcoffea.datasets.metadata import Metadata

__all__ = ["Dataset", "FileEntry", "Fileset", "Metadata", "load_fileset", "load_filesets"]
