"""Networks by text: torchvision's, timm's, a file of one's own; their weights and checkpoints."""

import os
import pickle
import sys
import types

import pytest
import torch
from torch import nn

from msda_analysis import models
from msda_analysis.models import load_checkpoint, load_classifier, load_state, save_checkpoint, weights_by_name
from msda_analysis.rng import stream

OWN = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_channels, width=4):
        super().__init__()
        self.name = "mine"  # a name that the package uses for its own models
        self.register_buffer("scale", torch.full((1,), 2.0), persistent=False)
        self.conv = nn.Conv2d(in_channels, width, 3)
        self.head = nn.Linear(width, num_classes)

    def forward(self, images):
        return self.head(self.scale * self.conv(images).mean((2, 3)))

def build(num_classes, in_channels, width=4):
    return Net(num_classes, in_channels, width)

def fixed():
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))

def wrong():
    return "no network"

class Vae(nn.Module):
    def __init__(self, in_channels, latent=2):
        super().__init__()
        self.encoder = nn.Linear(16 * in_channels, 2 * latent)
        self.decoder = nn.Linear(latent, 16 * in_channels)

    def encode(self, images):
        return self.encoder(images.flatten(1)).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z).unflatten(1, (-1, 4, 4))

ready = fixed()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A user's folder with my_nets.py, where they work."""
    (tmp_path / "my_nets.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    sys.modules.pop("my_nets", None)


@pytest.mark.parametrize("text", ["my_nets:build(width=2)", "my_nets:Net(width=2)"])
def test_a_function_or_class_in_the_users_folder(folder, text):
    first, again = (models.create(text, num_classes=5, in_channels=1, seed=3) for _ in range(2))
    assert first(torch.rand(4, 1, 8, 8)).shape == (4, 5) and first.conv.out_channels == 2
    assert torch.equal(first.head.weight, again.head.weight)
    origin = models.origin_of(first)
    assert origin.options == {"num_classes": 5, "in_channels": 1, "width": 2}
    assert models.create(origin.name, **origin.options).conv.weight.shape == first.conv.weight.shape
    assert (first.name, models.name_of(first)) == ("mine", text.partition("(")[0])


def test_code_that_takes_no_classes_is_called_without(folder):
    assert models.create("my_nets:fixed", num_classes=3)(torch.rand(2, 3, 2, 2)).shape == (2, 3)


def test_options_of_our_own_in_the_text_are_those_of_keywords():
    by_text, by_keyword = models.create("small_cnn(width=8)", seed=0), models.create("small_cnn", seed=0, width=8)
    assert torch.equal(by_text.linear.weight, by_keyword.linear.weight)
    assert (by_text.name, by_text.options) == (by_keyword.name, by_keyword.options)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("my_nets:build(width=__import__('os').getpid())", ValueError, "expected settings such as"),
        ("my_nets:build(depth=2)", TypeError, "does not take .*depth"),
        ("my_nets:wrong", TypeError, "expected 'my_nets:wrong' to return a torch.nn.Module, got str"),
        ("my_nets:ready", ValueError, "fit_classifier\\(..., network=module\\)"),
        ("my_nets:nothing", ValueError, "cannot find my_nets:nothing"),
        ("no_such_nets:build", ValueError, "cannot find no_such_nets:build"),
        ("torchvision:resnet1", ValueError, "list_models.*got 'resnet1'"),
        ("torchvision:resnet18(weights='DEFAULT')", ValueError, "weights"),
        ("nothing like it", ValueError, "model: expected one of 'preact_resnet18'"),
    ],
)
def test_what_is_refused(folder, text, error, message):
    with pytest.raises(error, match=message):
        models.create(text)


def test_names_are_checked_without_building(folder):
    for text in ("small_cnn", "torchvision:resnet18", "my_nets:wrong"):
        models.check_network(text)
    for text in ("vae", "resnet", "my_nets:nothing"):
        with pytest.raises(ValueError):
            models.check_network(text)


def test_numbers_know_the_code_of_a_network(folder):
    known = models.network_settings("my_nets:build(width=2)")
    assert known["network"].keys() >= {"module", "name", "code"}
    assert models.network_settings("small_cnn(width=2)") == models.network_settings("torchvision:resnet18") == {}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_of_torchvision(channels):
    model = models.create("torchvision:squeezenet1_1", num_classes=7, in_channels=channels, seed=0).eval()
    with torch.no_grad():
        assert model(torch.rand(2, channels, 32, 32)).shape == (2, 7)
    assert models.name_of(model) == "torchvision:squeezenet1_1"


