"""Checks on the law: label weights, lambda, geometry, spectrum, sharing and pairing, all from collected evidence."""

import math

import torch
from torch import Tensor

from msda_analysis.audit.evidence import Evidence, box_of
from msda_analysis.audit.findings import Finding
from msda_analysis.mask_stats.coverage import measure_coverage
from msda_analysis.mask_stats.describe import axis_power_ratio

_Z = 4.5  # standard errors that a mean may be off before it counts; one in 150 000 by chance
_SURE = 24  # agreeing coin flips that count as a rule; one in 16 million by chance


def check_label_weight(name: str, evidence: Evidence) -> Finding:
    """Is the label weight of the first image what the mask really keeps of it?"""
    check = "label_weight"
    if evidence.batches[0].labels.form == "number":
        return Finding(name, check, "not applicable", "no label weights", note="see integer_labels")
    kept, weight, cells = evidence.kept, evidence.weights, evidence.masks[0].numel()
    error, swapped = (weight - kept).abs(), (weight - (1 - kept)).abs()
    mean, form = float(error.mean()), evidence.batches[0].labels.form
    total = torch.cat([batch.labels.total for batch in evidence.batches])
    if float((total - 1).abs().max()) > 1e-3:
        return Finding(name, check, "fault", "weights do not add up to 1", float(total.mean()), 1.0)
    if float(error.max()) < 1e-4:
        return Finding(name, check, "ok", "kept share", mean, 0.0)
    if float(error.max()) < 1.01 / cells + 1e-4:
        return Finding(name, check, "ok", "kept share, within a pixel", mean, 0.0)
    if float(swapped.max()) < 1.01 / cells + 1e-4:
        verdict = "differs" if form == "pair" else "fault"
        note = "the coefficient weights the second image; used as in the papers, lam * loss(a), it swaps the labels"
        return Finding(name, check, verdict, "complement of the kept share", mean, 0.0, note, "B2")
    if float(error.max()) < 2.5 / min(evidence.size):
        return Finding(name, check, "differs", "drawn lambda, off by rounded box sides", mean, 0.0)
    note = f"mean label weight {float(weight.mean()):.3f}, mean kept share {float(kept.mean()):.3f}"
    return Finding(name, check, "fault", "not the kept share", mean, 0.0, note, "B1" if evidence.kind == "box" else "")


def check_lambda_law(name: str, evidence: Evidence, alpha: float | None) -> Finding:
    """Do kept shares (for boxes: see box_area) follow Beta(alpha, alpha)?"""
    from scipy import stats

    check, kept = "lambda_law", evidence.kept
    if alpha is None or len(kept) < _SURE:
        return Finding(name, check, "not applicable", "no alpha given" if alpha is None else "too few masks")
    if evidence.kind == "constant" and (float(kept.max()) <= 0.5 or float(kept.min()) >= 0.5):
        side = "at most" if float(kept.max()) <= 0.5 else "at least"
        return Finding(name, check, "differs", f"folded: {side} 1/2", float(kept.mean()), 0.5, "", "B7")
    drawn = evidence.weights if evidence.kind == "box" else kept
    if evidence.kind == "box" and float((evidence.weights - kept).abs().mean()) < 0.02:
        note = "the label weight is the kept share: see box_area"
        return Finding(name, check, "not applicable", "lambda not visible", note=note)
    p = float(stats.kstest(drawn.numpy(), stats.beta(alpha, alpha).cdf).pvalue)
    folded = float(stats.kstest((1 - drawn).numpy(), stats.beta(alpha, alpha).cdf).pvalue)
    answer = f"Beta({alpha:g}, {alpha:g})" if min(p, folded) > 1e-5 else f"not Beta({alpha:g}, {alpha:g})"
    note = f"Kolmogorov-Smirnov test on {len(drawn)} draws; value is its p"
    return Finding(name, check, "ok" if p > 1e-5 else "differs", answer, p, None, note)


