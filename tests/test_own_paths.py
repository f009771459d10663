"""What is one's own, as a user has it: short files in a folder outside the package, and the commands that take them.

own mask family     MASKS, and `study` here; statistics, cells and identity in masks/test_own_family.py
own mixer           MIXERS, here; adapters and audit in mixing/test_mixers.py, pages in studies/test_own_things.py
own network         NETS and ATTACK here; from Python in test_own_network.py, refusals in studies/test_weights.py
own data            DATA, here; arrays, torch datasets and files in data/test_own_data.py
one and three axes  AXES, here; in studies in studies/test_own_things.py
"""

import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from msda_analysis.cli import main
from msda_analysis.report import write_report
from msda_analysis.results import read_table, write_table

PACKAGE = Path(__file__).parent.parent
MASKS = """
import torch
from dataclasses import dataclass
from msda_analysis import MaskFamily
from msda_analysis.rng import philox_uniforms

@dataclass(frozen=True)
class Stripes(MaskFamily):
    period: int = 4
    def sample(self, lam, size, *, key, device):
        phase = philox_uniforms(key, len(lam), 1, device) * self.period
        place = (torch.arange(size[-1], device=device) + phase) % self.period
        masks = (place < lam[:, None] * self.period).float().view(len(lam), *[1] * len(size), size[-1])
        return masks.expand(len(lam), 1, *size)
"""
MIXERS = """
import torch
from msda_analysis.mixing import Mixed

def swap_halves(images, labels, generator):
    order, half = torch.randperm(len(images), generator=generator), images.shape[-1] // 2
    mixed = torch.cat([images[..., :half], images[order][..., half:]], -1)
    return Mixed(mixed, labels, labels[order], torch.full((len(images),), 0.5), order)
"""
NETS = """
from torch import nn

def build(num_classes, in_channels, width=4):
    return nn.Sequential(nn.Conv2d(in_channels, width, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(16 * width, num_classes))
"""
DATA = """
import numpy as np
from msda_analysis.data import Dataset

def load(split, root, size=16):
    random, labels = np.random.default_rng(len(split)), np.arange(80) % 2
    images = random.random((80, 1, size, size)) * (1 + labels[:, None, None, None]) / 2
    return Dataset.from_arrays(images, labels, ("dark", "bright"))
"""
STUDY = """
study --dataset my_data:load --classifier my_nets:build(width=8) --seeds 1 --vae-epochs 1 --vae-batch-size 40 --vae.latent 2
--augmentations baseline my_masks:Stripes(period=2) my_mixers:swap_halves --more-masks --n-masks 60
--classifier-epochs 1 --classifier.batch-size 20 --attacks fgsm --epsilons 0 8/255 64/255 --attack-images 20 --likeness-images 0
--layer-methods js --layers 0 --no-attribution --workers 1 --device cpu --out study
"""
WEIGHTS = """
import torch
from my_nets import build
from msda_analysis import ClassifierFit, MixUp, fit_classifier, load_dataset
data = load_dataset("my_data:load")
for name, family in {"plain": None, "mixed": MixUp()}.items():
    fit = ClassifierFit(epochs=6, batch_size=20, lr=0.05, schedule="constant")
    model, _ = fit_classifier(data, family, fit, network=build(2, 1, width=8), progress=False)
    torch.save(model.network.state_dict(), f"{name}.pt")
print(*data.mean, *data.std)
"""
ATTACK = """
robustness --model my_nets:build(width=8) --weights plain=plain.pt mixed=mixed.pt --reference plain --dataset my_data:load
--attacks fgsm uniform_noise --epsilons 0 8/255 64/255 --device cpu --out attacked
"""
AXES = """
from msda_analysis import ClassifierFit, FMix, VaeFit, fit_classifier, fit_vae, load_dataset, sample_masks
from msda_analysis.information import encode_images, encoder_bounds
from msda_analysis.robustness import evaluate
for name in ("waveforms(n=40, n_test=70)", "voxels(n=40, n_test=70)"):
    train, test = load_dataset(name), load_dataset(name, "test")
    vae, _ = fit_vae(train, FMix(), VaeFit(epochs=1, batch_size=20, latent=2), progress=False)
    model, _ = fit_classifier(train, FMix(), ClassifierFit(epochs=1, batch_size=20), progress=False)
    bounds = encoder_bounds(*encode_images(vae, test.normalize(test.images)))
    found = evaluate(model, test.unit_images(), test.labels, ["fgsm"], (0, "8/255"), progress=False)
    print(len(train.image_size), bounds["rate"].unit, len(found.table()))
"""
OWN = {"my_masks": MASKS, "my_mixers": MIXERS, "my_nets": NETS, "my_data": DATA}


