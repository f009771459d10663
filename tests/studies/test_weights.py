"""Weights of one's own networks on the command line: named, checked before anything runs, measured, compared, known by their code."""

import json
import sys

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from msda_analysis import ClassifierFit, fit_classifier, load_dataset
from msda_analysis.cli import main
from msda_analysis.models import Normalized, create, save_checkpoint
from msda_analysis.results import read_table
from msda_analysis.studies import DataSpec, cells_of
from msda_analysis.studies.plans import RobustnessPlan

NETS = """
from torch import nn

def build(num_classes, in_channels, width=4):
    return nn.Sequential(nn.Conv2d(in_channels, width, 4, 4), nn.ReLU(), nn.Flatten(), nn.Linear(64 * width, num_classes))

def seven():
    return nn.Sequential(nn.Flatten(), nn.Linear(1024, 7))

class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(1024, 4), nn.Linear(2, 1024)

    def encode(self, images):
        return self.encoder(images.flatten(1)).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z).unflatten(1, (1, 32, 32))
"""
SHORT = [
    "--test-size",
    "40",
    "--attacks",
    "fgsm",
    "deepfool",
    "--epsilons",
    "0",
    "0.1",
    "--device",
    "cpu",
    "--out",
    "out",
]


class Runs:
    """What a file that executes code holds."""

    def __reduce__(self):
        return print, ("code of the file ran",)


@pytest.fixture(scope="module")
def nets():
    """A module of networks, and weights that were trained with it."""
    data, fit = (
        load_dataset("digits", train_size=400),
        ClassifierFit(epochs=2, lr=0.05, schedule="constant", batch_size=40),
    )
    namespace: dict = {}
    exec(NETS, namespace)
    found = {}
    for seed in (0, 1):
        torch.manual_seed(seed)
        found[seed] = fit_classifier(
            data, None, fit, seed=seed, network=namespace["build"](10, 1, width=8), progress=False
        )[0]
    return {seed: model.network.state_dict() for seed, model in found.items()}


@pytest.fixture
def here(nets, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    sys.modules.pop("my_weighed", None)
    (tmp_path / "my_weighed.py").write_text(NETS)
    torch.save(nets[0], tmp_path / "a.pt")
    save_file(nets[1], tmp_path / "b.safetensors")
    yield tmp_path
    sys.modules.pop("my_weighed", None)


def attack(*words: str) -> int:
    return main(["robustness", *words, *SHORT])


def test_weights_are_compared_by_name(here):
    words = "--model my_weighed:build(width=8) --weights plain=a.pt mixed=b.safetensors --mean 0.5 --std 0.25"
    assert attack(*words.split(), "--reference", "mixed") == 0
    table = read_table(here / "out" / "results.csv")
    assert set(table["model"]) == {"my_weighed:build"} and set(table["seed"]) == {0} and set(table["status"]) == {"ok"}
    test = load_dataset("digits", "test").take(40)
    network = create("my_weighed:build(width=8)", 10, 1)
    for name, state in {"plain": torch.load(here / "a.pt"), "mixed": None}.items():
        if state is not None:
            network.load_state_dict(state)
            right = (
                (Normalized(network, [0.5], [0.25]).eval()(test.unit_images()).argmax(1) == test.labels).float().mean()
            )
            row = table[(table["metric"] == "accuracy") & (table["augmentation"] == name)]
            assert row["value"].item() == pytest.approx(right.item()) and right > 0.3
    tested = table[table["metric"] == "accuracy_difference"]
    assert set(tested["augmentation"]) == {"plain"} and set(tested["reference"]) == {"mixed"}
    assert tested["p_value"].notna().all()
    page = (here / "out" / "report.html").read_text()
    assert "could not be made" not in page and "Accuracy less that of mixed against epsilon" in page
    assert not [line for line in page.splitlines() if "the baseline" in line and "unless" not in line]
    assert (
        "Who is more robust?" in page and "plain" in page and list((here / "out" / "figures").glob("robustness*.pdf"))
    )


def test_files_of_several_seeds_have_one_name(here):
    words = "--model my_weighed:build(width=8) --weights plain=a.pt,b.safetensors --mean 0.5 --std 0.25"
    cells = [cell for cell in cells_of(plan_of("plain=a.pt,b.safetensors")) if cell.kind == "given_classifier"]
    assert [(cell.augmentation, cell.seed) for cell in cells] == [("plain", 0), ("plain", 1)]
    assert attack(*words.split(), "--dry-run") == 0 and not (here / "out").exists()


def plan_of(*weights: str, **more) -> RobustnessPlan:
    settings = {"model": "my_weighed:build(width=8)", "mean": (0.5,), "std": (0.25,), "data": DataSpec("digits")}
    return RobustnessPlan(weights=weights, **{**settings, **more})


def test_changed_weights_code_and_units_are_other_cells(here, nets):
    def names(**more):
        sys.modules.pop("my_weighed", None)
        for cached in here.rglob("*.pyc"):
            cached.unlink()
        return {cell.augmentation or cell.kind: cell.name for cell in cells_of(plan_of("plain=a.pt", "mixed=b.safetensors", **more))
                if cell.kind == "measure_given_classifier"}  # fmt: skip

    before = names()
    assert before == names()
    assert not set(before.values()) & set(names(std=(0.2,)).values())
    (here / "my_weighed.py").write_text(NETS.replace("nn.ReLU()", "nn.GELU()"))
    assert not set(before.values()) & set(names().values())
    (here / "my_weighed.py").write_text(NETS + "\n# a remark\n")
    assert before == names()
    torch.save(nets[1], here / "a.pt")
    after = names()
    assert after["mixed"] == before["mixed"] and after["plain"] != before["plain"]


@pytest.mark.parametrize(
    "words, said",
    [
        ("--weights plain=a.pt plain=b.safetensors", "weights: expected each name once, got 'plain' for a.pt and b.safetensors"),
        ("--weights plain=gone.pt", "weights: expected a checkpoint file, but gone.pt is missing"),
        ("--weights gone.pt", "weights: expected a checkpoint file, but gone.pt is missing"),
        ("gone.pt", "checkpoints: expected a checkpoint file, but gone.pt is missing"),
        ("--weights =a.pt", "weights: expected name=path, such as plain=a.pt, got '=a.pt'"),
        ("--weights plain=code.pt", "weights: code.pt: refused, as reading it would run code: builtins.print"),
        ("--weights plain=ours.safetensors", "model: expected the network of ours.safetensors, which is small_cnn, got"),
        ("--weights plain=a.pt --model my_weighed:gone", "model: cannot find my_weighed:gone"),
        ("--weights plain=a.pt --model my_weighed:build(depth=3)", "model: 'my_weighed:build(depth=3)' does not take"),
        ("--weights plain=a.pt --model small_cnn", "weights: a.pt: the weights do not fit the SmallCNN"),
        ("--weights plain=a.pt --no-model", "model: a.pt is no checkpoint of this package; if it holds weights alone"),
        ("--weights plain=seven.pt --model my_weighed:seven", "model: seven.pt does not fit these images: expected 10 logits"),
        ("--weights plain=a.pt --dataset waveforms(n=24,n_test=50)", "weights: a.pt: the weights do not fit"),
        ("--weights plain=a.pt --mean 0.5 0.4 --std 0.2 0.2", "mean, std: expected one value, or one for each of the 1 channels, got 2"),
        ("--weights plain=a.pt --mean 0.5 --std", "mean, std: expected one number per channel in each, got 1 and 0"),
        ("--weights plain=a.pt --mean 0.5 --std 0", "std: expected a finite number > 0, got 0"),
        ("--weights plain=a.pt mixed=b.safetensors --reference pure", "reference: expected one of 'plain', 'mixed', got 'pure'"),
        ("--weights ours.safetensors --model small_cnn", "mean, std: expected none, as these checkpoints say themselves"),
    ],
)  # fmt: skip
def test_what_cannot_be_measured_names_its_argument_and_leaves_no_folder(here, capsys, words, said):
    torch.save(Runs(), here / "code.pt")
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(1024, 7)).state_dict(), here / "seven.pt")
    save_checkpoint(Normalized(create("small_cnn", 10, 1, seed=0), [0.5], [0.25]), here / "ours.safetensors")
    usual = {"--model": "my_weighed:build(width=8)", "--mean": "0.5", "--std": "0.25"}
    more = [word for pair in usual.items() if f"-{pair[0].strip('-')}" not in words for word in pair]
    assert attack(*words.removesuffix(" --no-model").split(), *more) == 2
    said_then = capsys.readouterr()
    assert f"msda-analysis: error: {said}" in said_then.err and "code of the file ran" not in said_then.out
    assert not (here / "out").exists()


