"""Filesets: which files make up which dataset, and what is known of it."""

from bphcoffea.datasets.fileset import (
    Dataset,
    FileEntry,
    Fileset,
    Metadata,
    load_fileset,
    load_filesets,
)

__all__ = ["Dataset", "FileEntry", "Fileset", "Metadata", "load_fileset", "load_filesets"]
