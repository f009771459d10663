"""What each step's numbers depend on, and the record that a change of it must be owned up to.

    python tests/studies/formats.py                      # after a step's FORMAT was raised: writes formats.json
    python tests/studies/formats.py "renamed, no number" # after a change that moves no number: notes why

A finished cell is done for good: its name says what was asked, and FORMAT in its step's file stands for the code that
answered. Code that changes numbers without a new FORMAT would leave old numbers among new ones, so formats.json holds a
digest of every module that a step draws on, comments and docstrings left out, and test_formats.py compares.
"""

import ast
import json
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[2] / "msda_analysis"
RECORD = Path(__file__).with_name("formats.json")
STEPS = sorted(
    path.stem
    for path in (PACKAGE / "studies" / "steps").glob("*.py")
    if "\nSTEPS = " in path.read_text(encoding="utf-8")
)
#: Carry numbers or words, and decide none.
_CARRIERS = ("studies", "results", "files", "environment", "checks", "settings", "report", "endings")


@cache
def drawn_on(step: str) -> set[str]:
    """Modules that decide a step's numbers: its own, and what that imports by name, and so on."""
    found: set[str] = set()
    rest = [f"msda_analysis.studies.steps.{step}"]
    while rest:
        module = rest.pop()
        if module not in found:
            found.add(module)
            rest += [each for each in _imports(module) if not each.split(".")[1].startswith(_CARRIERS)]
    return found


def digest(module: str) -> str:
    """Of a module's code, without comments, docstrings, layout, and the number that is compared apart."""
    return _digest(_source(module))


@cache
def _digest(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    tree.body = [each for each in tree.body if not _is_format(each)]
    return blake2b(ast.unparse(tree).encode(), digest_size=8).hexdigest()


def format_of(step: str) -> int:
    """FORMAT of a step's file."""
    values = [each.value for each in _parse(f"msda_analysis.studies.steps.{step}").body if _is_format(each)]
    (number,) = values
    return ast.literal_eval(number)


def unowned(record: dict[str, Any]) -> dict[str, list[str]]:
    """Step -> modules that changed since the record was written, although its FORMAT did not."""
    today = take_stock()
    moved = {name for name, found in today["modules"].items() if record["modules"].get(name) != found}
    known = [step for step in STEPS if record["formats"].get(step) == today["formats"][step]]
    return {step: sorted(moved & drawn_on(step)) for step in known if moved & drawn_on(step)}


def take_stock() -> dict[str, Any]:
    """The record as it should be now."""
    modules = sorted(set().union(*map(drawn_on, STEPS)))
    return {"formats": {step: format_of(step) for step in STEPS}, "modules": {name: digest(name) for name in modules}}


def read_record() -> dict[str, Any]:
    return json.loads(RECORD.read_text(encoding="utf-8"))


def _imports(module: str) -> Iterator[str]:
    """Modules of this package that a module takes names from, found where these are made and not where they are passed on."""
    for node in ast.walk(_parse(module)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("msda_analysis"):
            for alias in node.names:
                yield from _homes(str(node.module), alias.name)
        elif (
            isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FILES"
        ):  # a registry: those of its folder
            yield from (f"{module.rpartition('.')[0]}.{name}" for name in ast.literal_eval(node.value))


def _homes(module: str, name: str) -> Iterator[str]:
    if _path(f"{module}.{name}").exists() or _path(f"{module}.{name}", "__init__").exists():
        yield f"{module}.{name}"
    elif not _path(module, "__init__").exists():
        yield module
    else:
        for node in ast.walk(_parse(module)):
            if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
                yield from _homes(str(node.module), name)


def _path(module: str, *more: str) -> Path:
    return PACKAGE.parent.joinpath(*module.split("."), *more).with_suffix(".py")


def _source(module: str) -> str:
    path = _path(module) if _path(module).exists() else _path(module, "__init__")
    return path.read_text(encoding="utf-8")


@cache
def _parse(module: str) -> ast.Module:
    return ast.parse(_source(module))


def _is_format(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "FORMAT"


def main(reasons: list[str]) -> int:
    """Write the record, where every change is owned up to."""
    old: dict[str, Any] = read_record() if RECORD.exists() else {"formats": {}, "modules": {}}
    open_questions = unowned(old)
    if open_questions and not reasons:
        print(f"raise FORMAT, or say why no number moves: {json.dumps(open_questions, indent=1)}", file=sys.stderr)
        return 1
    changed = sorted({module for modules in open_questions.values() for module in modules})
    kept = {name: why for name, why in old.get("no_number_moved", {}).items() if name not in changed}
    new = take_stock() | {"no_number_moved": kept | dict.fromkeys(changed, " ".join(reasons))}
    RECORD.write_text(json.dumps(new, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
