"""Finding an analysis by the name or path of its file, and making it travel to workers."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import cloudpickle
from pydantic import ValidationError
from pydantic_core import ErrorDetails

import bphcoffea
from bphcoffea.analysis import Analysis
from bphcoffea.errors import DeclarationError, InputError

#: Attribute of an analysis's module: hash of its code and of the modules beside it.
SOURCE_SHA256 = "__bphcoffea_source_sha256__"

#: Modules that the last analysis imported from beside its file.
_loaded_beside: set[str] = set()


def load_analysis(name: str) -> Analysis:
    """An analysis, ready to run.

    Its module, and the modules beside it that it imports, are pickled by value: workers need only
    an installed ``bphcoffea``, not these files.

    Parameters
    ----------
    name
        The name of an analysis that is shipped, a path ``my/analysis.py``, or, where a file holds
        several analyses, ``my/analysis.py:Class``.

    Raises
    ------
    InputError
        When there is no such file, not exactly one analysis in it, or one that declares something
        wrong: then with the line of the file.
    """
    place, _, class_name = name.partition(":")
    path = _find(place)
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
        wanted = f"no analysis {class_name}".rstrip()
        raise InputError(f"{path}: holds {wanted}; write a class that derives from Analysis")
    if len(analyses) > 1:
        raise InputError(f"{path}: holds {', '.join(analyses)}; name one as {place}:Class")
    with _declarations_of(path):
        return next(iter(analyses.values()))()


def analyses_shipped() -> list[str]:
    """Names of the analyses that come with the project."""
    return sorted(path.stem for path in _shipped().glob("[!_]*.py"))


def lines_about(name: str) -> list[str]:
    """Say which file is meant by the name or path of an analysis.

    Parameters
    ----------
    name
        As for :func:`load_analysis`.

    Returns
    -------
    A line with the path of the file, and one about a file of that name in ``processors/`` of the
    current folder, if it differs from the shipped one.

    Raises
    ------
    InputError
        When there is no such file.
    """
    place, _, _ = name.partition(":")
    path = _find(place)
    if path.parent != _shipped():
        return [f"analysis: {path}"]
    lines = [f"analysis: {path.stem} (shipped with bphcoffea {bphcoffea.__version__}: {path})"]
    own = Path("processors", f"{place}.py")
    if not _is_path(place) and own.is_file() and own.read_bytes() != path.read_bytes():
        lines.append(f"note: {own} differs from it, and is not what is run; to run it, write {own}")
    return lines


def _find(place: str) -> Path:
    if _is_path(place):
        path = Path(place)
        if not path.is_file():
            raise InputError(f"{place}: no such analysis file")
        return path.absolute()
    path = _shipped() / f"{place}.py"
    if path.is_file():
        return path
    own = [
        file for file in (Path("processors", f"{place}.py"), Path(f"{place}.py")) if file.is_file()
    ]
    hint = (
        f"or, for your own, {own[0]}"
        if own
        else "or give the path of a file such as my/analysis.py"
    )
    raise InputError(
        f"unknown analysis '{place}'; there are: {', '.join(analyses_shipped())}, {hint}"
    )


def _is_path(place: str) -> bool:
    return place.endswith(".py") or "/" in place


def _shipped() -> Path:
    """The folder of the analyses that come with the project: of the package, or of a checkout."""
    package = Path(bphcoffea.__file__).absolute().parent
    installed = package / "_shipped" / "processors"
    return installed if installed.is_dir() else package.parents[1] / "processors"


def _import(path: Path) -> ModuleType:
    # a prefix of our own: an analysis may be called as a module of the standard library
    name = f"bphcoffea_analyses.{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"{path}: not a Python file")
    for stale in _loaded_beside:  # edited since, or of another analysis's folder
        sys.modules.pop(stale, None)
    _loaded_beside.clear()
    before = set(sys.modules)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    with _importable_from(path.parent):
        try:
            with _declarations_of(path):
                spec.loader.exec_module(module)
        except SyntaxError as error:
            raise InputError(f"{error.filename}, line {error.lineno}: {error.msg}") from None
        finally:
            # also after a fault: the file may be mended, and loaded again by the same process
            beside = {
                other: Path(file)
                for other in set(sys.modules) - before - {name}
                if (file := getattr(sys.modules[other], "__file__", None)) is not None
                and path.parent in Path(file).absolute().parents
            }
            _loaded_beside.update(beside)
    for other in (name, *beside):
        cloudpickle.register_pickle_by_value(sys.modules[other])
    sources = [path, *beside.values()]
    # of what was imported, not of what the files hold by the time it is asked for
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes())
    setattr(module, SOURCE_SHA256, digest.hexdigest())
    return module


@contextlib.contextmanager
def _declarations_of(path: Path) -> Iterator[None]:
    """Add file and line to what is declared wrongly in a file, or in modules beside it."""
    try:
        yield
    except (DeclarationError, ValidationError) as error:
        place, package = str(path), Path(bphcoffea.__file__).parent
        for frame in traceback.extract_tb(error.__traceback__):
            file = Path(frame.filename)
            beside = path.parent in file.parents and package not in file.parents
            if file == path or beside:
                place = f"{file}, line {frame.lineno}"
        lines = str(error).splitlines()
        if isinstance(error, ValidationError):  # of a MassModel or a Peak
            lines = [_in_words(error.title, fault) for fault in error.errors()]
        raise DeclarationError("\n".join(f"{place}: {line}" for line in lines)) from None


def _in_words(name: str, fault: ErrorDetails) -> str:
    where = ".".join(str(part) for part in fault["loc"])
    return f"{name}{f' ({where})' if where else ''}: {fault['msg'].removeprefix('Value error, ')}"


@contextlib.contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