def test_a_network_of_timm_by_its_interface(monkeypatch):
    """timm is not among what the tests need: a stand-in with the two functions that are called."""
    calls = []

    def create_model(name, **options):
        calls.append((name, options))
        return nn.Linear(2, 2)

    stub = types.SimpleNamespace(is_model=lambda name: name == "resnet18", create_model=create_model)
    monkeypatch.setitem(sys.modules, "timm", stub)
    models.create("timm:resnet18(drop_rate=0.1)", num_classes=7, in_channels=1)
    assert calls == [("resnet18", {"pretrained": False, "num_classes": 7, "in_chans": 1, "drop_rate": 0.1})]
    with pytest.raises(ValueError, match=r"list_models.*got 'nothing'"):
        models.create("timm:nothing")
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match="'timm:resnet18' needs the package timm"):
        models.create("timm:resnet18")


def test_a_checkpoint_of_ones_own_network_runs_its_code_only_if_it_is_named(folder):
    model = models.Normalized(models.create("my_nets:build(width=2)", 3, 1, seed=0), [0.5], [0.2]).eval()
    save_checkpoint(model, folder / "a.safetensors", {"augmentation": "mixup"})
    sys.modules.pop("my_nets")
    for asked in (None, "small_cnn", "my_nets:fixed"):
        with pytest.raises(ValueError, match=r"a.safetensors: .*asks for my_nets:build, code from outside"):
            load_checkpoint(folder / "a.safetensors", network=asked)
    assert "my_nets" not in sys.modules, "nothing was run"
    again, metadata = load_checkpoint(folder / "a.safetensors", network="my_nets:build")
    images = torch.rand(3, 1, 8, 8, generator=stream(0, "x"))
    assert torch.equal(again(images), model(images)) and metadata == {"augmentation": "mixup"}


def test_a_checkpoint_of_torchvision_needs_no_word(tmp_path):
    model = models.create("torchvision:squeezenet1_1", 3, 1, seed=0).eval()
    save_checkpoint(model, tmp_path / "a.safetensors")
    images = torch.rand(2, 1, 32, 32, generator=stream(0, "x"))
    assert torch.equal(load_checkpoint(tmp_path / "a.safetensors")[0](images), model(images))


class RunsCode:
    def __reduce__(self):
        return os.system, ("touch ran",)


def _raw_pickle(value, path):
    path.write_bytes(pickle.dumps(value))


@pytest.mark.parametrize("save", [torch.save, _raw_pickle], ids=["torch.save", "pickle"])
def test_a_file_that_would_run_code_is_refused_by_its_name(folder, save):
    save({"conv.weight": torch.zeros(2), "x": RunsCode()}, folder / "a.pt")
    with pytest.raises(
        ValueError, match=r"a.pt: refused, as reading it would run code: .*(posix|nt).system.*safetensors"
    ):
        load_state(nn.Linear(1, 1), folder / "a.pt")
    assert not (folder / "ran").exists()


def test_a_whole_pickled_model_is_refused_and_weights_are_asked_for(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "whole.pt")
    with pytest.raises(ValueError, match=r"would run code: torch.nn.modules.linear.Linear; .*model.state_dict\(\)"):
        load_state(nn.Linear(2, 2), tmp_path / "whole.pt")


@pytest.mark.parametrize(
    "pack",
    [
        lambda state: state,
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}, "epoch": 3},
        lambda state: {f"module._orig_mod.{name}": value for name, value in state.items()},
    ],
    ids=["bare", "state_dict", "model of data-parallel training", "compiled"],
)
def test_weights_as_training_scripts_write_them(tmp_path, pack):
    source, target = nn.Linear(3, 2), nn.Linear(3, 2)
    torch.save(pack(source.state_dict()), tmp_path / "a.pt")
    load_state(target, tmp_path / "a.pt")
    assert torch.equal(source.weight, target.weight) and torch.equal(source.bias, target.bias)


def test_a_module_that_is_named_module_keeps_its_names(tmp_path):
    source, target = (nn.ModuleDict({"module": nn.Linear(3, 2)}) for _ in range(2))
    torch.save(source.state_dict(), tmp_path / "a.pt")
    load_state(target, tmp_path / "a.pt")
    assert torch.equal(source["module"].weight, target["module"].weight)


