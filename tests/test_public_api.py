"""The public contract: names, signatures, documentation, and how fast the front doors answer."""

import inspect
import os
import subprocess
import sys
from dataclasses import fields, is_dataclass
from importlib import import_module
from runpy import run_module

import pytest

import msda_analysis

#: Public callables with the names of their parameters, required ones first; `*` starts the keyword-only ones.
SIGNATURES = {
    "MixUp": "alpha=1.0 * per_batch=False reformulate=False lam_policy='mask_mean'",
    "CutMix": "alpha=1.0 geometry='clipped' * per_batch=False reformulate=False lam_policy='mask_mean'",
    "FMix": "alpha=1.0 decay_power=3.0 max_soft=0.0 spectrum='isotropic' "
    "* per_batch=False reformulate=False lam_policy='mask_mean'",
    "MixTransform": "family num_classes * seed=0 p=1.0",
    "sample_masks": "family n size * generator device=None",
    "mix": "images labels family * generator",
    "load_dataset": "name split='train' root=None * train_size=None seed=0 progress=True",
    "fit_vae": "dataset family settings=None * seed=0 device='cpu' progress=True",
    "fit_classifier": "dataset family settings=None * seed=0 device='cpu' progress=True",
    "Estimate": "value unit low=None high=None n=1 bound=None",
    "masks.fourier.grey_images": "noise size decay_power spectrum",
    "masks.fourier.binarize": "grey lam max_soft=0.0 round_up=None",
    "models.create": "name num_classes=10 in_channels=3",
    "information.encoder_bounds": "loc log_std seed=0",
    "information.estimate": "x z method seed=0",
    "robustness.evaluate": "model images labels attacks epsilons norm='linf' seed=0",
    "mask_stats.describe": "masks",
}


def find(path: str):
    """A public object by its dotted path."""
    if path in msda_analysis.__all__:
        return getattr(msda_analysis, path)
    module, _, name = path.rpartition(".")
    return getattr(import_module(f"msda_analysis.{module}"), name)


@pytest.mark.parametrize("name", msda_analysis.__all__)
def test_public_names_are_there_and_documented(name):
    thing = getattr(msda_analysis, name)
    assert thing.__doc__, name
    assert thing.__name__ == name


def test_the_names_of_the_contract_are_public():
    promised = "MixUp CutMix FMix Alternate MixTransform sample_masks mix load_dataset fit_vae fit_classifier"
    assert set(promised.split()) <= set(msda_analysis.__all__) == set(dir(msda_analysis))


@pytest.mark.parametrize("path", SIGNATURES)
def test_signatures_hold(path):
    parameters = list(inspect.signature(find(path)).parameters.values())
    positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    by_name = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    before, _, after = SIGNATURES[path].partition("*")
    for i, word in enumerate(before.split()):
        _assert_parameter(positional[i], word)
    for word in after.split():
        _assert_parameter(by_name[word.split("=")[0]], word)
    promised = {word.split("=")[0] for word in (before + after).split()}
    extra = [p.name for p in by_name.values() if p.default is p.empty and p.name not in promised]
    assert not extra, "a call written after the contract must not need more"


def _assert_parameter(parameter: inspect.Parameter, word: str) -> None:
    name, _, default = word.partition("=")
    assert parameter.name == name
    if default:
        assert repr(parameter.default) == default
    elif "." not in word:
        assert parameter.default is parameter.empty or name in ("epsilons", "progress")


@pytest.mark.parametrize("path", [*SIGNATURES, "Alternate"])
def test_callables_say_what_they_take_and_return(path):
    thing = find(path)
    text = inspect.getdoc(thing) or ""
    if is_dataclass(thing):
        assert "Attributes:" in text
        own = [f.name for f in fields(thing) if f.name in inspect.get_annotations(thing)]
        assert all(f"{name}:" in text or f"{name}," in text or f", {name}" in text for name in own)
    elif inspect.isclass(thing):
        assert "Args:" in text
    else:
        assert "Args:" in text or "-> " in text, f"{path} does not say what it takes"
        assert "Returns:" in text or "Raises:" in text, path


@pytest.mark.parametrize("path", ["fit_vae", "fit_classifier", "mix", "MixUp", "CutMix", "FMix", "Alternate"])
def test_methods_of_papers_name_their_source(path):
    assert "Source:" in inspect.getdoc(find(path))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'msda_analysis' has no attribute 'PuzzleMix'"):
        _ = msda_analysis.PuzzleMix


def test_a_broken_module_is_not_taken_for_an_unknown_name(tmp_path, monkeypatch):
    (tmp_path / "broken_part.py").write_text("import no_such_package_at_all\n")
    monkeypatch.setattr(msda_analysis, "__path__", [*msda_analysis.__path__, str(tmp_path)])
    with pytest.raises(ModuleNotFoundError, match="no_such_package_at_all"):
        _ = msda_analysis.broken_part


def test_subpackages_need_no_import_line():
    for name in ("information", "robustness", "mask_stats", "masks", "models", "results"):
        assert getattr(msda_analysis, name).__name__ == f"msda_analysis.{name}"


def test_masks_are_as_promised():
    batch = msda_analysis.sample_masks(
        msda_analysis.FMix(), n=3, size=(8, 8), generator=msda_analysis.rng.stream(0, "x"), device="cpu"
    )
    assert batch.masks.shape == (3, 1, 8, 8) and batch.lam.shape == (3,)


@pytest.mark.parametrize("line", ["import msda_analysis", "import msda_analysis; dir(msda_analysis)"])
def test_importing_the_package_is_light(line):
    heavy = ["torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib", "foolbox", "sklearn"]
    code = f"import sys; {line}; print(*[name for name in {heavy} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == []


def test_the_package_is_the_command_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["msda_analysis", "--version"])
    with pytest.raises(SystemExit) as end:
        run_module("msda_analysis", run_name="__main__")
    assert end.value.code == 0 and capsys.readouterr().out.strip() == msda_analysis.__version__ != ""


@pytest.mark.parametrize("command", [[], ["study"]], ids=str)
def test_help_answers_within_a_second(command):
    """Of processor time, best of three runs, so that a busy machine does not decide."""
    seconds = []
    for _ in range(3):
        started = sum(os.times()[2:4])  # of ended child processes
        run = subprocess.run(
            [sys.executable, "-m", "msda_analysis.cli", *command, "--help"], capture_output=True, text=True, check=False
        )
        seconds.append(sum(os.times()[2:4]) - started)
        assert run.returncode == 0 and "msda-analysis" in run.stdout
        if seconds[-1] < 1:
            break
    assert min(seconds) < 1, seconds


def test_help_does_not_import_torch():
    code = (
        "import sys\nfrom msda_analysis.cli import main\n"
        "try:\n    main(['study', '--help'])\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
