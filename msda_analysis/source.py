"""What the numbers of code from outside the package depend on: that code."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

_PACKAGE = __name__.partition(".")[0]


def is_own(thing: type | Callable[..., Any]) -> bool:
    """Whether a class or a function comes from outside this package."""
    return thing.__module__.partition(".")[0] != _PACKAGE


@cache  # as the code was when first asked for: a file that is edited later does not change what runs
def code_digest(thing: type | Callable[..., Any]) -> str:
    """Digest of the code of a class or a function: of itself, of a class's bases outside this package, of what these use
    of their files, and of files beside these that they import, whole.

    Comments and layout do not count. What they import from elsewhere, such as installed packages, is not followed.

    Raises:
        ValueError: the source cannot be read, as of what was typed into a prompt or a notebook.
    """
    others = {_PACKAGE, "builtins", "abc"}
    bases = thing.__mro__ if isinstance(thing, type) else (thing,)
    parts = [part for base in bases if base.__module__.partition(".")[0] not in others for part in _parts(base)]
    return blake2b("\n\n".join(parts).encode(), digest_size=8).hexdigest()


def own_identity(thing: type | Callable[..., Any]) -> dict[str, str]:
    """What tells a class or a function from outside this package from every other: module, name and code.

    Raises:
        ValueError: see code_digest.
    """
    return {"module": thing.__module__, "name": thing.__qualname__, "code": code_digest(thing)}


def _parts(thing: Any) -> list[str]:
    """The top-level statements of a file that a class or a function of it is made of, by name, and the files beside it."""
    try:
        module = sys.modules[thing.__module__]
        tree = ast.parse(inspect.getsource(module))
    except (KeyError, OSError, TypeError) as error:
        kind = "class" if isinstance(thing, type) else "function"
        raise ValueError(
            f"{thing.__name__}: expected a {kind} whose source can be read, since results are known by it, got {error}; "
            f"put the {kind} in a file of its own and import it"
        ) from error
    bound: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _names_bound(statement):
            bound.setdefault(name, []).append(statement)
    found: dict[str, list[ast.stmt]] = {}
    wanted = [thing.__qualname__.partition(".")[0]]
    while wanted:
        name = wanted.pop()
        if name in bound and name not in found:
            found[name] = bound[name]
            wanted += [
                node.id for statement in bound[name] for node in ast.walk(statement) if isinstance(node, ast.Name)
            ]
    statements = [statement for name in sorted(found) for statement in found[name]]
    beside = _files_beside(statements, module, set())
    return [*map(ast.unparse, statements), *(beside[name] for name in sorted(beside))]


def _files_beside(statements: list[ast.stmt], module: Any, seen: set[str]) -> dict[str, str]:
    """Code of the imported modules whose files lie in the folder of this one's, and of those that these import so."""
    folder = Path(getattr(module, "__file__", None) or "").parent.resolve()
    found: dict[str, str] = {}
    for name in sorted(_imported(statements, module.__package__ or "") - seen):
        other = sys.modules.get(name)
        path = Path(getattr(other, "__file__", None) or "").resolve()
        if other is None or path.suffix != ".py" or folder not in path.parents:
            continue
        seen.add(name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found |= {name: ast.unparse(tree)} | _files_beside(tree.body, other, seen)
    return found


def _imported(statements: list[ast.stmt], package: str) -> set[str]:
    """Full names of modules that statements may import, those that are no modules among them."""
    names: set[str] = set()
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] if node.level else ""
            start = ".".join(filter(None, (base, node.module)))
            names |= {start} | {f"{start}.{alias.name}" for alias in node.names}
    return names


def _names_bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
