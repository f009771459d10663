"""Do perturbations look like MixUp images? Energy, angles, spectra and distances, each beside what chance would give.

MixUp moves an image x_a along x_b - x_a. A perturbation is like MixUp as far as it points along such a direction, has its
spectrum, or ends near the images that mixing can make.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from msda_analysis.checks import check_count, check_image_batch
from msda_analysis.estimate import Estimate, Measured, mean_estimate
from msda_analysis.rng import stream
from msda_analysis.robustness.energy import energy_shares, share_of_step

#: Perturbations by name and reference: "" for the perturbation itself, SHUFFLED for that of another image.
Named = Mapping[tuple[str, str], Tensor]
SHUFFLED = "shuffled"


def measure_likeness(
    images: Tensor,
    perturbations: Mapping[str, Tensor],
    *,
    seed: int = 0,
    partners: int = 64,
    masks: Tensor | None = None,
) -> list[Measured]:
    """Energy shares, cosines, spectra and distances to the mixed families of named perturbations, with references.

    The references are added under their own names: "gaussian" (white noise), "fade" (a step to the mean image: what loss of
    contrast alone scores), "mixup" (a MixUp step towards an image that is not among the partners: what a MixUp perturbation
    scores) and, for every name with the reference "shuffled", the perturbation of another image, drawn at random, which keeps
    its look but not its fit to the image. A claim of likeness needs a perturbation to lie above "gaussian", "fade" and its own
    shuffled version; see energy_rows.

    Args:
        images: [n, channel, *size] float in [0, 1], n at least 4.
        perturbations: by attack, attacked image minus image, the shape of `images`; zero ones are left out.
        seed: partners, references and shuffles come from streams of this seed.
        partners: further images b each image is compared with, at most n - 2.
        masks: [k, 1, *size] float in [0, 1] samples of a mask family; adds the distance to that family.

    Returns:
        Numbers by attack (the name of a perturbation); see energy_rows, cosine_rows, spectrum_rows, distance_rows. Intervals
        are Student's over images.

    Raises:
        ValueError: shapes that do not match, too few images.
    """
    check_image_batch(images, minimum=4)
    check_count("partners", partners)
    for name, perturbation in perturbations.items():
        if perturbation.shape != images.shape:
            shapes = f"{tuple(images.shape)}, got {tuple(perturbation.shape)}"
            raise ValueError(f"perturbations[{name!r}]: expected the shape of images {shapes}")
    # in a random order the neighbor is a random other image, whatever the order of the data
    order = torch.randperm(len(images), generator=stream(seed, "likeness order")).to(images.device)
    images, perturbations = images[order], {name: value[order] for name, value in perturbations.items()}
    shifts = _draw_shifts(len(images), partners, seed)
    named = _name_perturbations(images, perturbations, shifts, seed)
    rows: list[Measured] = []
    for (name, reference), perturbation in named.items():
        moved = perturbation.flatten(1).norm(dim=1) > 0
        if int(moved.sum()) < 2:
            continue
        found = cosine_rows(images, perturbation, shifts[1:], moved, name)
        found += spectrum_rows(perturbation[moved], name)
        found += distance_rows(images, perturbation, shifts[1:], moved, name, masks=masks)
        rows += [replace(number, reference=reference) for number in found]
    return rows + energy_rows(images, named, shifts[1:])


def energy_rows(images: Tensor, named: Named, shifts: list[int]) -> list[Measured]:
    """Share of the energy along the best MixUp direction, and how far that is towards a MixUp step.

    "energy_share" is that of energy_shares; "mixup_likeness" places it between the shuffled version (0) and the "mixup"
    reference (1), on the images where both perturbations are there. Fading counts in both: they bound likeness from above.
    The two that end in "_beyond_fading" leave it out. Then nothing is left to know a step by but the image that it leads
    to: 1 is a step to one of the partners, and 0 is white noise, as the shuffled version of a step leads to a partner too.

    Args:
        images: [n, channel, *size].
        named: perturbations, the references among them.
        shifts: partner of image i is image (i + shift) mod n.
    """
    moved = {key: value.flatten(1).norm(dim=1) > 0 for key, value in named.items()}
    usable = {key: value for key, value in named.items() if int(moved[key].sum()) > 1}
    to_partner = next(_directions(images, shifts[:1]))
    rows: list[Measured] = []
    for suffix, step in (("", named["mixup", ""]), ("_beyond_fading", to_partner)):
        whole, *found = (
            energy_shares(images, value, _directions(images, shifts), is_beyond_fading=bool(suffix))
            for value in (step, *usable.values())
        )
        shares = dict(zip(usable, found, strict=True))
        rows += [
            Measured(f"energy_share{suffix}", _mean(share[moved[key]], "share"), key[0], reference=key[1])
            for key, share in shares.items()
        ]
        for name, reference in shares:
            key, chance = (name, reference), ("gaussian", "") if suffix else (name, SHUFFLED)
            if not reference and (name, SHUFFLED) in shares and int((both := moved[key] & moved[chance]).sum()) > 1:
                ends = (share[both] for share in (shares[key], shares[chance], whole))
                rows.append(Measured(f"mixup_likeness{suffix}", share_of_step(*ends), name))
    return rows


def cosine_rows(images: Tensor, perturbation: Tensor, shifts: list[int], moved: Tensor, name: str) -> list[Measured]:
    """Cosine between perturbations and MixUp directions: mean absolute value over partners, and the largest.

    In d dimensions two random directions have a mean absolute cosine of about sqrt(2 / (pi d)).

    Args:
        images: [n, channel, *size].
        perturbation: the same shape.
        shifts: partner of image i is image (i + shift) mod n.
        moved: bool [n], images to count.
        name: for the rows.
    """
    flat = perturbation.flatten(1)
    cosines = torch.stack([_cosine(flat, direction.flatten(1)) for direction in _directions(images, shifts)])[:, moved]
    return [
        Measured("cosine_mean_abs", _mean(cosines.abs().mean(0), "cosine"), name),
        Measured("cosine_mean", _mean(cosines.mean(0), "cosine"), name),
        Measured("cosine_largest", _mean(cosines.amax(0), "cosine"), name),
    ]


def spectrum_rows(perturbation: Tensor, name: str) -> list[Measured]:
    """Share of a perturbation's power at each radial frequency; x is in cycles per image, the shares sum to one.

    Args:
        perturbation: [n, channel, *size], none of them zero.
        name: for the rows.
    """
    shares = radial_shares(perturbation)
    return [
        Measured("perturbation_power", _mean(shares[:, radius], "share"), name, x=float(radius))
        for radius in range(shares.shape[1])
    ]


def distance_rows(
    images: Tensor, perturbation: Tensor, shifts: list[int], moved: Tensor, name: str, *, masks: Tensor | None = None
) -> list[Measured]:
    """Distance of the perturbed image to what mixing can make of the image, in units of the perturbation's length (L2).

    1: mixing comes no nearer than the image itself; 0: the perturbed image is a mixed one. Families, nearest partner each:
    "mixup" the segment from x_a to x_b; "any_mask" every binary mask, channels together, a bound for all mask families;
    "sampled_masks" the masks given.
    """
    lengths = perturbation.flatten(1).norm(dim=1)
    nearest: dict[str, Tensor] = {}
    for direction in _directions(images, shifts):
        found = {
            "mixup": _distance_to_segment(perturbation, direction),
            "any_mask": _distance_to_masks(perturbation, direction),
        }
        if masks is not None:
            found["sampled_masks"] = _distance_to_samples(perturbation, direction, masks)
        nearest = {key: torch.minimum(nearest.get(key, value), value) for key, value in found.items()}
    return [
        Measured(f"distance_to_{family}", _mean((distance / lengths)[moved], "perturbation lengths"), name)
        for family, distance in nearest.items()
    ]


def radial_shares(images: Tensor) -> Tensor:
    """Share of power at each radial frequency.

    Args:
        images: [n, channel, *size], none of them zero.

    Returns:
        [n, radius] float64, rows sum to one; radius is the rounded length of the frequency in cycles per image.
    """
    size = images.shape[2:]
    power = torch.fft.fftn(images.double(), dim=tuple(range(2, images.ndim))).abs().square().sum(1)  # [n, *size]
    axes = torch.meshgrid(
        *(torch.fft.fftfreq(length, 1 / length, dtype=torch.float64) for length in size), indexing="ij"
    )
    radius = torch.stack(axes).square().sum(0).sqrt().round().long().flatten().to(images.device)
    total = torch.zeros(len(images), int(radius.max()) + 1, dtype=torch.float64, device=images.device)
    total.index_add_(1, radius, power.flatten(1))
    return total / total.sum(1, keepdim=True)


def _draw_shifts(n: int, partners: int, seed: int) -> list[int]:
    """Different shifts 1..n-1; the first makes the "mixup" reference, the others the partners."""
    order = torch.randperm(n - 1, generator=stream(seed, "mixup partners")) + 1
    return order[: partners + 1].tolist()


def _directions(images: Tensor, shifts: list[int]) -> Iterator[Tensor]:
    return (images.roll(-shift, 0) - images for shift in shifts)


def _name_perturbations(images: Tensor, perturbations: Mapping[str, Tensor], shifts: list[int], seed: int) -> Named:
    noise = torch.randn(images.shape, generator=stream(seed, "gaussian reference")).to(images)
    fade = 0.05 * (images.mean(0) - images)
    given = {**perturbations, "fade": fade}
    shuffled = {(name, SHUFFLED): _shuffle(value) for name, value in given.items()}
    references = {"gaussian": 0.01 * noise, "mixup": 0.05 * next(_directions(images, shifts[:1]))}
    return (
        {(name, ""): value for name, value in perturbations.items()}
        | shuffled
        | {(name, ""): value for name, value in {"fade": fade, **references}.items()}
    )


def _shuffle(perturbation: Tensor) -> Tensor:
    """Each image's perturbation from the next image that has one; images are in a random order."""
    moved = perturbation.flatten(1).norm(dim=1) > 0
    shuffled = perturbation.clone()
    shuffled[moved] = perturbation[moved].roll(1, 0)
    return shuffled


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.double(), b.double(), dim=1, eps=1e-30)