def test_our_checkpoints_of_own_networks_need_their_code_named(here, capsys, undrawn):
    model = Normalized(create("my_weighed:build(width=8)", 10, 1, seed=0), [0.5], [0.25])
    save_checkpoint(model, here / "c.safetensors", {"augmentation": "mixup", "seed": 3})
    assert attack("c.safetensors") == 2
    assert "on the command line --model 'my_weighed:build'" in capsys.readouterr().err
    assert (
        attack(
            "--weights",
            "c.safetensors",
            "mine=a.pt",
            "--model",
            "my_weighed:build(width=8)",
            "--mean",
            "0.5",
            "--std",
            "0.25",
        )
        == 0
    )
    table = read_table(here / "out" / "results.csv")
    runs = table[table["metric"] == "accuracy"][["augmentation", "seed"]].values.tolist()
    assert runs == [["mixup", 3], ["mine", 0]]
    settings = {
        row["augmentation"]: json.loads(row["settings"])
        for row in table.to_dict("records")
        if row["metric"] == "accuracy"
    }
    assert settings["mine"]["trained"]["mean"] == [0.5] and settings["mixup"]["trained"] == {}


def test_a_vae_of_ones_own(here, capsys, undrawn):
    torch.manual_seed(0)
    torch.save(create("my_weighed:Vae", 10, 1).state_dict(), here / "v.pt")
    words = [
        "information",
        "--vae",
        "my_weighed:Vae",
        "--weights",
        "plain=v.pt",
        "--test-size",
        "70",
        "--device",
        "cpu",
        "--out",
        "out",
    ]
    assert main(words) == 2 and "mean, std: expected those that v.pt was trained with" in capsys.readouterr().err
    assert (
        main([*words, "--vae", "my_weighed:build(width=8)", "--mean", "0.3", "--std", "0.4", "--weights", "plain=a.pt"])
        == 2
    )
    assert "model: expected a torch.nn.Module with methods encode(images)" in capsys.readouterr().err
    assert main([*words, "--mean", "0.3", "--std", "0.4", "--output-std", "0.5"]) == 0
    table = read_table(here / "out" / "results.csv").set_index("metric")
    data = load_dataset("digits", "test").take(70)
    images = ((data.unit_images() - 0.3) / 0.4).flatten(1)
    network = create("my_weighed:Vae", 10, 1)
    network.load_state_dict(torch.load(here / "v.pt"))
    loc, log_variance = network.encoder(images).double().chunk(2, dim=1)
    rate = (0.5 * (log_variance.exp() + loc**2 - 1 - log_variance)).sum(1).mean().item()
    assert table.loc["rate", "value"] == pytest.approx(rate, rel=1e-4) and set(table["augmentation"]) == {"plain"}
