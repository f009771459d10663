"""Cells that train, measure VAEs, describe masks and draw pictures."""

from pathlib import Path

import torch

from msda_analysis import mask_stats
from msda_analysis.data import sample_images
from msda_analysis.estimate import Estimate
from msda_analysis.information import (
    between_encoders,
    encode_once,
    encoder_bounds,
    fit_marginals,
    layer_information,
    measured_all,
    measured_layers,
    vae_information,
)
from msda_analysis.masks import Alternate, sample_masks
from msda_analysis.models import VAE, Normalized, save_checkpoint
from msda_analysis.models.vgg import VGG11
from msda_analysis.results import Source, make_row, to_rows
from msda_analysis.rng import stream
from msda_analysis.studies import published
from msda_analysis.studies.plan import Cell, describable
from msda_analysis.studies.workshop import MODEL_FILE, Rows, Workshop, save_arrays
from msda_analysis.training import History, fit_classifier, fit_vae

_N_PICTURES = 8


def train_vae(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    family = workshop.plan.family_of(cell.augmentation)
    vae, history = fit_vae(
        workshop.train, family, workshop.plan.vae,
        seed=cell.seed, device=workshop.plan.device, progress=workshop.progress,
    )  # fmt: skip
    save_checkpoint(vae, folder / MODEL_FILE, cell.describe())
    return _history_rows(workshop.source(cell, "vae"), history)


def train_classifier(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    assert workshop.plan.classifier is not None
    family = workshop.plan.family_of(cell.augmentation)
    classifier, history = fit_classifier(
        workshop.train, family, workshop.plan.classifier,
        seed=cell.seed, device=workshop.plan.device, progress=workshop.progress,
    )  # fmt: skip
    save_checkpoint(classifier, folder / MODEL_FILE, cell.describe())
    return _history_rows(workshop.source(cell, workshop.plan.classifier.model), history)


def import_classifier(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Take a published classifier instead of training one."""
    assert workshop.plan.weights is not None
    classifier = published.load(workshop.plan.weights, cell.augmentation, cell.seed)
    save_checkpoint(classifier, folder / MODEL_FILE, cell.describe())
    return []


def measure_vae(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """The paper's three figures on the test split, the encoder bounds beside them, and pictures of reconstructions."""
    vae, *others = [workshop.load_vae(need) for need in cell.needs]
    codes = encode_once(vae, workshop.test.normalize(workshop.test.images), *others, seed=cell.seed)
    own = fit_marginals(codes.own, cell.seed)
    found = measured_all(vae_information(codes))
    if cell.settings["between"] and codes.baseline is not None:
        # both with one seed: exchanging the VAEs changes no number
        marginals = (fit_marginals(codes.baseline, cell.seed, components=()), own)
        shared = between_encoders(
            codes.baseline, codes.own, cell.seed, reconstructed=codes.reconstructed, marginals=marginals
        )
        found += measured_all(shared, "between_")
    # "rate" is the same number in both: the paper's name is kept once
    bounds = encoder_bounds(*codes.own, seed=cell.seed, marginals=own)
    found += measured_all({name: estimate for name, estimate in bounds.items() if name != "rate"})
    _save_reconstructions(workshop, cell, vae, folder)
    return to_rows(workshop.source(cell, "vae"), found)


def measure_layers(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Information between the input and each layer of a VGG-11 in evaluation mode, by depth."""
    del folder
    model = workshop.load_model(cell.needs[0])
    assert isinstance(model, Normalized) and isinstance(model.network, VGG11)
    images, network = workshop.test.normalize(workshop.test.images), model.network.eval()
    with torch.no_grad():
        taps = [network.taps(batch) for batch in images.split(500)]
    features = {name: torch.cat([tap[name] for tap in taps]) for name in taps[0]}
    found = []
    for method in cell.settings["methods"]:
        name, cap = ("mine", "tanh") if method == "mine_tanh" else (method, None)
        found += measured_layers(layer_information(features, images, name, cell.seed, cap=cap), method)
    return to_rows(workshop.source(cell, "vgg11_bn"), found)


def describe_masks(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Statistics of the masks of one family at the dataset's image size."""
    del folder
    family = describable(cell.augmentation)
    assert family is not None
    generator = stream(cell.seed, "described masks")
    masks = sample_masks(family, workshop.plan.n_masks, workshop.test.image_size, generator=generator).masks
    return to_rows(workshop.source(cell, ""), mask_stats.summarize(masks))


def draw_pictures(workshop: Workshop, cell: Cell, folder: Path) -> Rows:
    """Masks and mixed images of every family, on sample pictures that foolbox ships; no numbers."""
    images, _ = sample_images("cifar10", 2 * _N_PICTURES)
    first, second = images[:_N_PICTURES].float() / 255, images[_N_PICTURES:].float() / 255
    masks, mixed = {}, {"image_a": first.numpy(), "image_b": second.numpy()}
    for name in cell.settings["families"]:
        family = describable(name)
        if family is None or isinstance(family, Alternate):
            continue  # batches of an Alternate look like those of its parts
        sampled = sample_masks(family, _N_PICTURES, (32, 32), generator=stream(cell.seed, "pictures")).masks
        masks[name] = sampled[:, 0].numpy()
        mixed[name] = torch.lerp(second, first, sampled).numpy()
    save_arrays(folder / "masks.npz", masks)
    save_arrays(folder / "mixed.npz", mixed)
    return []


def _history_rows(source: Source, history: History) -> Rows:
    rows = []
    for epoch, entry in enumerate(history.epochs, start=1):
        for name, value in entry.items():
            metric, unit = ("epoch_seconds", "s") if name == "seconds" else (f"train_{name}", "nats")
            rows.append(make_row(source, metric, Estimate(value, unit), x=epoch))
    return rows


def _save_reconstructions(workshop: Workshop, cell: Cell, vae: VAE, folder: Path) -> None:
    shown = workshop.test.take(min(_N_PICTURES, len(workshop.test)), name="test_size")  # as many classes as there are
    with torch.no_grad():
        decoded = vae.decode(vae.encode(shown.normalize(shown.images)).loc)
    mean, std = (torch.tensor(v, device=decoded.device).view(-1, 1, 1) for v in (shown.mean, shown.std))
    # pictures only: what is out of range cannot be shown
    rebuilt = (decoded * std + mean).clamp(0, 1)
    original = shown.unit_images()
    save_arrays(
        folder / "reconstructions.npz", {"original": original.cpu().numpy(), cell.augmentation: rebuilt.cpu().numpy()}
    )
