"""Filesets: which files make up which dataset, and what is known of it."""

from bphcoffea.datasets.model import Dataset, FileEntry, Fileset, Metadata, load, load_all

__all__ = ["Dataset", "FileEntry", "Fileset", "Metadata", "load", "load_all"]
