"""Mixers as users would write them; tests copy this file to where they want it."""

from dataclasses import dataclass

import torch

from msda_analysis.mixing import Mixed


def swap_halves(images, labels, generator, at=0.5):
    order = torch.randperm(len(images), generator=generator)
    cut = int(at * images.shape[-1])
    mixed = images.clone()
    mixed[..., cut:] = images[order][..., cut:]
    return Mixed(mixed, labels, labels[order], torch.full((len(images),), cut / images.shape[-1]), order)


def transform(images, labels):
    """As other libraries' are called; draws from torch's global generator, and changes what it is given."""
    order, lam = torch.randperm(len(images)), torch.rand(())
    images.mul_(lam).add_(images.clone()[order] / lam * (1 - lam))
    return images, labels, labels[order], lam


@dataclass(frozen=True)
class Fade:
    weight: float = 0.5

    def __call__(self, images, labels, generator):
        order = torch.randperm(len(images), generator=generator)
        lam = torch.full((len(images),), self.weight)
        return Mixed(torch.lerp(images[order], images, self.weight), labels, labels[order], lam, order)


nothing = 3
