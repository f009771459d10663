"""Names of data, augmentations, attacks, networks and estimators from the source of their tables: a typo is answered before torch
is imported, which takes seconds."""

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from msda_analysis.texts import parse_call, split_alternation

_PACKAGE = Path(__file__).parents[1]
#: What is named -> the file that collects the tables of its folder, or has the table itself; the table's name.
_TABLES = {
    "families": ("masks/registry.py", "FAMILIES"), "mixers": ("mixing/text.py", "MIXERS"), "attacks": ("attacks/registry.py", "ATTACKS"),
    "networks": ("models/zoo.py", "NETWORKS"), "data": ("data/load.py", "LOADERS"), "methods": ("information/estimators.py", "ESTIMATORS"),
}  # fmt: skip

_QUOTED = ("attacks", "model", "methods")


def check_names(plan: Any) -> None:
    """Raise ValueError for a name that a plan cannot mean: one without a module or a kind before it that no table has.

    Plans check all else, and these names again, when they are made; what this lets pass is not said to be right.
    """
    for text in (*getattr(plan, "augmentations", ()), *getattr(plan, "more_masks", ()), *getattr(plan, "families", ())):
        more = "with settings as in fmix(decay_power=1.5), joined as in fmix+mixup, or a class of yours as in my_masks:Stripes(period=8)"
        _check("augmentation", _parts(text), ("baseline", *names_of("families"), *names_of("mixers")), more)
    data, attack, classifier = (getattr(plan, part, None) for part in ("data", "attack", "classifier"))
    if data is not None and plan.splits:
        _check(
            "dataset",
            [data.name],
            names_of("data"),
            "folder:PATH, npz:FILE, aeon:NAME or a function of yours as in my_data:load",
        )
    if attack is not None:
        _check("attacks", attack.attacks, names_of("attacks"))
    named = (getattr(plan, "model", ""), getattr(classifier, "model", ""), *getattr(plan, "networks", ()))
    networks = [model for model in named if model]
    _check(
        "model",
        networks,
        names_of("networks"),
        "torchvision:NAME, timm:NAME or a function of yours as in my_nets:build(width=2)",
    )
    _check("methods", getattr(plan, "methods", ()), names_of("methods"))


@cache
def names_of(kind: str) -> tuple[str, ...]:
    """Keys of a table, in the order of the files that hold its parts."""
    path, table = _TABLES[kind]
    registry = _PACKAGE / path
    tree = ast.parse(registry.read_text(encoding="utf-8"))
    files = [registry.with_name(f"{name}.py") for node in _assigned(tree, "FILES") for name in _words(node)]
    trees = [tree, *(ast.parse(file.read_text(encoding="utf-8")) for file in files)]
    return tuple(dict.fromkeys(key for each in trees for node in _assigned(each, table) for key in _keys(node)))


def _assigned(tree: ast.Module, name: str) -> Iterator[ast.expr]:
    for node in tree.body:
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        value = getattr(node, "value", None)
        if value is not None and any(isinstance(target, ast.Name) and target.id == name for target in targets):
            yield value


def _keys(node: ast.expr) -> Iterator[str]:
    """Of a dictionary, of one made in a loop over words, and of several joined by |."""
    if isinstance(node, ast.BinOp):
        yield from (*_keys(node.left), *_keys(node.right))
    elif isinstance(node, ast.DictComp):
        yield from _words(node.generators[0].iter)
    elif isinstance(node, ast.Dict):
        yield from (str(key.value) for key in node.keys if isinstance(key, ast.Constant))


def _words(node: ast.expr) -> list[str]:
    elements = node.elts if isinstance(node, (ast.Tuple, ast.List)) else []
    return [str(each.value) for each in elements if isinstance(each, ast.Constant)]


def _parts(text: str) -> list[str]:
    """Of an alternation; of what cannot be read none, which the plan's own check refuses in its words."""
    try:
        return split_alternation(text)
    except ValueError:
        return []


def _check(what: str, texts: Iterable[str], names: tuple[str, ...], more: str = "") -> None:
    for text in texts:
        call = parse_call(text.strip(), text, what=what) if ":" not in text else None
        if call is not None and call.name not in names:
            listed = [*map(repr, names)] if what in _QUOTED else [*names]  # as the tables' own errors have it
            raise ValueError(
                f"{what}: expected one of {', '.join([*listed, more][: None if more else -1])}; got {text!r}"
            )
