"""Training steps of a classifier: that of fit_classifier, and the plain loop that one would write first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor, nn

from msda_analysis.bench.numpy_masks import sample_mask
from msda_analysis.data import Batch, Dataset, iterate_batches
from msda_analysis.masks import FMix
from msda_analysis.mixing import Augmentation, Mixed, mix
from msda_analysis.rng import numpy_from_key, stream
from msda_analysis.training import ClassifierFit
from msda_analysis.training.classifier import cross_entropy, set_up
from msda_analysis.training.step import mix_batch, take_step
from msda_analysis.training.together import current

#: What the plain loop can be given, one at a time: of ours, and torch.compile of the network.
CHANGES = ("channels_last", "fused_optimizer", "batched_augmentation", "mixing_per_image", "compiled")


@dataclass(frozen=True)
class OurStep:
    """What fit_classifier does with a batch that is mixed: forward, backward, update.

    Attributes:
        network, optimizer: as training.classifier.set_up makes them.
        settings: of the training.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    settings: ClassifierFit

    @classmethod
    def make(cls, dataset: Dataset, settings: ClassifierFit, seed: int) -> "OurStep":
        network, optimizer = set_up(dataset, settings, seed=seed, device=dataset.images.device)
        return cls(network.train(), optimizer, settings)

    def __call__(self, images: Tensor, batch: Batch, mixed: Mixed | None = None) -> None:
        """Take a step on images [n, channel, height, width], which are the batch's or were mixed of them."""
        noise, together = stream(0, "latent", step=batch.step, device=images.device), current()
        compute = together.compute(self.network, cross_entropy)
        take_step(compute, self.optimizer, images, batch, mixed, noise, self.settings, together)


def our_loop(dataset: Dataset, settings: ClassifierFit, family: Augmentation, seed: int) -> Callable[[], None]:
    """The training of fit_classifier, a step a call: batched augmentation of uint8 images, mixing per image, its step."""
    step, batches = OurStep.make(dataset, settings, seed), _our_batches(dataset, settings, seed)

    def run() -> None:
        batch = next(batches)
        images, mixed = mix_batch(batch, family, seed=seed, rank=0, epoch=0, n_steps=1, guide=None)
        step(images, batch, mixed)

    return run


def plain_loop(dataset: Dataset, settings: ClassifierFit, seed: int, change: str = "") -> Callable[[], None]:
    """The plain loop, a step a call: a DataLoader without workers, torchvision's crop and flip an image at a time, one NumPy mask
    a batch (the released law), eager, float32, channels first, torch's SGD as it is by default.

    Args:
        dataset: pictures, uint8.
        settings: of the training; the augmentation is always crop and flip.
        seed: of weights, order and masks. torchvision draws from torch's global generator.
        change: one of CHANGES.
    """
    device = dataset.images.device
    network, _ = set_up(dataset, settings, seed=seed, device=device)
    layout = torch.channels_last if change == "channels_last" else torch.contiguous_format
    network = network.to(memory_format=layout).train()  # type: ignore[call-overload]
    forward = torch.compile(network) if change == "compiled" else network
    optimizer = torch.optim.SGD(
        network.parameters(), lr=settings.lr, momentum=settings.momentum, weight_decay=settings.weight_decay,
        nesterov=settings.nesterov, fused=True if change == "fused_optimizer" else None,
    )  # fmt: skip
    mixing = per_image(FMix(), seed) if change == "mixing_per_image" else one_numpy_mask(seed)
    if change == "batched_augmentation":
        batches = ((batch.images, batch.labels) for batch in _our_batches(dataset, settings, seed))
    else:
        batches = _plain_batches(dataset, settings.batch_size, seed)

    def run() -> None:
        images, labels = next(batches)
        mixed = mixing(images.to(device), labels.to(device))
        loss = mixed.loss(forward(mixed.images.contiguous(memory_format=layout)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return run


def per_image(family: Augmentation, seed: int) -> Callable[[Tensor, Tensor], Mixed]:
    """Mixing (images, labels) as a training does it, from a stream of each step's own."""
    steps = count()

    def run(images: Tensor, labels: Tensor) -> Mixed:
        generator = stream(seed, "mix", step=next(steps))
        return mix(images, labels, family, generator=generator, validate=False, spatial=2)

    return run


def one_numpy_mask(seed: int) -> Callable[[Tensor, Tensor], Mixed]:
    """Mixing (images, labels) the released way: one mask a batch, made by NumPy."""
    masks, order = numpy_from_key(seed), stream(seed, "bench pairs")

    def run(images: Tensor, labels: Tensor) -> Mixed:
        size = (images.shape[2], images.shape[3])
        mask = torch.from_numpy(sample_mask(size, masks)).float().to(images.device)
        permutation = torch.randperm(len(images), generator=order).to(images.device)
        mixed = mask * images + (1 - mask) * images[permutation]
        return Mixed(mixed, labels, labels[permutation], mask.mean().expand(len(images)), permutation)

    return run


def noise_pictures(n: int, size: tuple[int, int], seed: int, device: torch.device) -> Dataset:
    """Pictures of noise in ten classes, uint8 [n, 3, *size]: what a step takes does not depend on what they show."""
    images = torch.randint(256, (n, 3, *size), generator=stream(seed, "bench images"), dtype=torch.uint8)
    return Dataset.from_arrays(images, torch.arange(n) % 10, list("0123456789"), name="noise").to(device)


def _our_batches(dataset: Dataset, settings: ClassifierFit, seed: int) -> Iterator[Batch]:
    for epoch in count():
        yield from iterate_batches(dataset, settings.batch_size, seed=seed, epoch=epoch, augment=settings.augment)


def _plain_batches(dataset: Dataset, batch: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    from torchvision import transforms

    change = transforms.Compose([
        transforms.ToPILImage(), transforms.RandomCrop(dataset.image_size, padding=4), transforms.RandomHorizontalFlip(),
        transforms.ToTensor(), transforms.Normalize(dataset.mean, dataset.std),
    ])  # fmt: skip
    pictures = dataset.images.permute(0, 2, 3, 1).cpu().numpy()
    items = _Pictures(pictures, dataset.labels.tolist(), change)
    order = stream(seed, "bench order")
    while True:
        yield from torch.utils.data.DataLoader(items, batch, shuffle=True, drop_last=True, generator=order)


class _Pictures(torch.utils.data.Dataset):
    """One changed picture at a time, as torchvision's data sets give them."""

    def __init__(self, pictures, labels, change):
        self.pictures, self.labels, self.change = pictures, labels, change

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.change(self.pictures[i]), self.labels[i]