def test_classifiers_by_name(folder):
    network = models.create("my_nets:build(width=2)", 3, 1, seed=0)
    torch.save(network.state_dict(), folder / "a.pt")
    for seed in (0, 1):
        own = models.Normalized(models.create("small_cnn", 3, 1, seed=seed), [0.5], [0.2])
        save_checkpoint(own, folder / f"m{seed}.safetensors", {"augmentation": "mixup", "seed": seed})
    files = weights_by_name(["plain=a.pt", "m0.safetensors", "m1.safetensors", str(folder / "a.pt")])
    assert {name: [path.name for path in paths] for name, paths in files.items()} == {
        "plain": ["a.pt"], "mixup": ["m0.safetensors", "m1.safetensors"], "a": ["a.pt"],
    }  # fmt: skip
    model = load_classifier(
        files["plain"][0], "my_nets:build(width=2)", num_classes=3, in_channels=1, mean=[0.5], std=[0.25]
    )
    images = torch.rand(4, 1, 8, 8, generator=stream(0, "x"))
    assert torch.allclose(model(images), network((images - 0.5) / 0.25)) and not model.training
    plain = load_classifier(folder / "a.pt", "my_nets:build(width=2)", num_classes=3, in_channels=1)
    assert torch.equal(plain(images), network(images))
    assert load_classifier(files["mixup"][1]).network.name == "small_cnn"
    with pytest.raises(ValueError, match=r"a.pt holds weights alone; name their network"):
        load_classifier(folder / "a.pt")
    with pytest.raises(ValueError, match="mean, std: expected both or neither"):
        load_classifier(folder / "a.pt", "my_nets:build(width=2)", mean=[0.5])
    with pytest.raises(FileNotFoundError):
        weights_by_name(["plain=nothing.pt"])


class PairVae(nn.Module):
    """A VAE of somebody else: encode gives (mean, log-variance)."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(16, 4), nn.Linear(2, 16)

    def encode(self, images):
        return self.encoder(images.flatten(1)).chunk(2, dim=1)

    def decode(self, z):
        return self.decoder(z).unflatten(1, (1, 4, 4))


def test_codes_of_other_vaes():
    mean, log_variance = torch.randn(3, 2), torch.randn(3, 2)
    code = models.to_code((mean, log_variance))
    assert torch.equal(code.loc, mean) and torch.allclose((2 * code.log_std).exp(), log_variance.exp())
    named = types.SimpleNamespace(loc=mean, log_std=log_variance)
    assert torch.equal(models.to_code(named).log_std, log_variance)
    with pytest.raises(TypeError, match="expected the pair"):
        models.to_code((mean, mean, mean))
    with pytest.raises(ValueError, match=r"one shape \[n, latent\]"):
        models.to_code((mean, mean[:, :1]))


def test_another_vae_behaves_as_ours_does():
    network = PairVae()
    vae, images = models.OwnVae(network, output_std=0.5), torch.randn(5, 1, 4, 4)
    mean, code = vae(images, stream(0, "noise"))
    assert torch.equal(code.loc, network.encode(images)[0]) and mean.shape == images.shape
    expected = torch.distributions.Normal(mean, 0.5).log_prob(images).flatten(1).sum(1)
    assert torch.allclose(vae.log_likelihood(images, mean), expected)
    assert isinstance(vae, models.VAE) and {name.split(".")[0] for name in vae.state_dict()} == {"network"}
    with pytest.raises(TypeError, match="Linear without encode"):
        models.OwnVae(nn.Linear(1, 1))


def test_another_vae_from_weights_and_from_a_checkpoint(folder):
    network, images = models.create("my_nets:Vae(latent=3)", in_channels=1, seed=0), torch.randn(5, 1, 4, 4)
    torch.save(network.state_dict(), folder / "vae.pt")
    vae = models.load_vae(
        folder / "vae.pt", "my_nets:Vae(latent=3)", in_channels=1, mean=[0.5], std=[0.2], output_std=0.5
    )
    assert torch.equal(vae.encode(images).loc, network.encode(images)[0]) and not vae.training
    assert vae.normalization == ((0.5,), (0.2,)) and vae.output_std == 0.5
    save_checkpoint(vae, folder / "vae.safetensors", {"augmentation": "mixup"})
    before = torch.get_rng_state()
    again = models.load_vae(folder / "vae.safetensors", "my_nets:Vae", mean=[0.0], std=[1.0])
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(again.encode(images).log_std, vae.encode(images).log_std)
    assert (again.normalization, again.output_std) == (vae.normalization, 0.5), "those of the checkpoint"
    with pytest.raises(ValueError, match="asks for my_nets:Vae"):
        models.load_vae(folder / "vae.safetensors", mean=[0.0], std=[1.0])
    torch.save(models.create("my_nets:fixed").state_dict(), folder / "a.pt")
    with pytest.raises(TypeError, match="Sequential without encode"):
        models.load_vae(folder / "a.pt", "my_nets:fixed", mean=[0.5], std=[0.2])
