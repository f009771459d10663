"""What adding one thing costs: real examples, added to a copy of the package, counted, and used as a user would."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "msda_analysis"


@dataclass(frozen=True)
class Addition:
    """One new thing.

    Attributes:
        cost: files and lines that DESIGN.md allows inside the package.
        use: what a user's script does with it, run in a folder outside the package; it prints `done`.
        files: new files of the package, and their text.
        lines: file of the package -> (a line there, the new line that goes below it).
        own: files in the user's own folder.
        command: of msda-analysis, which refuses `nothing_like_it`.
        says: what its answer holds: the new name among those expected, or that only the other one is refused.
    """

    cost: tuple[int, int]
    use: str
    files: dict[str, str] = field(default_factory=dict)
    lines: dict[str, tuple[str, str]] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    says: str = ""


ADDITIONS = {
    "mask family from outside": Addition(
        (0, 0),
        """
from msda_analysis import mix, sample_masks
from msda_analysis.masks import family_from_text
import torch
family = family_from_text("my_masks:Halves(axis=1)")
assert sample_masks(family, n=3, size=(8, 8), generator=torch.Generator()).masks.shape == (3, 1, 8, 8)
""",
        own={
            "my_masks.py": '''
from dataclasses import dataclass

import torch

from msda_analysis import MaskFamily


@dataclass(frozen=True)
class Halves(MaskFamily):
    """The first image up to a line along one axis."""

    axis: int = 0

    def sample(self, lam, size, *, key, device):
        place = torch.arange(size[self.axis], device=device) + 0.5
        shape = [1, 1, *[1] * len(size)]
        shape[2 + self.axis] = -1
        line = lam.view(-1, *[1] * (len(size) + 1)) * size[self.axis]
        return (place.view(shape) < line).float().expand(len(lam), 1, *size)
'''
        },
        command=("study", "--augmentations", "my_masks:Halves", "nothing_like_it"),
        says="got 'nothing_like_it'",
    ),
    "attack": Addition(
        (1, 1),
        """
import torch
from msda_analysis.robustness import evaluate
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
images = torch.rand(6, 3, 2, 2)
outcome = evaluate(model, images, model(images).argmax(1), ["nudge"], (0.0, 0.5))
assert outcome.attacks == ("nudge",) and outcome.success[0, 1].any()
assert not any(flag.name == "success_falls" for flag in outcome.flags)
""",
        files={
            "attacks/nudge.py": '''"""One step along the gradient of the margin, made up for a test."""

from typing import Any

import torch
from torch import Tensor, nn

from msda_analysis.attacks.apgd import attack_losses
from msda_analysis.attacks.attack import AttackKind, Run
from msda_analysis.attacks.perturbation import Norm


def _build(norm: Norm, settings: dict[str, Any]) -> tuple[Run, dict[str, Any]]:
    def run(model: nn.Module, images: Tensor, labels: Tensor, epsilon: float | None, key: int) -> Tensor:
        points = images.detach().requires_grad_()
        with torch.enable_grad():
            loss = attack_losses(model(points), labels, "ce").sum()
        return images + epsilon * torch.autograd.grad(loss, points)[0].sign()

    return run, settings


ATTACKS = {"nudge": AttackKind("Nudge", _build, ("linf",))}
'''
        },
        lines={"attacks/registry.py": ('    "foolbox_deepfool",\n', '    "nudge",\n')},
        command=("study", "--attacks", "nothing_like_it"),
        says="nudge",
    ),
    "estimator": Addition(
        (1, 1),
        """
import torch
from msda_analysis import information
x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
found = information.estimate(x, x + 0.5 * x.flip(0), "spearman")
assert "spearman" in information.METHODS and found.value > 0.3 and found.details["method"] == "spearman"
""",
        files={
            "information/spearman.py": '''"""Information of two normal variables from their rank correlation, made up for a test."""

import numpy as np

from msda_analysis.estimate import Estimate
from msda_analysis.information.fitting import CriticFit
from msda_analysis.information.ranks import normal_scores


def _estimate(x: np.ndarray, z: np.ndarray, seed: int, fit: CriticFit) -> Estimate:
    correlation = np.corrcoef(normal_scores(x)[:, 0], normal_scores(z)[:, 0])[0, 1]
    return Estimate(float(-0.5 * np.log1p(-(correlation**2))), "nats", n=len(x))


ESTIMATORS = {"spearman": _estimate}
'''
        },
        lines={"information/estimators.py": ('    "gaussian",\n', '    "spearman",\n')},
    ),
    "network": Addition(
        (1, 1),
        """
