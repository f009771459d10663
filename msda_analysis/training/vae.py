"""Train the paper's VAE on clean or on mixed images."""

import os

import torch
from torch import Tensor, nn

from msda_analysis.data import Batch, Dataset
from msda_analysis.mixing import Augmentation, Mixed
from msda_analysis.models import VAE, OwnVae, create
from msda_analysis.models.dimensions import memory_format
from msda_analysis.training.loop import History, train
from msda_analysis.training.settings import VaeFit


def fit_vae(
    dataset: Dataset,
    family: Augmentation | None,
    settings: VaeFit | None = None,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    progress: bool = True,
    network: nn.Module | None = None,
    resume: str | os.PathLike[str] | None = None,
) -> tuple[VAE, History]:
    """Train a VAE to reconstruct the images it is given, which are mixed when a family is given.

    Loss: negative log-likelihood summed over pixels plus KL(q(z|x) || N(0, I)) summed over latents, in nats per image.

    Args:
        dataset: training split; images are normalized with its mean and std.
        family: mask family, mixer (see mixing.Mixer), Alternate, or None for no mixing.
        settings: VaeFit() if None.
        seed: of weights, order, augmentation, mixing and latent noise.
        network: a module of yours to be trained in place, from the weights that it has: encode(images) -> the pair (mean,
            log-variance), or .loc and .log_std, each [n, latent]; decode(z) -> mean image; both in normalized units.
        resume: a folder in which the training saves itself, see fit_classifier.

    Returns:
        The VAE in evaluation mode on `device` (it takes dataset.normalize(images), and keeps that normalization as
        vae.normalization, in checkpoints too), and the history. A network of yours stands in an OwnVae, as `.network`.

    Raises:
        TrainingDivergedError: the loss became NaN or infinite.
        ValueError: images below 16 pixels a side, or fewer than two; or `resume` holds the state of another training.
        OSError: `resume` cannot be written.

    Source: Harris et al. 2020 (arXiv 2002.12047); released analysis code.
    """
    settings = settings or VaeFit()
    device = torch.device(device)
    vae = _build(dataset, settings, seed) if network is None else _wrap(network, settings)
    vae = vae.to(device).to(memory_format=memory_format(len(dataset.image_size)))  # type: ignore[call-overload]
    vae.normalization = (dataset.mean, dataset.std)
    optimizer = torch.optim.Adam(vae.parameters(), lr=settings.lr, fused=True)
    history = train(
        vae, optimizer, dataset.to(device), family,
        settings=settings, compute_loss=negative_elbo, seed=seed, progress=progress, label="VAE", resume=resume,
    )  # fmt: skip
    return vae, history


def _build(dataset: Dataset, settings: VaeFit, seed: int) -> VAE:
    vae = create(
        "vae", in_channels=dataset.in_channels, seed=seed,
        latent=settings.latent, image_size=dataset.image_size, output_std=settings.output_std,
    )  # fmt: skip
    assert isinstance(vae, VAE)
    return vae


def _wrap(network: nn.Module, settings: VaeFit) -> VAE:
    return network if isinstance(network, VAE) else OwnVae(network, output_std=settings.output_std)


def negative_elbo(
    model: nn.Module, images: Tensor, batch: Batch, mixed: Mixed | None, noise: torch.Generator
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean over images of -log p(x|z) + KL(q(z|x) || N(0, I)) in nats, with one z per image, and its two parts."""
    del batch, mixed  # an autoencoder has no labels: its target is what it is given
    assert isinstance(model, VAE)
    mean, code = model(images, noise)
    distortion = -model.log_likelihood(images, mean.float()).mean()
    rate = type(code)(code.loc.float(), code.log_std.float()).kl_to_prior().mean()
    return distortion + rate, {"distortion": distortion, "rate": rate}