def check_box_area(name: str, evidence: Evidence, alpha: float | None) -> Finding:
    """Do boxes keep what a box clipped at the border keeps, or what one inside the image keeps?"""
    check, kept = "box_area", evidence.kept
    if evidence.kind != "box" or alpha is None or len(evidence.size) != 2:
        return Finding(name, check, "not applicable", "no boxes" if evidence.kind != "box" else "not tested")
    mean, clipped = float(kept.mean()), clipped_kept_share(alpha)
    error = max(float(kept.std()) / len(kept) ** 0.5, 1e-9)
    note = (
        f"mean of {len(kept)} masks, standard error {error:.4f}; clipped {clipped:.3f}, inside 0.500 in the continuum"
    )
    # truncated box sides move the mean by about half a pixel row
    slack = _Z * error + 1 / min(evidence.size)
    if abs(mean - clipped) <= min(slack, abs(mean - 0.5)):
        return Finding(name, check, "ok", "clipped at the border", mean, clipped, note)
    if abs(mean - 0.5) <= slack:
        return Finding(name, check, "differs", "inside the image", mean, clipped, note, "B5")
    return Finding(name, check, "differs", "neither clipped nor inside", mean, clipped, note)


def check_box_sides(name: str, evidence: Evidence) -> Finding:
    """Do boxes that are clear of the border come with odd sides too?"""
    check = "box_sides"
    if evidence.kind != "box":
        return Finding(name, check, "not applicable", "no boxes")
    sides = [side for mask in evidence.masks for side in _clear_sides(mask, evidence.size)]
    odd = sum(side % 2 for side in sides)
    note = f"{odd} of {len(sides)} sides of boxes clear of the border are odd"
    if len(sides) < _SURE:
        return Finding(name, check, "not applicable", "too few boxes clear of the border", note=note)
    share = odd / len(sides)
    if odd == 0:
        return Finding(name, check, "fault", "always even", share, 0.5, note, "B4")
    return Finding(name, check, "ok", "odd and even", share, 0.5, note)


def check_coverage(name: str, evidence: Evidence) -> Finding:
    """Is every place kept equally often?"""
    if evidence.kind not in ("box", "field", "soft") or len(evidence.masks) < _SURE:
        return Finding(name, "coverage", "not applicable", "masks have no shape")
    coverage = measure_coverage(evidence.masks)
    limit = math.sqrt(2 * math.log(2 * coverage.map.numel())) + 2.5  # the largest of that many normal scores, with room
    even = coverage.largest_z < limit
    answer = "even" if even else ("less in the centre" if evidence.kind == "box" else "uneven")
    note = f"largest deviation of a pixel's coverage, in the mask's units; {coverage.largest_z:.1f} standard errors"
    # a box has to lie somewhere: uneven coverage belongs to every box law
    verdict = "ok" if even or evidence.kind == "box" else "differs"
    return Finding(name, "coverage", verdict, answer, coverage.largest, 0.0 if evidence.kind != "box" else None, note)


def check_spectrum(name: str, evidence: Evidence) -> Finding:
    """Is the law of irregular masks the same along both axes?"""
    check = "spectrum"
    if evidence.kind not in ("field", "box", "soft") or len(evidence.size) != 2 or len(evidence.masks) < _SURE:
        return Finding(name, check, "not applicable", "masks have no shape")
    ratio = axis_power_ratio(evidence.masks)
    assert ratio.low is not None and ratio.high is not None
    error = (ratio.high - ratio.low) / (2 * 1.96)
    note = f"power that varies along the width only over power along the height only, standard error {error:.2f}"
    if evidence.kind == "field":
        along = [circular_runs(evidence.masks, axis) for axis in (0, 1)]
        for axis, word in ((1, "width"), (0, "height")):
            if int(along[axis].max()) <= 1 and int((along[1 - axis] > 1).sum()) >= 5:
                answer = f"one circular run along the {word}: bins 0 and 1 only"
                return Finding(name, check, "fault", answer, ratio.value, 1.0, note, "B12")
    # a ratio's chance deviations are skewed: measure them on a log scale
    if abs(math.log(ratio.value)) > _Z * error / ratio.value:
        fault = "B12" if evidence.kind == "field" else ""
        return Finding(name, check, "fault", "not isotropic", ratio.value, 1.0, note, fault)
    return Finding(name, check, "ok", "same along both axes", ratio.value, 1.0, note)


