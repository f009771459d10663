"""Checkpoints: what comes back, and what is said when a file is no good."""

import json
import os
import pickle
import zipfile

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from msda_analysis import models
from msda_analysis.models import Normalized, load_checkpoint, load_state, save_checkpoint
from msda_analysis.rng import stream


def make_model(**options):
    return models.create("small_cnn", 4, 1, seed=0, width=4, **options).eval()


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    save_checkpoint(Normalized(make_model(), [0.3], [0.2]), path, {"seed": 3})
    return path


def rewrite_header(path, **changes):
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    header = {name: text for name, text in {**header, **changes}.items() if text is not None}
    save_file(load_file(path), path, header)


def test_a_normalized_classifier_comes_back_with_its_metadata(tmp_path):
    model = Normalized(make_model(), [0.1307], [0.3081]).eval()
    metadata = {"settings": {"epochs": 3, "family": None}, "history": [1.5, 0.25], "class names": ["ä", "b"]}
    save_checkpoint(model, tmp_path / "a.safetensors", metadata)
    loaded, found = load_checkpoint(tmp_path / "a.safetensors")
    images = torch.rand(3, 1, 32, 32, generator=stream(0, "images"))
    assert isinstance(loaded, Normalized)
    assert torch.equal(loaded(images), model(images))
    assert found == metadata
    assert not loaded.training
    assert (loaded.network.name, loaded.network.options) == (model.network.name, model.network.options)


def test_a_bare_vae_comes_back(tmp_path):
    vae = models.create("vae", in_channels=1, seed=0, latent=5, image_size=(28, 28), output_std=0.1).eval()
    torch.nn.init.normal_(vae.loc.weight, generator=stream(0, "head"))
    save_checkpoint(vae, tmp_path / "vae.safetensors")
    loaded, metadata = load_checkpoint(tmp_path / "vae.safetensors")
    images = torch.rand(2, 1, 28, 28, generator=stream(0, "images"))
    assert torch.equal(loaded.encode(images).loc, vae.encode(images).loc)
    assert (loaded.output_std, loaded.image_size, metadata) == (0.1, (28, 28), {})
    assert loaded.options == vae.options
    assert loaded.normalization is None, "nothing is made up where nothing is known"


def test_a_vae_keeps_how_its_images_were_normalized(tmp_path):
    vae = models.create("vae", in_channels=3, seed=0)
    vae.normalization = ((0.1, 0.2, 0.3), (0.4, 0.5, 1 / 3))
    save_checkpoint(vae, tmp_path / "vae.safetensors")
    loaded, _ = load_checkpoint(tmp_path / "vae.safetensors")
    assert type(loaded) is type(vae) and loaded.normalization == vae.normalization


