"""The repository keeps its own rules: settings name real folders, no global randomness, no machine's traces in files."""

import ast
import socket
import subprocess
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MODULES = sorted((ROOT / "msda_analysis").rglob("*.py"))

#: Draws and seeds of torch that use the global generator unless one is given.
_TORCH_DRAWS = {
    "rand", "randn", "randint", "randperm", "bernoulli", "multinomial", "normal", "poisson", "dropout",
}  # fmt: skip
_TORCH_LIKE = {"rand_like", "randn_like", "randint_like"}  # take no generator in every version we support
_TORCH_SEEDS = {"manual_seed", "seed"}
_TENSOR_DRAWS = {"normal_", "uniform_", "bernoulli_", "random_", "exponential_", "log_normal_", "geometric_", "cauchy_"}
_NUMPY_OWN = {"Generator", "Philox", "default_rng", "SeedSequence", "PCG64", "BitGenerator"}
#: Modules with such calls, how many, and why.
_KNOWN_DRAWS = {
    "models/pyramidnet.py": 3,  # ShakeDrop draws as nn.Dropout does; the training loop seeds and restores that generator
    "mixing/seeds.py": 6,  # others' mixing code draws from the global generators: set, and put back, around each call
    "training/loop.py": 1,  # layers such as dropout draw from the default generator: set, and put back, around a run
    "attacks/foolbox_adapter.py": 1,  # foolbox can only draw from the global generator, which is forked around it
}


def test_tool_settings_name_folders_that_exist():
    tools = SETTINGS["tool"]
    folders = [
        *tools["pytest"]["ini_options"]["testpaths"],
        *tools["ruff"]["extend-exclude"],
        *tools["hatch"]["build"]["targets"]["wheel"]["packages"],
        *(folder for checker in ("pyright", "basedpyright") for folder in tools.get(checker, {}).get("include", ())),
    ]
    assert len(folders) >= 4
    for folder in folders:
        assert (ROOT / folder).is_dir(), folder


def test_the_command_exists():
    module, name = SETTINGS["project"]["scripts"]["msda-analysis"].split(":")
    assert callable(getattr(__import__(module, fromlist=[name]), name))


def test_pinned_versions_meet_the_declared_ranges():
    from packaging.requirements import Requirement

    pinned = {r.name: r.specifier for r in map(Requirement, SETTINGS["tool"]["uv"]["constraint-dependencies"])}
    declared = [Requirement(line) for line in SETTINGS["project"]["dependencies"]]
    assert len(declared) >= 10
    for requirement in declared:
        if requirement.name in pinned:
            (exact,) = pinned[requirement.name]
            assert exact.operator == "==" and exact.version in requirement.specifier, requirement.name


def global_draws(source: str) -> list[str]:
    """Calls that draw from, or seed, a global generator of random, NumPy or torch."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names):
            found.append(f"line {node.lineno}: import random")
        if isinstance(node, ast.ImportFrom) and node.module in ("random", "numpy.random", "torch.random"):
            found.append(f"line {node.lineno}: from {node.module}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_global_draw(node):
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}")
    return found


def _is_global_draw(call: ast.Call) -> bool:
    owner, name = ast.unparse(call.func.value), call.func.attr
    given = any(keyword.arg == "generator" for keyword in call.keywords)
    if owner in ("np.random", "numpy.random"):
        return name not in _NUMPY_OWN
    if owner in ("torch", "torch.random", "torch.cuda"):
        return name in _TORCH_SEEDS | _TORCH_LIKE or (name in _TORCH_DRAWS and not given)
    return name in _TENSOR_DRAWS and not given and owner not in ("nn.init", "init", "torch.nn.init")


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_module_uses_global_randomness(path):
    found = global_draws(path.read_text(encoding="utf-8"))
    assert len(found) == _KNOWN_DRAWS.get(path.relative_to(ROOT / "msda_analysis").as_posix(), 0), found


def test_all_modules_were_looked_at():
    assert len(MODULES) >= 55


@pytest.mark.parametrize(
    "line",
    [
        "torch.rand(3)", "torch.manual_seed(0)", "torch.randn_like(x)", "np.random.rand(3)", "np.random.seed(0)",
        "import random", "from random import choice", "x.normal_()", "torch.randperm(3)", "torch.cuda.manual_seed(0)",
    ],
)  # fmt: skip
def test_global_randomness_is_recognized(line):
    assert len(global_draws(line)) == 1


@pytest.mark.parametrize(
    "line",
    [
        "torch.rand(3, generator=g)", "np.random.default_rng(0)", "np.random.Generator(np.random.Philox(key=1))",
        "x.normal_(generator=g)", "torch.Generator().manual_seed(0)", "nn.init.normal_(w)", "self.random.normal(0, 1)",
    ],
)  # fmt: skip
def test_explicit_randomness_is_allowed(line):
    assert global_draws(line) == []


def test_the_line_leaves_global_random_state_alone(quiet_random_state, tiny_dataset):
    from msda_analysis import Alternate, ClassifierFit, CutMix, FMix, MixUp, VaeFit, fit_classifier, fit_vae
    from msda_analysis.data import sample_images

    family = Alternate(MixUp(), CutMix(), FMix(), FMix(spectrum="released"))
    fit_vae(tiny_dataset, family, VaeFit(epochs=1, batch_size=12, latent=2, augment="jitter_flip"))
    fit_classifier(tiny_dataset, FMix(), ClassifierFit(epochs=1, batch_size=24, augment="crop_flip"))
    sample_images("cifar10", 2)


def test_a_changed_random_state_is_seen(read_random_state):
    import random

    draws = [lambda: torch.rand(1), lambda: np.random.rand(), lambda: random.random()]  # noqa: NPY002
    for draw in draws:
        before = read_random_state()
        assert read_random_state() == before
        draw()
        assert read_random_state() != before


def test_connections_are_blocked(network):
    with pytest.raises(OSError, match="tests may not"):
        socket.create_connection(("192.0.2.1", 80), timeout=1)
    with socket.socket() as plain, pytest.raises(OSError, match="may not connect to"):
        plain.connect(("192.0.2.1", 80))
    assert len(network) == 2
    network.clear()


def tracked_files() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def test_tracked_files_name_no_machine_and_no_registry():
    # put together here, so that this file does not hold them
    forbidden = [
        "/wo" + "rk/",
        "../sha" + "red",
        "fa" + "rm-",
        ".lib" + "rary/",
        "pypi" + ".org",
        "files.python" + "hosted",
    ]
    files = tracked_files()
    assert len(files) >= 60
    found = []
    for path in files:
        text = path.read_bytes().decode("utf-8", "replace")
        found += [f"{path.relative_to(ROOT)}: {word}" for word in forbidden if word in text]
    assert not found


def test_no_lock_file_is_tracked():
    assert not [path for path in tracked_files() if path.name == "uv.lock"]
