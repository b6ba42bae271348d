"""Packages import each other only downwards, and through their faces."""

import ast
import re
from pathlib import Path

import pytest

import bphcoffea

PACKAGE = Path(bphcoffea.__file__).parent
#: Packages from the bottom to the top; modules beside them are below all packages.
ORDER = (
    *("physics", "storage", "inputs", "reading", "luminosity", "corrections", "analysis"),
    *("datasets", "facilities", "results", "processing", "execution", "differences"),
    *("statistics", "training", "presentation", "searches", "toys", "report", "cli"),
)
#: What may be imported without any package, since everything else imports it.
BESIDE = {path.stem for path in PACKAGE.glob("*.py")}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py"))


def imports(path):
    """Modules of bphcoffea that a file imports, with the names, wherever the statement is."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bphcoffea"):
            yield node.module, [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "bphcoffea":
                    yield alias.name, []


def package_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def name_of(path):
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


def general_modules():
    """All but the toys, which have a rule of their own, and the program itself."""
    return [path for path in modules() if package_of(name_of(path)) not in ("toys", "__main__")]


def test_every_package_has_its_place():
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert packages == set(ORDER)


@pytest.mark.parametrize("path", general_modules(), ids=name_of)
def test_imports_go_downwards_and_through_faces(path):
    own = package_of(name_of(path))
    for module, names in imports(path):
        other = package_of(module)
        if other in ("", own, *BESIDE):
            continue
        assert own in ORDER, f"{own} imports {module}: it stands below all packages"
        assert ORDER.index(other) < ORDER.index(own), f"{own} imports {module}"
        face = PACKAGE.joinpath(*module.split(".")[1:])
        assert face.is_dir(), f"{name_of(path)} imports {module}, not its package"
        assert not any((face / f"{name}.py").exists() for name in names), (module, names)


def test_toys_are_independent_of_what_they_test():
    for path in PACKAGE.glob("toys/**/*.py"):
        others = {module for module, _ in imports(path) if package_of(module) != "toys"}
        assert others <= {"bphcoffea.physics.constants"}, path


def test_nothing_general_knows_a_search():
    searches = {path.parent.name for path in PACKAGE.glob("searches/*/__init__.py")}
    word = re.compile(rf"searches\.({'|'.join(searches)})")
    for path in modules():
        if "searches" not in path.relative_to(PACKAGE).parts:
            assert not word.search(path.read_text()), path


def test_the_heavy_neutral_lepton_is_known_to_its_guest_alone():
    homes = (PACKAGE / "searches" / "hnl", PACKAGE / "toys" / "hnl", PACKAGE / "inputs/wztree.py")
    for path in (*modules(), *PACKAGE.rglob("*.pyi")):
        if not any(path.is_relative_to(home) for home in homes):
            assert "hnl" not in path.read_text().lower(), path
