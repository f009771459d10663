"""Try out the faults of mutants.py, one at a time: do the tests named beside each notice it?

    python tests/mutate.py            # all, or those whose line holds one of the words given
    python tests/mutate.py --clean    # the same tests on the code as it is

Nothing is written: a mutant's functions get their new code in a fork of a process that has collected the tests.
"""

import importlib
import os
import resource
import sys
import time
import types
from collections import Counter
from pathlib import Path

import pytest
from mutants import GROUPS

ROOT = Path(__file__).parents[1]
_SECONDS = 120  # of processor time, after which a mutant counts as noticed: it does not end


class Mutator:
    """A pytest plugin: instead of running the tests once, the chosen ones run again for every mutant."""

    def __init__(self, chosen, *, is_clean):
        self.chosen, self.is_clean, self.failed, self.scores = chosen, is_clean, False, Counter()

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed

    def pytest_runtestloop(self, session):
        for group, place, old, new, file, words in self.chosen:
            items = [item for item in session.items if item.path.name == file and is_named(item.name, words)]
            found = self.in_a_fork(items, place, old, new)
            self.scores[group, found] += 1
            print(f"{found:9} {group:12} {place:24} {old.strip()[:50]!r} -> {new.strip()[:50]!r}", flush=True)
        for (group, found), count in sorted(self.scores.items()):
            print(f"{group}: {count} {found}", flush=True)
        return True

    def in_a_fork(self, items, place, old, new):
        if not items:
            return "NO TEST"
        child = os.fork()
        if child:
            status = os.waitpid(child, 0)[1]
            return {0: "SURVIVED", 256: "killed", 512: "NO MUTANT", 768: "BROKEN"}.get(status, f"killed {status}")
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1), os.dup2(silence, 2)
        used = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (used + _SECONDS, used + _SECONDS))
        try:
            if not self.is_clean and not install(place, old, new):
                os._exit(2)
        except BaseException:
            os._exit(3)  # no mutant that could run: it says nothing of the tests
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                os._exit(1)
        os._exit(0)


def is_named(name, words):
    """Whether a test's name holds the words, joined by "and" and "or" as pytest's -k takes them."""
    return any(all(word in name for word in part.split(" and ")) for part in words.split(" or "))


def install(place, old, new):
    """Give a module's functions and constants what the mutated source says; how many were changed."""
    path = find("msda_analysis", place)
    text = path.read_text()
    if text.count(old) != 1:
        return 0
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    module, mutant = importlib.import_module(name), types.ModuleType(name)
    mutant.__file__, sys.modules[name] = str(path), mutant  # dataclasses look themselves up there
    exec(compile(text.replace(old, new), str(path), "exec"), vars(mutant))
    sys.modules[name] = module
    both = [key for key in vars(module) if key in vars(mutant) and not key.startswith("__")]
    return sum(replace_constant(module, mutant, key) + swap(vars(module)[key], vars(mutant)[key], name) for key in both)


def replace_constant(module, mutant, name):
    """Where a constant differs, set it in every module that has it by that name."""
    old, new = getattr(module, name), getattr(mutant, name)
    if not isinstance(old, (int, float, str, tuple)) or old == new:
        return 0
    for other in [value for key, value in sys.modules.items() if key.startswith(("msda_analysis", "test_"))]:
        if vars(other).get(name) is old:
            setattr(other, name, new)
    return 1


def swap(old, new, owner):
    """Give functions their new code, in classes and dictionaries too; they stay the objects that others hold."""
    if isinstance(old, dict):
        return sum(swap(old[key], new[key], owner) for key in list(old) if key in new)
    if isinstance(old, (staticmethod, classmethod)):
        return swap(old.__func__, new.__func__, owner)
    if isinstance(old, property):
        return swap(old.fget, new.fget, owner)
    if getattr(old, "__module__", None) != owner:
        return 0
    if isinstance(old, types.FunctionType) or hasattr(old, "__wrapped__"):
        return swap_code(old, new)
    inside = [key for key in getattr(old, "__dict__", ()) if key in vars(new) and not key.startswith("__dataclass")]
    return sum(swap(vars(old)[key], vars(new)[key], owner) for key in inside)


def swap_code(old, new):
    """Code and defaults of a function, through decorators; how many changed."""
    while hasattr(old, "__wrapped__"):
        old, new = old.__wrapped__, new.__wrapped__
    count = 0
    for part in ("__code__", "__defaults__", "__kwdefaults__"):
        if repr_of(getattr(old, part)) != repr_of(getattr(new, part)):
            setattr(old, part, getattr(new, part))
            count += 1
    return count


def repr_of(part):
    """Something to compare: of code, its instructions and constants, those of inner functions included."""
    if isinstance(part, types.CodeType):
        return part.co_code, part.co_names, tuple(map(repr_of, part.co_consts))
    return repr(part)


def find(folder, place):
    """The one file below a folder whose path ends so."""
    (path,) = [path for path in (ROOT / folder).rglob(Path(place).name) if path.as_posix().endswith("/" + place)]
    return path


def main(words):
    is_clean = "--clean" in words
    words = [word for word in words if word != "--clean"]
    chosen = [(group, *mutant) for group, mutants in GROUPS.items() for mutant in mutants]
    chosen = [mutant for mutant in chosen if not words or any(word in " ".join(mutant) for word in words)]
    files = sorted({str(find("tests", mutant[4])) for mutant in chosen})
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    arguments = ["-n0", "-q", "-s", "--no-header", "-p", "no:cacheprovider"]
    return pytest.main([*arguments, *files], plugins=[Mutator(chosen, is_clean=is_clean)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