def test_a_loaded_model_can_be_trained_and_saved_again(saved):
    model, _ = load_checkpoint(saved)
    model.train()(torch.rand(2, 1, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    save_checkpoint(model, saved)
    again, _ = load_checkpoint(saved)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_half_precision_and_channels_last_survive(tmp_path):
    model = make_model().to(torch.float16).to(memory_format=torch.channels_last)
    save_checkpoint(model, tmp_path / "half.safetensors")
    loaded, _ = load_checkpoint(tmp_path / "half.safetensors")
    assert all(torch.equal(tensor, loaded.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert loaded.linear.weight.dtype == torch.float16


def test_a_loaded_model_does_not_look_at_its_file_again(saved):
    model, _ = load_checkpoint(saved)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with open(saved, "r+b") as file:
        file.write(b"\xff" * saved.stat().st_size)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())


def test_loading_draws_no_random_numbers(saved):
    before = torch.get_rng_state()
    load_checkpoint(saved)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_header_says_how_to_rebuild(saved):
    with safe_open(saved, framework="pt") as file:
        header = file.metadata()
    assert header["format"] == "msda_analysis checkpoint"
    values = {name: json.loads(text) for name, text in header.items() if name != "format"}
    assert values["options"] == {"num_classes": 4, "in_channels": 1, "width": 4}
    assert (values["version"], values["model"], values["class"]) == (2, "small_cnn", "SmallCNN")
    assert (values["mean"], values["std"]) == ([pytest.approx(0.3)], [pytest.approx(0.2)])
    assert values["metadata"] == {"seed": 3}


def test_a_full_disk_leaves_the_old_file(saved, monkeypatch):
    old = saved.read_bytes()

    def refuse(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left on device"):
        save_checkpoint(make_model(), saved, {"seed": 4})
    assert saved.read_bytes() == old
    assert os.listdir(saved.parent) == [saved.name]


def test_saving_leaves_one_file_with_ordinary_permissions(saved):
    plain = saved.with_name("plain")
    plain.write_text("")
    assert saved.stat().st_mode == plain.stat().st_mode
    assert sorted(os.listdir(saved.parent)) == sorted([saved.name, plain.name])


def test_saving_into_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"path: expected a file in an existing folder, but .*nowhere is missing"
    ):
        save_checkpoint(make_model(), tmp_path / "nowhere" / "a.safetensors")


def test_a_foreign_model_is_not_saved(tmp_path):
    with pytest.raises(ValueError, match=r"model: expected one made by models.create\(\).*got Linear"):
        save_checkpoint(torch.nn.Linear(2, 2), tmp_path / "a.safetensors")


def test_metadata_that_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"metadata: expected what JSON can hold .*Tensor"):
        save_checkpoint(make_model(), tmp_path / "a.safetensors", {"loss": torch.zeros(1)})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("read", [load_checkpoint, lambda path: load_state(make_model(), path)])
def test_a_missing_file_is_named(read, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"path: expected a checkpoint file, but .*absent.pt is missing"):
        read(tmp_path / "absent.pt")
    with pytest.raises(FileNotFoundError, match="is missing or not a file"):
        read(tmp_path)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"model.safetensors: not a safetensors file, or cut short"):
        load_checkpoint(saved)


def test_another_kind_of_file_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    torch.save(make_model().state_dict(), path)
    with pytest.raises(ValueError, match="not a safetensors file, or cut short"):
        load_checkpoint(path)


def test_foreign_safetensors_are_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    save_file(make_model().state_dict(), path)
    with pytest.raises(ValueError, match=r"expected a file written by save_checkpoint.*use load_state\(model, path\)"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "3"}, "it has format version 3, this library reads up to 2"),
        ({"model": '"resnet"'}, "model: expected one of .*; got 'resnet'"),
        ({"model": '"vae"', "options": "{}"}, "it holds a SmallCNN, but 'vae' is a VAE"),
        ({"options": '{"depth": 3}'}, "options: model 'small_cnn' takes axes, width; got depth"),
        ({"options": "[]"}, "has no attribute 'items'"),
        ({"options": "{"}, "Expecting property name"),
        ({"std": "[0]"}, "std: expected a finite number > 0, got 0.0"),
        ({"metadata": None}, "'metadata'"),
    ],
)
def test_a_header_that_cannot_be_rebuilt_is_explained(saved, changes, message):
    rewrite_header(saved, **changes)
    with pytest.raises(ValueError, match=f"the model cannot be rebuilt from the file's header: .*{message}"):
        load_checkpoint(saved)


def test_a_header_that_does_not_fit_the_tensors_is_refused_before_memory_is_taken(saved):
    options = {"num_classes": 4, "in_channels": 1, "width": 10**6}  # would need 10**14 bytes and more
    rewrite_header(saved, options=json.dumps(options))
    with pytest.raises(ValueError, match=r"network.features.0.weight is \[4, 1, 5, 5\], expected \[1000000, 1, 5, 5\]"):
        load_checkpoint(saved)


def test_an_absurd_header_is_refused(saved):
    rewrite_header(saved, options=json.dumps({"num_classes": 4, "in_channels": 1, "width": 10**12}))
    with pytest.raises(ValueError, match="the model cannot be rebuilt from the file's header"):
        load_checkpoint(saved)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("wraps", [False, True])
def test_a_bare_state_dict_is_loaded(tmp_path, suffix, wraps):
    source, path = make_model(), tmp_path / f"published{suffix}"
    if suffix == ".pt":
        torch.save(source.state_dict(), path)
    else:
        save_file(source.state_dict(), path)
    network = models.create("small_cnn", 4, 1, seed=1, width=4)
    assert load_state(Normalized(network, [0.5], [0.5]) if wraps else network, path) is None
    assert all(torch.equal(tensor, network.state_dict()[name]) for name, tensor in source.state_dict().items())


def test_weights_that_do_not_fit_are_listed_and_the_model_stays(tmp_path):
    state = make_model().state_dict()
    state["extra"] = state.pop("linear.bias")
    state["linear.weight"] = torch.zeros(5, 16)
    torch.save(state, tmp_path / "a.pt")
    model = models.create("small_cnn", 4, 1, seed=1, width=4)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    message = (
        r"do not fit the SmallCNN: linear.bias is missing; extra is unexpected; "
        r"linear.weight is \[5, 16\], expected \[4, 16\]; was it created with the same num_classes"
    )
    with pytest.raises(ValueError, match=message):
        load_state(model, tmp_path / "a.pt")
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())


def test_a_long_list_of_misfits_is_cut(tmp_path):
    torch.save({}, tmp_path / "a.pt")
    n_missing = len(make_model().state_dict())
    with pytest.raises(ValueError, match=f"features.0.weight is missing; .* and {n_missing - 3} more"):
        load_state(make_model(), tmp_path / "a.pt")


