"""Checks on the law: label weights, lambda, geometry, spectrum, sharing and pairing, all from collected evidence."""

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from msda_analysis.audit.draws import judge_dependence, judge_left_out, judge_repeats
from msda_analysis.audit.evidence import Evidence, box_of
from msda_analysis.audit.findings import Finding
from msda_analysis.audit.places import judge_place, judge_same_place
from msda_analysis.mask_stats import axis_power_ratio, circular_runs, measure_coverage
from msda_analysis.masks.boxes import draw_boxes, kept_shares
from msda_analysis.masks.lam import draw_beta
from msda_analysis.rng import derive_key

_Z = 4.5  # standard errors that a mean may be off before it counts; one in 150 000 by chance
_SURE = 24  # agreeing coin flips that count as a rule; one in 16 million by chance
_P = 1e-5  # p of a test before it counts
_N_REFERENCE = 20_000  # boxes drawn to compare with
_ROUNDED = 1e-9  # relative error of sums in double precision
_ROUNDING = 0.05  # distance of distributions that rounding of sides to whole or to even pixels explains
_SHAPED = ("box", "field", "soft")  # kinds of mask that differ from place to place

_NO_WEIGHTS = Finding("not applicable", "no label weights", note="see integer_labels")
_NO_SHAPE = Finding("not applicable", "masks have no shape")


def judge_two_images(evidence: Evidence) -> Finding:
    """Is every result a mix of two images with weights that add up to one?"""
    bad = sum(not batch.is_mix for batch in evidence.batches)
    if bad:
        note = f"{bad} of {len(evidence.batches)} batches; the other checks of this subject are not to be trusted"
        return Finding("fault", "not m * a + (1 - m) * b", bad / len(evidence.batches), 0.0, note)
    return Finding("ok", "m * a + (1 - m) * b", 0.0, 0.0)


def judge_label_weight(evidence: Evidence) -> Finding:
    """Is the label weight of the first image what the mask really keeps of it?"""
    if evidence.label_form == "number":
        return _NO_WEIGHTS
    total = torch.cat([batch.labels.total for batch in evidence.batches])
    if float((total - 1).abs().max()) > 1e-3:
        return Finding("fault", "weights do not add up to 1", float(total.mean()), 1.0)
    error = (
        evidence.all_weights - evidence.all_kept
    ).abs()  # of every row: one mask may be shared, and labels still differ
    mean, largest, pixel = float(error.mean()), float(error.max()), 1.01 / math.prod(evidence.size) + 1e-4
    if largest < pixel:
        return Finding("ok", "kept share" if largest < 1e-4 else "kept share, within a pixel", mean, 0.0)
    mixed = evidence.partners >= 0  # of the others, complement and share are one
    if float((evidence.all_weights - (1 - evidence.all_kept))[mixed].abs().max()) < pixel:
        verdict = "differs" if evidence.label_form == "pair" else "fault"
        note = "the coefficient weights the second image; used as in the papers, lam * loss(a), it swaps the labels"
        return Finding(verdict, "complement of the kept share", mean, 0.0, note, "B2")
    if largest < 2.5 / min(evidence.size):
        return Finding("differs", "drawn lambda, off by rounded box sides", mean, 0.0)
    means = [float(values[mixed].mean()) for values in (evidence.all_weights, evidence.all_kept)]
    note = f"mean label weight {means[0]:.3f}, mean kept share {means[1]:.3f}"
    if abs(means[0] - means[1]) < 0.01:
        note += ": right on average only"
    return Finding("fault", "not the kept share", mean, 0.0, note, "B1" if evidence.kind == "box" else "")


def judge_lambda_law(evidence: Evidence) -> Finding:
    """Do kept shares (for boxes, whose kept shares box_area judges, label weights) follow Beta(alpha, alpha)?"""
    from scipy import stats

    alpha, kept, is_box = evidence.alpha, evidence.kept, evidence.kind == "box"
    if alpha is None or len(kept) < _SURE:
        return Finding("not applicable", "no alpha given" if alpha is None else "too few masks")
    if evidence.kind == "constant" and (float(kept.max()) <= 0.5 or float(kept.min()) >= 0.5):
        side = "at most" if float(kept.max()) <= 0.5 else "at least"
        return Finding("differs", f"folded: {side} 1/2", float(kept.mean()), 0.5, fault="B7")
    if is_box and float((evidence.weights - kept).abs().mean()) < 0.02:
        return Finding("not applicable", "lambda not visible", note="the label weight is the kept share: see box_area")
    drawn, law = evidence.weights if is_box else kept, f"Beta({alpha:g}, {alpha:g})"
    p = float(stats.kstest(drawn.numpy(), stats.beta(alpha, alpha).cdf).pvalue)
    note = f"Kolmogorov-Smirnov test on {len(drawn)} draws; value is its p"
    return Finding("ok", law, p, None, note) if p > _P else Finding("differs", f"not {law}", p, None, note)


