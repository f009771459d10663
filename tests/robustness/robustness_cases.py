"""A classifier whose every distance is known, and made-up images with a network for them."""

import torch
from torch import nn

CLASSES = 5


class Linear(nn.Module):
    """Linear classifier around mid-gray: every distance to its boundaries is known in closed form."""

    def __init__(self, classes: int = CLASSES, pixels: int = 48, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(classes, pixels, generator=generator))
        self.bias = nn.Parameter(0.1 * torch.randn(classes, generator=generator))

    def forward(self, images):
        return (images.flatten(1) - 0.5) @ self.weight.T + self.bias

    def distances(self, images, norm):
        """[n] exact distance of each image to the nearest boundary of its predicted class, ignoring the box [0, 1]."""
        logits = self(images).detach().double()
        own = logits.argmax(1)
        gaps = logits.gather(1, own[:, None]) - logits
        normals = (self.weight[own][:, None] - self.weight[None]).detach().double()
        sizes = normals.abs().sum(2) if norm == "linf" else normals.norm(dim=2)
        found = gaps / sizes
        found[torch.arange(len(images)), own] = torch.inf
        return found.amin(1)


def make_patterns(n, seed):
    generator = torch.Generator().manual_seed(7)
    patterns = nn.functional.interpolate(torch.rand(CLASSES, 3, 3, 3, generator=generator), size=12, mode="bilinear")
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(CLASSES, (n,), generator=generator)
    noise = torch.randn(n, 3, 12, 12, generator=generator)
    return (0.5 + 0.35 * (patterns[labels] - 0.5) + 0.12 * noise).clamp(0, 1), labels


def make_network(seed=0):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 16, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(144, CLASSES),
        )  # fmt: skip