import torch
from msda_analysis import ClassifierFit, models
model = models.create("tiny_net", num_classes=4, in_channels=2, seed=0, units=3)
assert model(torch.rand(5, 2, 8, 8)).shape == (5, 4) and model.options["units"] == 3
ClassifierFit(model="tiny_net")
""",
        files={
            "models/tiny_net.py": '''"""One hidden layer on the mean of each channel, made up for a test."""

from torch import Tensor, nn


class TinyNet(nn.Module):
    def __init__(self, num_classes: int = 10, in_channels: int = 3, *, units: int = 8) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(in_channels, units), nn.ReLU(), nn.Linear(units, num_classes))

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images.flatten(2).mean(2))


NETWORKS = {"tiny_net": TinyNet}
'''
        },
        lines={"models/zoo.py": ('    "vae",\n', '    "tiny_net",\n')},
        command=("study", "--classifier", "nothing_like_it"),
        says="tiny_net",
    ),
    "data set": Addition(
        (1, 1),
        """
from msda_analysis import load_dataset
assert load_dataset("ramps(n=6)", "test").images.shape == (6, 1, 9)
""",
        files={
            "data/ramps.py": '''"""Rising and falling lines, made up for a test."""

import numpy as np

from msda_analysis.data.datasets import Dataset


def load_ramps(split, root, *, n=4):
    up = np.linspace(0, 1, 9)[None, None].repeat(n, 0)
    labels = np.arange(n) % 2
    return Dataset.from_arrays(np.where(labels[:, None, None], 1 - up, up), labels, ("up", "down"), split=split)


LOADERS = {"ramps": load_ramps}
'''
        },
        lines={"data/load.py": ('    "generated",\n', '    "ramps",\n')},
    ),
    "data set from outside": Addition(
        (0, 0),
        """
from msda_analysis import ClassifierFit, FMix, fit_classifier, load_dataset
dataset = load_dataset("my_data:load(length=32)")
assert dataset.images.shape == (40, 1, 32) and load_dataset("my_data:load", "test").mean == load_dataset("my_data:load").mean
fit_classifier(dataset, FMix(), ClassifierFit(epochs=1, batch_size=20), progress=False)
""",
        own={
            "my_data.py": """
import numpy as np

from msda_analysis.data import Dataset


def load(split, root, length=16):
    random = np.random.default_rng(0 if split == "train" else 1)
    labels = np.arange(40) % 2
    return Dataset.from_arrays(random.random((40, 1, length)) * (1 + labels[:, None, None]) / 2, labels, ("quiet", "loud"))
"""
        },
    ),
    "mixer": Addition(
        (1, 1),
        """
import torch
from msda_analysis import mix
from msda_analysis.mixing import augmentation_from_text
mixed = mix(torch.rand(4, 3, 8, 8), torch.arange(4), augmentation_from_text("halves(share=0.25)"), generator=torch.Generator())
assert mixed.lam.tolist() == [0.25] * 4
""",
        files={
            "mixing/halves.py": '''"""The left part of one image beside the right part of another, made up for a test."""

from dataclasses import dataclass

import torch

from msda_analysis.mixing.mixed import Mixed


@dataclass(frozen=True)
class Halves:
    share: float = 0.5

    def __call__(self, images, labels, generator):
        order, cut = torch.randperm(len(images), generator=generator), int(self.share * images.shape[-1])
        mixed = torch.cat([images[..., :cut], images[order][..., cut:]], -1)
        return Mixed(mixed, labels, labels[order], torch.full((len(images),), cut / images.shape[-1]), order)


MIXERS = {"halves": Halves()}
'''
        },
        lines={"mixing/text.py": ('    "saliencymix",\n', '    "halves",\n')},
    ),
    "mixer from outside": Addition(
        (0, 0),
        """
import torch
from msda_analysis import MixTransform
from msda_analysis.audit import audit
from msda_analysis.mixing import augmentation_from_text
images, soft = MixTransform(augmentation_from_text("my_mixers:fade(weight=0.75)"), 4)(torch.rand(4, 3, 8, 8), torch.arange(4))
assert soft.sum(1).tolist() == [1.0] * 4
assert audit("my_mixers:fade", n_masks=60)["label_weight"].verdict == "ok"
""",
        own={
            "my_mixers.py": """
import torch

from msda_analysis.mixing import Mixed


def fade(images, labels, generator, weight=0.5):
    order = torch.randperm(len(images), generator=generator)
    mixed = torch.lerp(images[order], images, weight)
    return Mixed(mixed, labels, labels[order], torch.full((len(images),), weight), order)
"""
        },
    ),
    "measurement with its cell": Addition(
        (3, 2),
        """
