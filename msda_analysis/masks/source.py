"""What the numbers of a class from outside the package depend on: its code."""

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b


@cache  # as the code was when first asked for: a file that is edited later does not change what runs
def code_digest(kind: type) -> str:
    """Digest of the code of a class: of itself, of its bases outside this package, and of what these use of their files.

    Comments and layout do not count. What they import from other files is not followed.

    Raises:
        ValueError: the source cannot be read, as of a class typed into a prompt or a notebook.
    """
    package = __name__.partition(".")[0]
    others = {package, "builtins", "abc"}
    parts = [part for base in kind.__mro__ if base.__module__.partition(".")[0] not in others for part in _parts(base)]
    return blake2b("\n\n".join(parts).encode(), digest_size=8).hexdigest()


def _parts(kind: type) -> list[str]:
    """The top-level statements of a class's file that the class is made of, by name."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[kind.__module__]))
    except (KeyError, OSError, TypeError) as error:
        raise ValueError(
            f"{kind.__name__}: expected a class whose source can be read, since results are known by it, got {error}; "
            "put the class in a file of its own and import it"
        ) from error
    bound: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _names_bound(statement):
            bound.setdefault(name, []).append(statement)
    found: dict[str, list[ast.stmt]] = {}
    wanted = [kind.__qualname__.partition(".")[0]]
    while wanted:
        name = wanted.pop()
        if name in bound and name not in found:
            found[name] = bound[name]
            wanted += [
                node.id for statement in bound[name] for node in ast.walk(statement) if isinstance(node, ast.Name)
            ]
    return [ast.unparse(statement) for name in sorted(found) for statement in found[name]]


def _names_bound(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
        return
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield (node.asname or node.name).partition(".")[0]
