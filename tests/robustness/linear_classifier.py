"""A classifier whose every distance is known."""

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
