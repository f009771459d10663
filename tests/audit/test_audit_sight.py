"""What the audit sees of places and draws: a faulty mixer for every check, and sound ones that pass."""

import pytest
import torch
from audit_cases import K, blend, findings_of, right_cutmix, right_mixup, soft

from msda_analysis import CutMix, FMix, MixTransform, MixUp
from msda_analysis.audit import recover_masks
from msda_analysis.mask_stats import describe
from msda_analysis.masks import GridMix
from msda_analysis.mixing import ResizeMix, SaliencyMix

NEW = ("same_place", "place", "left_out", "repeats", "dependence")


def box_mixer(place=None, sides=None, lam=None, order=None, take=None, weigh=None):
    """A CutMix inside the image, with a place for each fault."""

    def mixer(images, labels):
        n, (height, width) = len(images), images.shape[2:]
        permutation = torch.randperm(n) if order is None else order(n)
        shares = torch.rand(n) if lam is None else lam(n, permutation)
        masks = torch.ones(n, 1, height, width)
        mixed = images.clone()
        for i in range(n):
            ratio = float(1 - shares[i]) ** 0.5
            h, w = (round(height * ratio), round(width * ratio)) if sides is None else sides(height, width, ratio)
            u = torch.rand(2)
            u = u if place is None else place(u)
            top, left = int(u[0] * (height - h + 1)), int(u[1] * (width - w + 1))
            masks[i, 0, top : top + h, left : left + w] = 0
        partner = images[permutation] if take is None else take(images[permutation])
        mixed = masks * images + (1 - masks) * partner
        kept = masks.flatten(1).mean(1)
        return mixed, soft(labels, kept if weigh is None else weigh(kept), permutation)

    return mixer


def same_each_call(images, labels):
    generator = torch.Generator().manual_seed(5)
    permutation = torch.randperm(len(images), generator=generator)
    lam = torch.rand(len(images), generator=generator)
    return blend(images, permutation, lam.view(-1, 1, 1, 1)), soft(labels, lam, permutation)


class Pool:
    """Eight masks drawn once and used again and again."""

    def __init__(self):
        self.lam = torch.linspace(0.05, 0.95, 8)

    def __call__(self, images, labels):
        permutation, lam = torch.randperm(len(images)), self.lam[torch.randint(8, (len(images),))]
        return blend(images, permutation, lam.view(-1, 1, 1, 1)), soft(labels, lam, permutation)


class Lazy:
    """Now and then the draws of the call before."""

    def __init__(self):
        self.drawn = None

    def __call__(self, images, labels):
        if self.drawn is None or len(self.drawn[0]) != len(images) or float(torch.rand(())) > 0.25:
            self.drawn = torch.randperm(len(images)), torch.rand(len(images))
        permutation, lam = self.drawn
        return blend(images, permutation, lam.view(-1, 1, 1, 1)), soft(labels, lam, permutation)


def neighbors_in_twos(images, labels):
    """Images 0 and 1, 2 and 3, ...: the last of an odd batch has nobody."""
    n = len(images)
    rule = torch.arange(n) ^ 1
    rule[rule >= n] = n - 1
    lam = torch.rand(n)
    return blend(images, rule, lam.view(-1, 1, 1, 1)), soft(labels, lam, rule)


def steep(n, permutation):
    """Of mean 1/2 and far from uniform: half of Beta(0.3, 0.3)."""
    return torch.distributions.Beta(0.3, 0.3).sample((n,))


def slanted(images, labels):
    """Stripes of any phase and width along one diagonal."""
    n, size = len(images), images.shape[2:]
    permutation, lam, phase = torch.randperm(n), torch.rand(n), torch.rand(n)
    along = (torch.arange(size[0])[:, None] + torch.arange(size[1])) / 16
    masks = ((along + phase.view(-1, 1, 1)) % 1 < lam.view(-1, 1, 1)).float()[:, None]
    return blend(images, permutation, masks), soft(labels, masks.flatten(1).mean(1), permutation)


def mixup_by(order):
    def mixer(images, labels):
        rule, lam = order(len(images)), torch.rand(len(images))
        return blend(images, rule, lam.view(-1, 1, 1, 1)), soft(labels, lam, rule)

    return mixer


