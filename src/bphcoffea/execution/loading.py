"""Load an analysis by the name or path of its file, so that it can be sent to workers."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from importlib.machinery import (
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    SourceFileLoader,
)
from pathlib import Path
from types import CodeType, ModuleType

import cloudpickle
from pydantic import ValidationError
from typing_extensions import override

import bphcoffea
from bphcoffea.analysis import Analysis
from bphcoffea.documents import faults
from bphcoffea.errors import DeclarationError, RunError, alternatives
from bphcoffea.shipped import shipped_analyses, shipped_folder

#: Attribute of an analysis module with the hash of its code, and of the modules beside it.
SOURCE_SHA256 = "__bphcoffea_source_sha256__"
#: Attribute with the text of these files, by their path from the folder of the analysis.
SOURCES = "__bphcoffea_sources__"

#: Modules that the last analysis imported from the folder of its file.
_local_modules: set[str] = set()


def load_analysis(name: str) -> Analysis:
    """Load an analysis.

    Its module, and the modules beside it that it imports, are pickled by value: workers need an
    installed ``bphcoffea``, but not these files.

    Parameters
    ----------
    name
        Name of a shipped analysis, a path ``my/analysis.py``, or ``my/analysis.py:Class`` if the
        file contains several analyses.

    Raises
    ------
    RunError
        If there is no such file, or it does not contain exactly one analysis.
    DeclarationError
        If the analysis declares something wrong; the message gives the line of the file.

    Examples
    --------
    >>> load_analysis("ds_phipi").name()
    'ds_phipi'
    """
    file, _, class_name = name.partition(":")
    path = find_analysis(file)
    module = _import(path)
    analyses = {
        key: value
        for key, value in vars(module).items()
        if inspect.isclass(value)
        and issubclass(value, Analysis)
        and value.__module__ == module.__name__
    }
    if class_name:
        analyses = {key: value for key, value in analyses.items() if key == class_name}
    if not analyses:
        missing = f"no analysis {class_name}".rstrip()
        raise RunError(f"{path}: contains {missing}; add a class that derives from Analysis")
    if len(analyses) > 1:
        raise RunError(f"{path}: contains {', '.join(analyses)}; choose one as {file}:Class")
    with _declarations_of(path):
        return next(iter(analyses.values()))()


def source_notes(name: str) -> list[str]:
    """Return a line with the file of an analysis, and a note if another file may be meant.

    Parameters
    ----------
    name
        Name or path, see :func:`load_analysis`. The note is about a different file of the same
        name in ``processors/`` of the current folder, which is not run.

    Raises
    ------
    RunError
        If there is no such file.
    """
    file, _, _ = name.partition(":")
    path = find_analysis(file)
    if path.parent != shipped_folder("processors"):
        return [f"analysis: {path}"]
    lines = [f"analysis: {path.stem} (shipped with bphcoffea {bphcoffea.__version__}: {path})"]
    local = Path("processors", f"{file}.py")
    if not _is_path(file) and local.is_file() and local.read_bytes() != path.read_bytes():
        lines.append(f"note: {local} differs from it, and is not run; to run it, write {local}")
    return lines


def find_analysis(name: str) -> Path:
    """Return the file of an analysis; for the parameter and errors see :func:`load_analysis`."""
    if _is_path(name):
        path = Path(name)
        if not path.is_file():
            raise RunError(f"{name}: no such analysis file")
        return path.absolute()
    available = shipped_analyses()
    if name in available:
        return available[name]
    candidates = (Path("processors", f"{name}.py"), Path(f"{name}.py"))
    local = next((str(file) for file in candidates if file.is_file()), None)
    raise RunError(
        f"unknown analysis '{name}'{alternatives(name, available, 'available')}; or give the path "
        f"of a file"
        f"{f', {local}' if local else ' such as my/analysis.py'}"
    )


def _is_path(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _import(path: Path) -> ModuleType:
    # with a prefix, because an analysis may have the name of a module of the standard library
    name = f"bphcoffea_analyses.{path.stem}"
    loader = _Source(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None or path.suffix not in SOURCE_SUFFIXES:
        raise RunError(f"{path}: not a Python file")
    for stale in _local_modules:  # edited since, or of another analysis
        sys.modules.pop(stale, None)
    _local_modules.clear()
    before = set(sys.modules)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _importable_from(path.parent):
        try:
            with _declarations_of(path):
                loader.exec_module(module)
        except SyntaxError as error:
            raise RunError(f"{error.filename}, line {error.lineno}: {error.msg}") from None
        finally:
            # also after an error: the same process may load the file again once it is mended
            beside = {
                other: Path(file)
                for other in set(sys.modules) - before - {name}
                if (file := getattr(sys.modules[other], "__file__", None)) is not None
                and path.parent in Path(file).absolute().parents
            }
            _local_modules.update(beside)
    for other in (name, *beside):
        cloudpickle.register_pickle_by_value(sys.modules[other])
    # read now, because the files may change after the import
    sources = {
        file: file.read_bytes() for file in sorted(f.absolute() for f in (path, *beside.values()))
    }
    setattr(module, SOURCE_SHA256, hashlib.sha256(b"".join(sources.values())).hexdigest())
    texts = {str(f.relative_to(path.parent)): text.decode() for f, text in sources.items()}
    setattr(module, SOURCES, texts)
    return module


@contextlib.contextmanager
def _declarations_of(path: Path) -> Iterator[None]:
    """Add file and line to errors of declarations in a file, or in modules beside it."""
    try:
        yield
    except (DeclarationError, ValidationError) as error:
        location, package = str(path), Path(bphcoffea.__file__).parent
        for frame in traceback.extract_tb(error.__traceback__):
            file = Path(frame.filename)
            beside = path.parent in file.parents and package not in file.parents
            if file == path or beside:
                location = f"{file}, line {frame.lineno}"
        lines = str(error).splitlines()
        if isinstance(error, ValidationError):  # of a MassModel or a Peak
            lines = [f"{'.'.join((error.title, *keys))}: {text}" for keys, text, _ in faults(error)]
        raise DeclarationError("\n".join(f"{location}: {line}" for line in lines)) from None


class _Source(SourceFileLoader):
    """Loader of modules as their text is now.

    Python keeps compiled modules, and tells an edited one by the second of its last change and its
    size alone: one digit, changed soon after a run, would have no effect.
    """

    @override
    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        code: CodeType = self.source_to_code(self.get_data(path), path)
        return code


@contextlib.contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    loaders = (ExtensionFileLoader, EXTENSION_SUFFIXES), (_Source, SOURCE_SUFFIXES)
    sys.path.insert(0, str(folder))
    sys.path_importer_cache[str(folder)] = FileFinder(str(folder), *loaders)
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        sys.path_importer_cache.pop(str(folder), None)