def judge_box_area(evidence: Evidence) -> Finding:
    """Do boxes keep what a box clipped at the border keeps, or what one inside the image keeps?"""
    alpha, kept = evidence.alpha, evidence.kept
    if evidence.kind != "box" or alpha is None or len(evidence.size) != 2:
        return Finding("not applicable", "no boxes" if evidence.kind != "box" else "not tested")
    mean, clipped = float(kept.mean()), clipped_kept_share(alpha)
    error = max(float(kept.std()) / len(kept) ** 0.5, 1e-9)
    note = (
        f"mean of {len(kept)} masks, standard error {error:.4f}; clipped {clipped:.3f}, inside 0.500 in the continuum"
    )
    # truncated box sides move the mean by about half a pixel row
    slack = _Z * error + 1 / min(evidence.size)
    if abs(mean - clipped) <= min(slack, abs(mean - 0.5)):
        return _judge_box_shares(evidence, "clipped") or Finding("ok", "clipped at the border", mean, clipped, note)
    if abs(mean - 0.5) <= slack:
        law = _judge_box_shares(evidence, "inside")
        return law or Finding("differs", "inside the image", mean, clipped, note, "B5")
    return Finding("differs", "neither clipped nor inside", mean, clipped, note)


def _judge_box_shares(evidence: Evidence, geometry: str) -> Finding | None:
    """What is wrong where kept shares do not follow those of boxes of lambda from Beta(alpha, alpha), given that the mean does."""
    from scipy import stats

    assert evidence.alpha is not None
    device, n = torch.device("cpu"), len(evidence.kept)
    lam = draw_beta(evidence.alpha, evidence.alpha, _N_REFERENCE, derive_key("audit boxes", geometry), device)
    boxes = draw_boxes(lam, evidence.size, geometry, derive_key("audit box places", geometry))
    shares = kept_shares(*boxes, evidence.size).double()
    distance = float(np.asarray(stats.ks_2samp(evidence.kept.numpy(), shares.numpy()))[0])
    chance = math.sqrt(math.log(2 / _P) / 2 * (1 / n + 1 / _N_REFERENCE))
    if distance <= chance + _ROUNDING:
        return None
    note = (
        f"largest distance of the distribution of {n} kept shares from that of boxes {geometry}; {chance:.3f} by chance"
    )
    return Finding(
        "differs", f"lambda does not follow Beta({evidence.alpha:g}, {evidence.alpha:g})", distance, 0.0, note
    )


def judge_box_sides(evidence: Evidence) -> Finding:
    """Do boxes that are clear of the border come with odd sides too?"""
    if evidence.kind != "box":
        return Finding("not applicable", "no boxes")
    sides = [side for mask in evidence.masks for side in _clear_sides(mask, evidence.size)]
    odd = sum(side % 2 for side in sides)
    note = f"{odd} of {len(sides)} sides of boxes clear of the border are odd"
    if len(sides) < _SURE:
        return Finding("not applicable", "too few boxes clear of the border", note=note)
    if odd == 0:
        return Finding("fault", "always even", 0.0, 0.5, note, "B4")
    return Finding("ok", "odd and even", odd / len(sides), 0.5, note)


def judge_coverage(evidence: Evidence) -> Finding:
    """Is every place kept equally often?"""
    if evidence.kind not in _SHAPED or len(evidence.masks) < _SURE:
        return _NO_SHAPE
    coverage, is_box = measure_coverage(evidence.masks), evidence.kind == "box"
    limit = math.sqrt(2 * math.log(2 * coverage.map.numel())) + 2.5  # the largest of that many normal scores, with room
    even = coverage.largest_z < limit
    answer = "even" if even else ("less in the centre" if is_box else "uneven")
    note = f"largest deviation of a pixel's coverage, in the mask's units; {coverage.largest_z:.1f} standard errors"
    # a box has to lie somewhere: uneven coverage belongs to every box law
    return Finding("ok" if even or is_box else "differs", answer, coverage.largest, None if is_box else 0.0, note)


def judge_spectrum(evidence: Evidence) -> Finding:
    """Is the law of irregular masks the same along both axes?"""
    if evidence.kind not in _SHAPED or len(evidence.size) != 2 or len(evidence.masks) < _SURE:
        return _NO_SHAPE
    ratio, is_field = axis_power_ratio(evidence.masks), evidence.kind == "field"
    assert ratio.low is not None and ratio.high is not None
    error = (ratio.high - ratio.low) / (2 * 1.96)
    note = f"power that varies along the width only over power along the height only, standard error {error:.2f}"
    axis = _axis_of_single_runs(evidence.masks) if is_field else None
    if axis is not None:
        return Finding("fault", f"one circular run along the {axis}: bins 0 and 1 only", ratio.value, 1.0, note, "B12")
    # a ratio's chance deviations are skewed: measure them on a log scale; 0 and infinity leave no room for chance
    # squares have a ratio of one but for rounding, with no spread
    if ratio.value in (0.0, math.inf) or abs(math.log(ratio.value)) > max(_Z * error / ratio.value, _ROUNDED):
        return Finding("fault", "not isotropic", ratio.value, 1.0, note, "B12" if is_field else "")
    return Finding("ok", "same along both axes", ratio.value, 1.0, note)