def test_a_training_checkpoint_is_not_a_bare_state_dict(tmp_path):
    torch.save({"teacher": make_model().state_dict(), "epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(
        ValueError, match=r"expected a bare state_dict.*got a mapping with 'teacher', 'epoch'; take the"
    ):
        load_state(make_model(), tmp_path / "a.pt")
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(ValueError, match=r"expected a bare state_dict.*got a list"):
        load_state(make_model(), tmp_path / "b.pt")


class Attack:
    """A pickle that makes a folder when it is opened carelessly."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("write", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing, protocol=2))])
def test_a_file_with_code_is_refused_and_not_run(tmp_path, write):
    trace = tmp_path / "executed"
    write({"weight": Attack(trace)}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a.pt: refused, as reading it would run code: \w+\.mkdir; ask for"):
        load_state(make_model(), tmp_path / "a.pt")
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04 broken"])
def test_a_file_that_torch_did_not_write_is_refused(tmp_path, content):
    (tmp_path / "a.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"a.pt: not a file of torch.save"):
        load_state(make_model(), tmp_path / "a.pt")


def spoil(path, name, value, dtype=None):
    """Set the last number of a tensor in a file, or change its kind."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
    tensors = load_file(path)
    tensors[name] = tensors[name].to(dtype or tensors[name].dtype)
    tensors[name].view(-1)[-1] = value
    save_file(tensors, path, header)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", ["network.linear.weight", "network.features.1.running_var", "mean"])
def test_weights_that_are_no_numbers_are_refused(saved, name, value):
    spoil(saved, name, value)
    with pytest.raises(ValueError, match=rf"model.safetensors: {name}: expected finite values, got 1 NaN or infinite"):
        load_checkpoint(saved)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_published_weights_that_are_no_numbers_are_refused_and_the_model_stays(tmp_path, suffix):
    state, path = make_model().state_dict(), tmp_path / f"published{suffix}"
    state["linear.bias"] = torch.tensor([0.0, float("nan"), 0.0, float("inf")])
    torch.save(state, path) if suffix == ".pt" else save_file(state, path)
    model = make_model()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(
        ValueError, match=rf"published{suffix}: linear.bias: expected finite values, got 2 NaN or infinite"
    ):
        load_state(model, path)
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in before.items())


def test_a_model_without_numbers_is_not_saved(tmp_path):
    model = make_model()
    model.linear.bias.data[2] = float("nan")
    with pytest.raises(ValueError, match=r"model: linear\.bias: expected finite values, got 1 NaN or infinite"):
        save_checkpoint(model, tmp_path / "a.safetensors")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.complex64, torch.float8_e4m3fn], ids=str)
def test_weights_of_another_kind_are_refused(saved, dtype):
    spoil(saved, "network.linear.weight", 1, dtype)
    with pytest.raises(
        ValueError, match=rf"network.linear.weight holds {dtype}, expected float16, bfloat16, float32 or"
    ):
        load_checkpoint(saved)


def test_a_vae_whose_header_divides_by_zero_is_refused(tmp_path):
    save_checkpoint(models.create("vae", in_channels=1, seed=0, latent=2), tmp_path / "vae.safetensors")
    rewrite_header(tmp_path / "vae.safetensors", mean="[0.5]", std="[0.0]")
    with pytest.raises(ValueError, match=r"header: std: expected a finite number > 0, got 0\.0"):
        load_checkpoint(tmp_path / "vae.safetensors")


def test_the_same_model_gives_the_same_bytes(tmp_path):
    """safetensors writes the names of a header in another order every time."""
    model, written = Normalized(make_model(), [0.3], [0.2]), set()
    for i in range(6):
        save_checkpoint(model, tmp_path / f"{i}.safetensors", {"name": "ä"})
        written.add((tmp_path / f"{i}.safetensors").read_bytes())
    assert len(written) == 1
    with safe_open(tmp_path / "0.safetensors", framework="pt") as file:
        assert list(file.metadata()) and json.loads(file.metadata()["metadata"]) == {"name": "ä"}


@pytest.mark.parametrize("options", [{"depth": 1_000_000_000}, {"layers": [1, 10**9]}], ids=str)
def test_a_header_that_asks_for_endless_layers_is_refused(tmp_path, options):
    path = tmp_path / "deep.safetensors"
    save_checkpoint(models.create("densenet190", seed=0, depth=10, growth=2), path)
    load_checkpoint(path)
    rewrite_header(path, options=json.dumps(options))
    with pytest.raises(ValueError, match=r"asks for (depth|layers)=.*, but holds \d+ tensors"):
        load_checkpoint(path)


def test_an_archive_that_unpacks_to_more_than_it_is_refused_unread(tmp_path):
    path = tmp_path / "bomb.pt"
    state = {name: torch.zeros_like(tensor) for name, tensor in make_model().state_dict().items()}
    torch.save(state, path)
    load_state(make_model(), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"bomb\.pt: refused, as [\d,]+ bytes would unpack to [\d,]+"):
        load_state(make_model(), path)
