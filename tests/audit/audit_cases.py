"""Mixers that are right, and one CutMix with a switch for each known mistake."""

import torch

from msda_analysis.audit import Finding, audit

K = 8  # classes and batch size of the probes


def findings_of(subject, **settings) -> dict[str, Finding]:
    return audit(subject, **{"alpha": 1.0, "n_masks": 240, **settings})


def caught(subject, check, fault, **settings) -> Finding:
    """The finding of one check, which must name this fault."""
    finding = findings_of(subject, **settings)[check]
    assert finding.fault == fault
    assert finding.verdict in ("fault", "differs")
    return finding


def one_hot(labels):
    return labels.float() if labels.ndim == 2 else torch.nn.functional.one_hot(labels, K).float()


def soft(labels, weight, permutation, n_axes=1):
    weight = torch.as_tensor(weight, dtype=torch.float32).reshape(-1, 1)
    return weight * one_hot(labels) + (1 - weight) * one_hot(labels[permutation])


def blend(images, permutation, masks):
    return masks * images + (1 - masks) * images[permutation]


def reference_cutmix(
    images, labels, *, weigh="kept", even=False, inside=False, root=True, other_labels=False, form="soft"
):
    """CutMix for one or two axes, with switches for each known mistake. Draws from torch's global generator."""
    n, size = len(images), images.shape[2:]
    permutation = torch.randperm(n)
    lam = torch.rand(n)
    masks = torch.ones(n, 1, *size)
    for i in range(n):
        ratio = (1 - lam[i]) ** (0.5 if root or len(size) > 1 else 1.0)
        cut = []
        for length in size:
            side = 2 * int(length * ratio / 2) if even else int(torch.round(length * ratio))
            if inside:
                start = int(torch.randint(length - side + 1, ()))
            else:
                start = int(torch.floor(torch.rand(()) * length - side / 2 + 0.5))
            cut.append(slice(max(start, 0), max(start + side, 0)))
        masks[(i, 0, *cut)] = 0
    kept = masks.flatten(1).mean(1)
    weight = {"kept": kept, "nominal": lam, "complement": 1 - kept}[weigh]
    others = torch.randperm(n) if other_labels else permutation
    info = (labels, labels[others], weight) if form == "triple" else soft(labels, weight, others)
    return blend(images, permutation, masks), info


def right_cutmix(images, labels):
    return reference_cutmix(images, labels, root=False)


def right_mixup(images, labels):
    permutation, lam = torch.randperm(len(images)), torch.rand(len(images))
    return blend(images, permutation, lam.view(-1, *[1] * (images.ndim - 1))), soft(labels, lam, permutation)