def judge_sharing(evidence: Evidence) -> Finding:
    """Does every image get its own mask?"""
    words = {"sample": "one mask per image", "pair": "one mask per pair", "batch": "one mask per batch"}
    note = "as the papers' own code" if evidence.sharing == "batch" else ""
    return Finding("ok", words[evidence.sharing], note=note)


def judge_pairing(evidence: Evidence) -> Finding:
    """How are images paired?"""
    partners = evidence.partners
    n, self_paired = partners.shape[1], float((partners < 0).double().mean())
    if evidence.pairing_rule:
        note = "deterministic: pairs are as random as the order of the batch"
        return Finding("differs", evidence.pairing_rule, self_paired, None, note)
    note = f"an image meets itself at rate {self_paired:.3f} (1/n = {1 / n:.3f}); unchanged images count"
    if _rolls(partners):
        return Finding(
            "differs", "roll by a random number", self_paired, 1 / n, "all images of a batch have the same distance"
        )
    p = _pairs_alike(partners)
    if p < _P:
        return Finding("differs", "some pairs more often than others", p, None, "value is the p of a chi-square test")
    # an image that came back unchanged may have any partner, or none
    if all(len(row[row >= 0].unique()) == int((row >= 0).sum()) for row in partners):
        return Finding("ok", "random permutation", self_paired, 1 / n, note)
    return Finding("differs", "random, with repeats", self_paired, 1 / n, "some images are used twice")


def judge_labels_follow(evidence: Evidence) -> Finding:
    """Do labels come from the image that was mixed in?"""
    if evidence.label_form == "number":
        return _NO_WEIGHTS
    wrong = sum(batch.n_wrong_labels for batch in evidence.batches)
    known = sum(int(batch.both_known.sum()) for batch in evidence.batches)
    if not known:
        return Finding("not applicable", "no mixed image seen")
    if wrong:
        note = f"{wrong} of {known} labels are another image's than the one mixed in"
        return Finding("fault", "another permutation", wrong / known, 0.0, note, "B14")
    return Finding("ok", "same permutation", 0.0, 0.0)


#: Every check on the law by name, in the order of the tables.
LAWS: dict[str, Callable[[Evidence], Finding]] = {
    "two_images": judge_two_images,
    "same_place": judge_same_place,
    "label_weight": judge_label_weight,
    "lambda_law": judge_lambda_law,
    "box_area": judge_box_area,
    "box_sides": judge_box_sides,
    "coverage": judge_coverage,
    "place": judge_place,
    "spectrum": judge_spectrum,
    "mask_sharing": judge_sharing,
    "pairing": judge_pairing,
    "labels_follow_images": judge_labels_follow,
    "left_out": judge_left_out,
    "repeats": judge_repeats,
    "dependence": judge_dependence,
}


def clipped_kept_share(alpha: float) -> float:
    """Mean share that a box of relative area 1 - lambda, its centre uniform and clipped at the border, keeps in 2-D.

    With u = 1 - lambda, the clipped side has mean sqrt(u) - u / 4 on each axis: 1 - E[u] + E[u^1.5] / 2 - E[u^2] / 16.
    """
    power = math.exp(
        math.lgamma(alpha + 1.5) - math.lgamma(alpha) + math.lgamma(2 * alpha) - math.lgamma(2 * alpha + 1.5)
    )
    square = (alpha + 1) / (2 * (2 * alpha + 1))
    return 1 - 0.5 + power / 2 - square / 16


def _clear_sides(mask: Tensor, size: tuple[int, ...]) -> list[int]:
    box = box_of(mask)
    if box is None:
        return []
    return [length for (start, length), whole in zip(box, size, strict=True) if start > 0 and start + length < whole]


def _axis_of_single_runs(masks: Tensor) -> str | None:
    """The axis along which no line has more than one circular run, where lines along the other axis have."""
    runs = {name: circular_runs(masks, axis) for axis, name in ((1, "width"), (0, "height"))}
    for name, other in (("width", "height"), ("height", "width")):
        if int(runs[name].max()) <= 1 and int((runs[other] > 1).sum()) >= 5:
            return name
    return None


def _rolls(partners: Tensor) -> bool:
    """Whether in every batch all images have one distance to their partners."""
    n = partners.shape[1]
    distance = (partners - torch.arange(n)) % n
    batches = [row[known] for row, known in zip(distance, partners >= 0, strict=True) if int(known.sum()) > 2]
    return len(batches) > 2 and all(bool((row == row[0]).all()) for row in batches)


def _pairs_alike(partners: Tensor) -> float:
    """p of a chi-square test that every other image is an image's partner with one chance; 1 for too few batches."""
    from scipy import stats

    n = partners.shape[1]
    counts = torch.stack([(partners == other).sum(0) for other in range(n)], 1).double()  # [image, partner]
    expected = counts.sum(1, keepdim=True) / (n - 1)
    if float(expected.min()) < 5:
        return 1.0
    others = ~torch.eye(n, dtype=torch.bool)
    # permutations spread their counts by n / (n - 1) less evenly than independent draws
    statistic = float(((counts - expected) ** 2 / expected)[others].sum()) * (n - 1) / n
    return float(stats.chi2.sf(statistic, n * (n - 2)))