def check_sharing(name: str, evidence: Evidence) -> Finding:
    """Does every image get its own mask?"""
    words = {"sample": "one mask per image", "pair": "one mask per pair", "batch": "one mask per batch"}
    note = "as the papers' own code" if evidence.sharing == "batch" else ""
    return Finding(name, "mask_sharing", "ok", words[evidence.sharing], note=note)


def check_pairing(name: str, evidence: Evidence) -> Finding:
    """How are images paired?"""
    check, n = "pairing", len(evidence.batches[0].partner)
    partners = torch.stack([torch.where(b.partner >= 0, b.partner, b.labels.partner) for b in evidence.batches])
    own = torch.arange(n)
    share_fixed = float((partners < 0).double().mean())
    rules = {f"roll by {k}": (own - k) % n for k in (1, n - 1)} | {"flip (i with n - 1 - i)": n - 1 - own}
    for answer, rule in rules.items():
        if _follows(partners, rule):
            note = "deterministic: pairs are as random as the order of the batch"
            return Finding(name, check, "differs", answer, share_fixed, None, note)
    filled = torch.where(partners >= 0, partners, own)
    if all(len(set(row.tolist())) == n for row in filled):
        note = f"an image meets itself at rate {share_fixed:.3f} (1/n = {1 / n:.3f}); unchanged images count"
        return Finding(name, check, "ok", "random permutation", share_fixed, 1 / n, note)
    return Finding(name, check, "differs", "random, with repeats", share_fixed, 1 / n, "some images are used twice")


def check_labels_follow(name: str, evidence: Evidence) -> Finding:
    """Do labels come from the image that was mixed in?"""
    check = "labels_follow_images"
    if evidence.batches[0].labels.form == "number":
        return Finding(name, check, "not applicable", "no label weights", note="see integer_labels")
    wrong = known = 0
    for batch in evidence.batches:
        both = (batch.partner >= 0) & (batch.labels.partner >= 0)
        known += int(both.sum())
        wrong += int((both & (batch.partner != batch.labels.partner)).sum())
    if not known:
        return Finding(name, check, "not applicable", "no mixed image seen")
    if wrong:
        note = f"{wrong} of {known} labels are another image's than the one mixed in"
        return Finding(name, check, "fault", "another permutation", wrong / known, 0.0, note, "B14")
    return Finding(name, check, "ok", "same permutation", 0.0, 0.0)


def check_is_mix(name: str, evidence: Evidence) -> Finding:
    """Is every result a mix of two images with weights that add up to one?"""
    bad = sum(not batch.is_mix for batch in evidence.batches)
    if bad:
        note = f"{bad} of {len(evidence.batches)} batches; the other checks of this subject are not to be trusted"
        return Finding(name, "two_images", "fault", "not m * a + (1 - m) * b", bad / len(evidence.batches), 0.0, note)
    return Finding(name, "two_images", "ok", "m * a + (1 - m) * b", 0.0, 0.0)


def clipped_kept_share(alpha: float) -> float:
    """Mean share that a box of relative area 1 - lambda, its centre uniform and clipped at the border, keeps in 2-D.

    With u = 1 - lambda, the clipped side has mean sqrt(u) - u / 4 on each axis: 1 - E[u] + E[u^1.5] / 2 - E[u^2] / 16.
    """
    power = math.exp(
        math.lgamma(alpha + 1.5) - math.lgamma(alpha) + math.lgamma(2 * alpha) - math.lgamma(2 * alpha + 1.5)
    )
    square = (alpha + 1) / (2 * (2 * alpha + 1))
    return 1 - 0.5 + power / 2 - square / 16


def circular_runs(masks: Tensor, axis: int) -> Tensor:
    """Number of runs of kept cells along an axis whose ends are joined, for every line: [n, lines]."""
    lines = (masks > 0.5).movedim(axis + 1, -1).reshape(len(masks), -1, masks.shape[axis + 1])
    return (lines & ~lines.roll(1, -1)).sum(-1)


def _clear_sides(mask: Tensor, size: tuple[int, ...]) -> list[int]:
    box = box_of(mask)
    if box is None:
        return []
    return [length for (start, length), whole in zip(box, size, strict=True) if start > 0 and start + length < whole]


def _follows(partners: Tensor, rule: Tensor) -> bool:
    known = partners >= 0
    return bool(known.any()) and bool((partners[known] == rule.expand_as(partners)[known]).all())
