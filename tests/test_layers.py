"""Imports point one way: the table of who may import whom, held against every module."""

import ast
import graphlib
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "msda_analysis"
MODULES = sorted(PACKAGE.rglob("*.py"))

_BOTTOM = {"checks", "files", "rng", "estimate", "environment"}
_MEASURED = {*_BOTTOM, "masks"}
#: Whole permission of each top-level module or package, besides its own modules.
ALLOWED: dict[str, set[str]] = {
    "checks": set(),
    "rng": set(),
    "texts": set(),
    "source": set(),
    "estimate": set(),
    "files": set(),
    "environment": set(),
    "endings": set(),
    "data": {"checks", "files", "rng", "source", "texts"},
    "masks": {"checks", "rng", "source", "texts"},
    "mixing": {"masks", "models", "checks", "rng", "source", "texts"},
    "models": {"checks", "files", "rng", "source", "texts"},
    "settings": set(),
    "training": {"data", "masks", "mixing", "models", "checks", "rng", "settings", "files", "endings"},
    "information": {*_MEASURED, "models"},
    "attacks": {"checks", "rng", "models"},
    "robustness": {*_MEASURED, "data", "models", "attacks", "results", "report"},
    "attribution": {"checks", "rng", "estimate", "models"},
    "mask_stats": _BOTTOM,
    "audit": {"checks", "rng", "estimate", "masks", "mixing", "mask_stats", "texts"},
    "bench": {*_BOTTOM, "data", "masks", "mixing", "models", "training", "attacks", "robustness", "texts"},
    "results": {"estimate", "files", "environment", "settings"},
    "report": {"results", "estimate", "files"},
}
_LINE = set(ALLOWED)
ALLOWED |= {
    "studies": _LINE,
    "commands": {"settings", "studies"},
    "cli": {*_LINE, "studies", "commands", "endings"},
    "__init__": _LINE,  # its names are for everybody
    "__main__": {"cli"},
}

#: The only modules that may import a third-party package, as path prefixes inside the package.
BORDERS = {
    "foolbox": ("attacks/foolbox_adapter.py",),
    "eagerpy": ("attacks/foolbox_adapter.py",),
    "captum": ("attribution/grad_cam.py",),
    "matplotlib": ("report/", "robustness/show.py"),  # there the name of a type alone
    "seaborn": ("report/",),
    "ray": ("studies/cluster.py",),
}
_BOTTOM_THIRD_PARTY = {"checks": {"torch"}, "files": set(), "rng": {"torch", "numpy"}, "estimate": {"scipy"}}


class ImportFinder(ast.NodeVisitor):
    """Full names of all imports: those inside functions, those for type checkers, and those by a name in quotes, too."""

    def __init__(self):
        self.names: list[str] = []

    def visit_Call(self, node):
        if ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            self.names += [word.value for word in node.args if isinstance(word, ast.Constant)]
        self.generic_visit(node)

    def visit_Import(self, node):
        self.names += [alias.name for alias in node.names]

    def visit_ImportFrom(self, node):
        assert node.level == 0, "imports are absolute here"
        assert node.module is not None
        # `from msda_analysis import checks` names a module, so the imported names count too
        self.names += [f"{node.module}.{alias.name}" for alias in node.names]


@cache
def imports_of(source: str) -> list[str]:
    finder = ImportFinder()
    finder.visit(ast.parse(source))
    return finder.names


def unit_of(path: Path) -> str:
    """Top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def own_units(names: list[str]) -> set[str]:
    return {name.split(".")[1] for name in names if name.startswith("msda_analysis.")}


def module_id(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


def test_every_module_is_in_the_table_and_was_seen():
    units = {unit_of(path) for path in MODULES}
    assert units == set(ALLOWED), "a new module or package needs its line in the table, a removed one loses it"
    on_disk = {path.stem if path.suffix else path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert units == on_disk - {"py"}
    assert len(MODULES) >= 55


@pytest.mark.parametrize("path", MODULES, ids=module_id)
def test_imports_are_permitted(path):
    unit = unit_of(path)
    forbidden = own_units(imports_of(path.read_text(encoding="utf-8"))) - ALLOWED[unit] - {unit}
    assert not forbidden, f"{module_id(path)} may not import {sorted(forbidden)}"


@pytest.mark.parametrize("package", BORDERS)
def test_third_party_packages_stay_behind_their_borders(package):
    users = {module_id(path) for path in MODULES if package in _roots(path)}
    outside = {user for user in users if not user.startswith(BORDERS[package])}
    assert not outside, f"{package} is imported by {sorted(outside)}"


def test_triton_stays_in_its_own_modules():
    users = [path for path in MODULES if "triton" in _roots(path)]
    assert all(path.parent.name == "masks" and path.stem.endswith("_triton") for path in users)


def test_the_borders_are_about_packages_in_use():
    used = set().union(*(_roots(path) for path in MODULES))
    assert {"foolbox", "matplotlib"} <= used


@pytest.mark.parametrize("name", _BOTTOM_THIRD_PARTY)
def test_the_bottom_needs_little(name):
    import sys

    roots = _roots(PACKAGE / f"{name}.py") - set(sys.stdlib_module_names)
    assert roots <= _BOTTOM_THIRD_PARTY[name]


def test_the_table_has_no_circle():
    seen: set[str] = set()
    rest = {unit: set(needs) - {unit} for unit, needs in ALLOWED.items()}
    while rest:
        free = {unit for unit, needs in rest.items() if needs <= seen}
        assert free, f"circle among {sorted(rest)}"
        seen |= free
        rest = {unit: needs for unit, needs in rest.items() if unit not in free}


@pytest.mark.parametrize(
    "source, expected",
    [
        ("def f():\n    from msda_analysis.training import fit_vae", {"training"}),
        ("from msda_analysis import mask_stats, robustness", {"mask_stats", "robustness"}),
        ("import msda_analysis.data.loader as x", {"data"}),
        (
            "if TYPE_CHECKING:\n    from msda_analysis.cli import main\nelse:\n    import msda_analysis.masks",
            {"cli", "masks"},
        ),
        ("importlib.import_module('msda_analysis.studies.run')", {"studies"}),
        ("__import__('msda_analysis.bench')", {"bench"}),
        ("if fast:\n    import msda_analysis.rng", {"rng"}),
    ],
)
def test_the_finder_sees(source, expected):
    assert own_units(imports_of(source)) == expected


def test_no_module_imports_itself_by_way_of_others():
    """Inside packages too, where the table does not look."""
    names = {module_name(path) for path in MODULES}
    needs = {}
    for path in MODULES:
        found = {nearest_module(name, names) for name in imports_of(path.read_text(encoding="utf-8"))}
        needs[module_name(path)] = found - {None, module_name(path)}
    graphlib.TopologicalSorter(needs).prepare()  # raises CycleError, which names the circle


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def nearest_module(name: str, names: set[str]) -> str | None:
    while name and name not in names:
        name = name.rpartition(".")[0]
    return name or None


def _roots(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path.read_text(encoding="utf-8"))} - {"msda_analysis"}
