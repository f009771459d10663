"""A folder's plan grows: it takes more of what there may be more of, and refuses what contradicts it."""

from dataclasses import fields, is_dataclass, replace
from typing import Any

from msda_analysis.settings import from_settings, unchecked
from msda_analysis.studies.plan import Plan


def grow(known: Any, plan: Plan) -> Plan:
    """Both plans in one: what either asks for, a title from the newer, and a reference, where the newer names one.

    Args:
        known: identity of the plan that is there.
        plan: what is asked for now.

    Raises:
        ValueError: they contradict each other; the message is the names of the settings, at most five.
    """
    name = type(plan).__name__
    if not isinstance(known, dict) or "kind" not in known:
        raise ValueError("its format")
    if known["kind"] != name:
        raise ValueError(f"kind ({known['kind']}, now {name})")
    with unchecked():  # it was checked when it came
        old = from_settings(known, type(plan))
        differences: list[str] = []
        both = _merge(old, plan, plan.grows, differences)
    if differences:
        raise ValueError(", ".join(differences[:5]))
    return replace(both)  # checked


def _merge(old: Any, new: Any, grows: tuple[str, ...], differences: list[str], prefix: str = "") -> Any:
    """Both settings objects in one; adds to `differences` what cannot be."""
    values: dict[str, Any] = _merge_seeds(old, new, differences) if hasattr(new, "first_seed") else {}
    if hasattr(new, "reference"):
        values["reference"] = new.reference or old.reference
    for name in (each.name for each in fields(new) if each.name not in (*values, "title", "root")):
        a, b, path = getattr(old, name), getattr(new, name), prefix + name
        if path in grows:
            values[name] = _more(a, b)
        elif is_dataclass(a) and type(a) is type(b):
            values[name] = _merge(a, b, grows, differences, f"{path}.")
        elif is_dataclass(a) and b is None:
            values[name] = a
        elif a != b and not (is_dataclass(b) and a is None):
            differences.append(f"{path} ({a!r}, now {b!r})")
    return replace(new, **values)


def _more(a: Any, b: Any) -> Any:
    """All that is in either; of two numbers the larger, where None is as many as there are."""
    if isinstance(a, tuple):
        return (*a, *(each for each in b if each not in a))
    return None if a is None or b is None else max(a, b)


def _merge_seeds(old: Any, new: Any, differences: list[str]) -> dict[str, int]:
    first = min(old.first_seed, new.first_seed)
    end = max(old.first_seed + old.n_seeds, new.first_seed + new.n_seeds)
    if end - first > old.n_seeds + new.n_seeds:
        differences.append(
            f"first_seed ({old.first_seed}, now {new.first_seed}: seeds of one folder follow each other)"
        )
    return {"first_seed": first, "n_seeds": end - first}
