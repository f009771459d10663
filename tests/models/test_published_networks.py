"""Names, shapes and outputs against numbers from the released code."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from msda_analysis import models

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "models.json").read_text())
PUBLISHED = REFERENCE["models"]


def fill(model):
    """Give entry i of the state_dict values from sin(0.37 k + 1.7 i), scaled so that activations keep their size."""
    filled = {}
    for i, (name, tensor) in enumerate(model.state_dict().items()):
        if not tensor.is_floating_point():
            filled[name] = tensor
            continue
        n = tensor.numel()
        wave = np.sin(0.37 * np.arange(n, dtype=np.float64) + 1.7 * i)
        if name.endswith("running_var"):
            wave = 1 + wave / 2
        elif tensor.ndim == 1 and name.endswith("weight"):
            wave = 1 + wave / 10
        elif tensor.ndim == 1:
            wave = wave / 20
        else:
            wave = wave * np.sqrt(2 * tensor.shape[0] / n)
        filled[name] = torch.from_numpy(wave).float().view(tensor.shape)
    model.load_state_dict(filled)
    return model.eval()


def images():
    return torch.from_numpy(np.cos(0.011 * np.arange(2 * 3 * 32 * 32))).float().view(2, 3, 32, 32)


def digest_parts(model):
    lines = {}
    for name, tensor in model.state_dict().items():
        lines.setdefault(name.split(".")[0], []).append(f"{name} {list(tensor.shape)}")
    return {
        part: [len(rows), hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]] for part, rows in lines.items()
    }


def assert_close(actual, expected):
    expected = torch.tensor(expected)
    assert actual.shape == expected.shape
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_the_reference_covers_every_published_model():
    assert set(PUBLISHED) == set(models.NAMES) - {"small_cnn", "fast_cnn", "vgg11_bn"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_state_dict_has_the_published_names_order_and_shapes(name):
    with torch.device("meta"):
        model = models.create(name)
    parts = digest_parts(model)
    assert parts == PUBLISHED[name]["parts"]
    assert list(parts) == list(PUBLISHED[name]["parts"])
    assert sum(parameter.numel() for parameter in model.parameters()) == PUBLISHED[name]["params"]


def test_digest_sees_a_changed_shape():
    with torch.device("meta"):
        parts = digest_parts(models.create("preact_resnet18", num_classes=11))
    differing = [part for part in parts if parts[part] != PUBLISHED["preact_resnet18"]["parts"][part]]
    assert differing == ["linear"]


def test_vgg11_has_the_published_number_of_parameters():
    with torch.device("meta"):
        model = models.create("vgg11_bn")
    assert sum(parameter.numel() for parameter in model.parameters()) == 64_825_098


@torch.inference_mode()
def test_preact_resnet18_gives_the_released_logits():
    assert_close(fill(models.create("preact_resnet18"))(images()), PUBLISHED["preact_resnet18"]["logits"])


@torch.inference_mode()
def test_vae_gives_the_released_code_and_images():
    reference = PUBLISHED["vae"]
    vae = fill(models.create("vae"))
    code = vae.encode(images())
    assert_close(code.loc, reference["loc"])
    assert_close(code.log_std, reference["log_scale"])
    decoded = vae.decode(torch.cos(0.13 * torch.arange(128, dtype=torch.float64)).float().view(2, 64))
    assert_close(torch.stack([decoded.mean(), decoded.std()]), reference["decoded_summary"])
    assert_close(decoded[0, :, 0, :4], reference["decoded_first"])


@pytest.mark.parametrize("variant", REFERENCE["variants"], ids=lambda variant: variant["model"])
@torch.inference_mode()
def test_smaller_networks_of_the_same_code_give_the_released_logits(variant):
    model = fill(models.create(variant["model"], **variant["options"]))
    assert_close(model(images()), variant["logits"])


def test_three_variants_are_checked():
    assert [variant["model"] for variant in REFERENCE["variants"]] == [
        "wide_resnet28_10",
        "densenet190",
        "pyramidnet272",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wide_resnet28_10", "densenet190", "pyramidnet272"])
@torch.inference_mode()
def test_full_networks_give_the_released_logits(name):
    assert_close(fill(models.create(name))(images()), PUBLISHED[name]["logits"])