def test_each_is_short():
    for text in (*OWN.values(), STUDY, WEIGHTS, ATTACK, AXES):
        assert len(text.strip().splitlines()) < 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    for name, text in OWN.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture
def there(folder, monkeypatch):
    """In the user's folder, as a new process there would be."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    yield
    for name in OWN:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def study(folder):
    """All but the page, most of whose figures say nothing of what is one's own; a few are drawn below."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        patch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
        assert main(STUDY.split()) == 0
    for name in OWN:
        sys.modules.pop(name, None)
    return read_table(folder / "study" / "results.csv")


def test_a_new_process_in_that_folder_knows_them(folder):
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "msda_analysis", *STUDY.split(), "--dry-run", "--out", "listed"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "train_classifier-my_masks-Stripes-period-2-0" in done.stdout and not (folder / "listed").exists()


def test_the_page_names_them(study, folder, tmp_path):
    shown = study[study["metric"].isin(["kept_fraction", "rate", "accuracy", "layer_js"])]
    write_table(shown.to_dict("records"), tmp_path / "results.csv")
    for name in ("manifest.json", "settings.json"):
        shutil.copy(folder / "study" / name, tmp_path)
    page = write_report(tmp_path).read_text()
    assert "Stripes (period 2)" in page and "swap_halves" in page and "could not be made" not in page


@pytest.mark.parametrize("name", ["my_masks:Stripes(period=2)", "my_mixers:swap_halves"])
def test_a_mask_family_and_a_mixer_go_the_whole_line(study, name):
    found = study[(study["augmentation"] == name) & (study["status"] == "ok")]
    assert {"kept_fraction", "rate", "accuracy", "robust_accuracy", "layer_js"} <= set(found["metric"])
    assert found.loc[found["metric"] == "kept_fraction", "value"].item() == pytest.approx(0.5, abs=0.15)
    with_reference = study[(study["metric"] == "curve_accuracy") & (study["attack"] == "fgsm")]
    assert name in set(with_reference["augmentation"]) | set(with_reference["reference"])


def test_a_network_and_data_go_the_whole_line(study):
    assert set(study["status"]) == {"ok"} and set(study["dataset"]) == {"my_data:load"}
    robust = study[study["metric"] == "robust_accuracy"]
    assert set(robust["model"]) == {"my_nets:build"} and set(robust["n"]) == {20}
    assert sorted(set(robust["epsilon"])) == pytest.approx([0, 8 / 255, 64 / 255])


def test_weights_are_attacked_and_compared_from_the_command_line(folder, there, capsys):
    (folder / "train.py").write_text(WEIGHTS)
    runpy.run_path(str(folder / "train.py"))
    mean, std = capsys.readouterr().out.split()
    assert main([*ATTACK.split(), "--mean", mean, "--std", std]) == 0
    table = read_table(folder / "attacked" / "results.csv")
    clean = table[table["metric"] == "accuracy"].set_index("augmentation")["value"]
    assert list(clean.index) == ["plain", "mixed"] and clean["plain"] > 0.9
    tested = table[table["metric"] == "curve_accuracy"]
    assert (
        set(tested["augmentation"]) == {"plain"}
        and set(tested["reference"]) == {"mixed"}
        and tested["p_value"].notna().all()
    )
    page = (folder / "attacked" / "report.html").read_text()
    assert "less that of plain" in page and "could not be made" not in page


def test_one_and_three_axes_are_trained_and_measured(folder, there, capsys):
    (folder / "axes.py").write_text(AXES)
    runpy.run_path(str(folder / "axes.py"))
    assert capsys.readouterr().out.splitlines() == ["1 nats 2", "3 nats 2"]