from pathlib import Path
from msda_analysis.results import read_table
from msda_analysis.studies import StudyPlan, run_study
from msda_analysis.studies.plan import DataSpec
from msda_analysis.training import ClassifierFit
from msda_analysis.report.sections import brightness as section
plan = StudyPlan(
    data=DataSpec("digits", train_size=20, test_size=20), augmentations=("baseline",), n_seeds=1, vae=None,
    classifier=ClassifierFit(epochs=1, batch_size=10), attack=None, n_masks=0, more_masks=(),
)
run_study(plan, Path("bright"), progress=False)
table = read_table(Path("bright/results.csv"))
found = table[table["metric"] == "bright_confidence"]
assert len(found) == 1 and found["cell"].iloc[0].startswith("measure_brightness-baseline-0-")
page = Path("bright/report.html").read_text()
assert "Who is surer on bright images?" in page and "Other measurements" not in page
assert Path("bright/tables/brightness.tex").exists()
""",
        files={
            "robustness/brightness.py": '''"""How much surer a classifier is of bright images than of dark ones, made up for a test."""

import torch

from msda_analysis.estimate import Estimate, Measured


def measure_brightness(model, images):
    with torch.no_grad():
        sure = model(images).softmax(1).amax(1)
    bright = images.flatten(1).mean(1) > images.mean()
    return [Measured("bright_confidence", Estimate(float(sure[bright].mean() - sure[~bright].mean()), "", n=len(sure)))]
''',
            "studies/steps/brightness.py": '''"""How much surer each classifier is of bright images, made up for a test."""

from msda_analysis.results import to_rows
from msda_analysis.robustness.brightness import measure_brightness
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.studies.step import Step, versioned
from msda_analysis.studies.steps.common import classifier_source, family_cell
from msda_analysis.studies.steps.train_classifier import plan_classifiers

FORMAT = 1


def plan(study):
    cells = plan_classifiers(study)
    return [family_cell("measure_brightness", study, c.augmentation, c.seed, versioned(FORMAT), c) for c in cells]


def run(context, cell, folder):
    model = context.load_classifier(cell.needs[0])
    return to_rows(classifier_source(context, cell), measure_brightness(model, context.test.unit_images()))


STEPS = (Step("measure_brightness", StudyPlan, plan, run),)
''',
            "report/sections/brightness.py": '''"""Confidence on bright and on dark images, made up for a test."""

from msda_analysis.report.section import MEANS, Section, dot_figures, metric_tables, present
from msda_analysis.report.words import Metric, define

define({"bright_confidence": Metric("Surer of bright images", "confidence", "Difference of the mean confidence.")})


def brightness_section(table, folder):
    shown = present(table, ["bright_confidence"])
    return Section(
        "brightness", "Who is surer on bright images?", figures=dot_figures(table, shown, "brightness", "images"),
        tables=metric_tables(table, shown, "brightness", MEANS), metrics=tuple(shown),
    ) if shown else None


SECTIONS = (brightness_section,)
''',
        },
        lines={
            "studies/steps/__init__.py": ('    "measure_classifier",\n', '    "brightness",\n'),
            "report/sections/__init__.py": ('    "robustness",\n', '    "brightness",\n'),
        },
    ),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A user's folder, and beside it a copy of the package with every addition."""
    root = tmp_path_factory.mktemp("adding")
    shutil.copytree(PACKAGE, root / "site" / "msda_analysis", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "user").mkdir()
    for addition in ADDITIONS.values():
        for name, text in addition.files.items():
            assert not (root / "site" / "msda_analysis" / name).exists()
            (root / "site" / "msda_analysis" / name).write_text(text)
        for name, (before, line) in addition.lines.items():
            place = root / "site" / "msda_analysis" / name
            text = place.read_text()
            assert text.count(before) == 1 and line.count("\n") == 1
            place.write_text(text.replace(before, before + line))
        for name, text in addition.own.items():
            (root / "user" / name).write_text(text)
    return root


@pytest.fixture(scope="module")
def answers(folder):
    """What one process in the user's folder finds: by addition, the error of its use and the answer of its command."""
    (folder / "user" / "run.py").write_text(RUNNER)
    wanted = {name: [addition.use, list(addition.command)] for name, addition in ADDITIONS.items()}
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=folder / "user", input=json.dumps(wanted), capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(folder / "site"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


RUNNER = """
import contextlib, io, json, sys, traceback
import msda_analysis
from msda_analysis.cli import main

wanted, found = json.load(sys.stdin), {"place": msda_analysis.__file__}
for name, (use, command) in wanted.items():
    error, said = "", io.StringIO()
    try:
        exec(use, {})
    except Exception:
        error = traceback.format_exc()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            code = main([*command, "--out", "out"])
        except SystemExit as end:
            code = end.code
    found[name] = [error, code, said.getvalue()]
print(json.dumps(found))
"""


@pytest.mark.parametrize("name", ADDITIONS)
def test_adding_costs_what_the_design_says(name):
    addition = ADDITIONS[name]
    assert (len(addition.files), len(addition.lines)) == addition.cost


@pytest.mark.parametrize("name", ADDITIONS)
def test_what_was_added_works(name, answers, folder):
    assert answers["place"].startswith(str(folder / "site"))
    assert answers[name][0] == ""


@pytest.mark.parametrize("name", [name for name, addition in ADDITIONS.items() if addition.command])
def test_the_command_line_knows_the_name(name, answers):
    _, code, said = answers[name]
    assert code == 2 and "nothing_like_it" in said
    assert ADDITIONS[name].says in said