def within_halves(n):
    return torch.cat([torch.randperm(n // 2), n // 2 + torch.randperm(n - n // 2)])


class FixedPairs:
    """One permutation, drawn once."""

    def __call__(self, images, labels):
        permutation = torch.tensor([3, 0, 1, 6, 7, 2, 4, 5])[: len(images)]
        lam = torch.rand(len(images))
        return blend(images, permutation, lam.view(-1, 1, 1, 1)), soft(labels, lam, permutation)


class Walk:
    """Lambda moves a little from call to call."""

    def __init__(self):
        self.lam = 0.5

    def __call__(self, images, labels):
        self.lam = min(max(self.lam + float(torch.rand(())) * 0.2 - 0.1, 0.02), 0.98)
        permutation = torch.randperm(len(images))
        return blend(images, permutation, torch.tensor(self.lam)), soft(
            labels, torch.full((len(images),), self.lam), permutation
        )


def mixup_with(lam):
    def mixer(images, labels):
        permutation = torch.randperm(len(images))
        shares = lam(len(images), permutation)
        return blend(images, permutation, shares.view(-1, 1, 1, 1)), soft(labels, shares, permutation)

    return mixer


def half_batch(images, labels):
    n, first = len(images), len(images) // 2
    permutation = torch.arange(n)
    permutation[:first] = torch.randperm(n)[:first]
    lam = torch.rand(n)
    lam[first:] = 1
    return blend(images, permutation, lam.view(-1, 1, 1, 1)), soft(labels, lam, permutation)


def partners_of_first_half(n):
    return torch.randint(n // 2, (n,))


def antithetic(n, permutation):
    lam = torch.rand(n)
    return torch.where(torch.arange(n) % 2 == 1, 1 - lam.roll(1), lam)


FAULTY = {
    "a partner shifted by two pixels": (box_mixer(take=lambda x: x.roll(2, 3)), "same_place", "content moved or changed"),
    "a partner upside down": (box_mixer(take=lambda x: x.flip(2)), "same_place", "content moved or changed"),
    "a blurred partner": (
        box_mixer(take=lambda x: torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)),
        "same_place", "content moved or changed",
    ),
    "boxes towards the left": (box_mixer(place=lambda u: torch.stack([u[0], u[1] ** 2])), "place", "leans to the left"),
    "boxes towards the bottom": (box_mixer(place=lambda u: torch.stack([u[0] ** 0.6, u[1]])), "place", "leans to the bottom"),
    "boxes somewhat towards a corner": (box_mixer(place=lambda u: u**1.5), "place", "leans to the"),
    "boxes in the middle": (box_mixer(place=lambda u: 0.5 + 0.5 * (u - 0.5)), "place", "leans to the center"),
    "boxes along a diagonal": (box_mixer(place=lambda u: torch.stack([u[0], u[0]])), "place", "leans to a diagonal"),
    "boxes at one corner or another": (box_mixer(place=lambda u: (u > 0.5).float() * 0.999), "place", "always at the border"),
    "flat boxes": (box_mixer(sides=lambda h, w, r: (round(h * r**1.5), round(w * r**0.5))), "spectrum", "not isotropic"),
    "half the batch": (half_batch, "left_out", "not all images are mixed"),
    "partners from half the batch": (box_mixer(order=partners_of_first_half), "left_out", "not all images are mixed into others"),
    "a seed in every call": (same_each_call, "repeats", "the same masks and pairs again"),
    "draws of the call before": (Lazy(), "repeats", "the same masks and pairs again"),
    "the last of an odd batch": (neighbors_in_twos, "odd_batch", "leaves images out"),
    "another law of lambda": (mixup_with(steep), "lambda_law", "not Beta(1, 1)"),
    "another law of boxes": (box_mixer(lam=steep), "box_area", "lambda does not follow Beta(1, 1)"),
    "stripes along a diagonal": (slanted, "place", "leans to a diagonal"),
    "rolls": (mixup_by(lambda n: torch.arange(n).roll(int(torch.randint(n, ())))), "pairing", "roll by a random number"),
    "pairs within halves": (mixup_by(within_halves), "pairing", "some pairs more often than others"),
    "masks of a pool": (Pool(), "repeats", "few masks, over and over"),
    "pairs drawn once": (FixedPairs(), "repeats", "the same pairs again"),
    "lambda by place in the batch": (
        mixup_with(lambda n, p: torch.rand(n) * (0.5 + torch.arange(n) / n / 2)), "dependence", "lambda depends on the image's place",
    ),
    "lambda by partner": (mixup_with(lambda n, p: torch.rand(n) ** (0.5 + p / n)), "dependence", "lambda depends on the partner"),
    "lambda by distance": (
        mixup_with(lambda n, p: torch.rand(n) ** (1 + 2 * ((p - torch.arange(n)) % n) / n)), "dependence", "lambda depends on the distance",
    ),
    "sorted lambdas": (mixup_with(lambda n, p: torch.rand(n).sort().values), "dependence", "lambda depends on the image's place"),
    "neighbors complement each other": (mixup_with(antithetic), "dependence", "lambdas of a batch hang together"),
    "alike in a batch": (
        mixup_with(lambda n, p: (torch.rand(()) + 0.2 * torch.rand(n)) / 1.2), "dependence", "lambdas of a batch hang together",
    ),
    "a walk of lambda": (Walk(), "dependence", "lambda depends on the call before"),
    "labels right on average only": (
        box_mixer(weigh=lambda kept: (kept + 0.3 * (torch.rand(len(kept)) - 0.5)).clamp(0, 1)), "label_weight", "not the kept share",
    ),
    "labels of the mean lambda": (box_mixer(weigh=lambda kept: torch.full_like(kept, 0.5)), "label_weight", "not the kept share"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_mixer_is_caught(fault):
    mixer, check, answer = FAULTY[fault]
    finding = findings_of(mixer, n_masks=800)[check]
    assert finding.verdict in ("differs", "fault") and finding.answer.startswith(answer), finding


SOUND = {
    "mixup": right_mixup, "cutmix": right_cutmix, "boxes inside": box_mixer(), "fmix": MixTransform(FMix(), K),
    "soft fmix": MixTransform(FMix(max_soft=0.2), K), "gridmix": GridMix(), "one mask a batch": MixTransform(FMix(per_batch=True), K),
    "one lambda a batch": MixTransform(CutMix(per_batch=True), K), "mixup of one lambda": MixTransform(MixUp(per_batch=True), K),
}  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_mixer_passes(name):
    findings = findings_of(SOUND[name], n_masks=400)
    assert {
        check: findings[check].answer for check in NEW if findings[check].verdict not in ("ok", "not applicable")
    } == {}
    assert findings["same_place"].verdict == "ok" and findings["left_out"].answer == "all images alike"


def test_what_papers_do_otherwise_is_told():
    resized = findings_of(ResizeMix(), alpha=None)
    assert resized["same_place"].answer == "content moved or changed" and resized["same_place"].value == 1
    assert resized["place"].answer == "anywhere alike" and resized["dependence"].verdict == "ok"
    salient = findings_of(SaliencyMix())
    assert salient["same_place"].verdict == "ok" and salient["place"].answer == "masks follow the images"
    assert (
        findings_of(MixTransform(CutMix(per_batch=True), K))["dependence"].answer
        == "one lambda per batch, a mask per image"
    )


def test_labels_of_every_row_are_looked_at():
    """One mask for the batch, whose first label is right, and whose others are not."""

    def mixer(images, labels):
        n, lam = len(images), torch.rand(())
        rule = torch.arange(n).roll(1)
        weight = torch.where(torch.arange(n) == 0, lam, 1 - lam)
        return blend(images, rule, lam), soft(labels, weight, rule)

    assert findings_of(mixer, n_masks=60)["label_weight"].verdict == "fault"


class TestRecover:
    def test_masks_of_a_mixer_are_read_back(self):
        masks = recover_masks(ResizeMix(), 100, (16, 20))
        assert masks.shape == (100, 1, 16, 20) and set(masks.round(decimals=3).unique().tolist()) <= {0.0, 1.0}
        assert len(describe(masks)) == 100
        assert torch.equal(recover_masks(ResizeMix(), 100, (16, 20)), masks)
        assert recover_masks(right_mixup, 60, (24,)).shape == (60, 1, 24)

    def test_where_there_are_none_it_says_so(self):
        with pytest.raises(ValueError, match="SaliencyMix: its masks depend on what the images show"):
            recover_masks(SaliencyMix(), 60)
        with pytest.raises(ValueError, match=r"<lambda>: expected mixes m \* a \+ \(1 - m\) \* b of two images"):
            recover_masks(lambda x, y: (x + 0.1, y, y, 1.0), 60)
        with pytest.raises(ValueError, match="expected mixed images, to read masks from; got all of them unchanged"):
            recover_masks(lambda x, y: (x, y, y, 1.0), 60)
