"""A researcher's own network, from a folder outside the package: trained, saved, attacked, compared, looked into."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent

MY_NETS = """
from torch import nn

def build(num_classes, in_channels, width=4):
    return nn.Sequential(nn.Conv2d(in_channels, width, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64 * width, num_classes))
"""

TRAIN = """
import my_nets, torch
from msda_analysis import ClassifierFit, MixUp, fit_classifier, load_dataset
digits = load_dataset("digits", train_size=512)
for name, family in {"plain": None, "mixed": MixUp()}.items():
    settings = ClassifierFit(epochs=2, lr=0.05, schedule="constant")
    model, history = fit_classifier(digits, family, settings, network=my_nets.build(10, 1, width=8), progress=False)
    torch.save(model.network.state_dict(), f"{name}.pt")
"""

ATTACK = """
from msda_analysis import information, load_dataset, models
from msda_analysis.robustness import compare, evaluate
test = load_dataset("digits", "test").take(20)
images, labels = test.unit_images(), test.labels
outcomes = {}
for name, (path,) in models.weights_by_name(["plain=plain.pt", "mixed.pt"]).items():
    model = models.load_classifier(path, "my_nets:build(width=8)", in_channels=1, mean=test.mean, std=test.std)
    outcomes[name] = evaluate(model, images, labels, ["fgsm", "deepfool"], ("0", "8/255", "32/255"))
found = compare(outcomes)
found.plot().savefig("robustness.pdf")
print(found.latex(), information.layer_features(model.network, images, ["0", "1"])["1"].shape)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my_nets.py").write_text(MY_NETS)
    (folder / "train.py").write_text(TRAIN)
    (folder / "attack.py").write_text(ATTACK)
    done = subprocess.run(  # one process for both scripts, as torch takes seconds to import
        [sys.executable, "-c", "import runpy; runpy.run_path('train.py'); runpy.run_path('attack.py')"], cwd=folder,
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "said.txt").write_text(done.stdout)
    return folder


def test_scripts_are_short():
    assert all(len(script.strip().splitlines()) < 15 for script in (MY_NETS, TRAIN, ATTACK))


def test_the_network_is_compared_by_a_table_and_a_figure(folder):
    said = (folder / "said.txt").read_text()
    assert said.count("plain & mixed") == 9, "two attacks and the worst of both, at three budgets"
    assert "DeepFool & 0.125" in said and "torch.Size([20, 8, 8, 8])" in said
    assert (folder / "robustness.pdf").read_bytes().startswith(b"%PDF")
