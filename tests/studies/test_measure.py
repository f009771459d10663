"""The commands that measure checkpoints from elsewhere."""

from dataclasses import replace
from pathlib import Path

import pytest

from msda_analysis import VaeFit, fit_vae, load_dataset
from msda_analysis.cli import main
from msda_analysis.models import create, save_checkpoint
from msda_analysis.results import read_table

DIGITS = load_dataset("digits", train_size=40)


def save_vae(path: Path, std: float) -> Path:
    """A VAE trained on digits in other units than load_dataset's."""
    vae, _ = fit_vae(replace(DIGITS, std=(std,)), None, VaeFit(epochs=1, batch_size=20), progress=False)
    save_checkpoint(vae, path)
    return path


def measure(*words: object) -> int:
    return main(["information", *map(str, words), "--test-size", "30", "--device", "cpu"])


def test_images_are_normalized_as_the_vae_was_trained(tmp_path, undrawn):
    """Not as the data set's own statistics say: rates would be of other inputs, without a word."""
    path = save_vae(tmp_path / "vae.safetensors", std=2.0)
    assert measure(path, "--out", tmp_path / "out") == 0
    table = read_table(tmp_path / "out" / "results.csv").set_index("metric")
    images = load_dataset("digits", "test").take(30)
    vae, _ = fit_vae(replace(DIGITS, std=(2.0,)), None, VaeFit(epochs=1, batch_size=20), progress=False)
    rates = vae.encode(replace(images, std=(2.0,)).normalize(images.images)).kl_to_prior()
    assert table.loc["rate", "value"] == pytest.approx(
        float(rates.mean().detach()), rel=1e-3
    )  # the rate is near 0 after one epoch


def test_vaes_in_different_units_are_not_compared(tmp_path, capsys):
    vae, baseline = (save_vae(tmp_path / f"{std}.safetensors", std) for std in (1.0, 2.0))
    assert measure(vae, "--baseline", baseline, "--out", tmp_path / "out") == 2
    assert "baseline: expected a VAE trained on images normalized as those of" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_vae_of_unknown_units_is_refused(tmp_path, capsys):
    path = tmp_path / "vae.safetensors"
    save_checkpoint(create("vae", in_channels=1), path)
    assert measure(path, "--out", tmp_path / "out") == 2
    assert "does not say how the images that it was trained on were normalized" in capsys.readouterr().err