def _distance_to_segment(perturbation: Tensor, direction: Tensor) -> Tensor:
    change, toward = perturbation.flatten(1).double(), direction.flatten(1).double()
    along = (change * toward).sum(1) / toward.square().sum(1).clamp(min=1e-30)
    return (change - along.clamp(0, 1)[:, None] * toward).norm(dim=1)


def _distance_to_masks(perturbation: Tensor, direction: Tensor) -> Tensor:
    """Every pixel takes whichever of the two images is nearer: no binary mask does better."""
    keep = perturbation.double().square().sum(1)
    swap = (perturbation - direction).double().square().sum(1)
    return torch.minimum(keep, swap).flatten(1).sum(1).sqrt()


def _distance_to_samples(perturbation: Tensor, direction: Tensor, masks: Tensor) -> Tensor:
    """The square of |change - (1 - mask) direction| written out, so that all masks take two matrix products."""
    change, toward = (part.double().flatten(2) for part in (perturbation, direction))
    swapped = 1 - masks.to(change).flatten(1)  # [mask, pixel]
    along, size = (change * toward).sum(1), toward.square().sum(1)  # [n, pixel]
    squares = size @ swapped.square().T - 2 * along @ swapped.T
    # rounding may leave a distance of zero just below it
    return (change.square().sum((1, 2)) + squares.amin(1)).clamp(min=0).sqrt()


def _mean(values: Tensor, unit: str) -> Estimate:
    return mean_estimate(values.double().tolist(), unit)
