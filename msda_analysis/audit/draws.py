"""Checks on draws: is every image of a batch used, is every call new, and does what should be independent hang together?"""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from msda_analysis.audit.evidence import Evidence, box_of
from msda_analysis.audit.findings import Finding

_P = 1e-5  # p of a test before it counts
_Z = 4.5  # standard errors that a share may be off before it counts; one in 150 000 by chance
_OFTEN = 0.05  # share of calls that repeat another before it counts
_SURE = 24  # calls or masks that it takes to say anything
_EXACT = 1e-4  # decoded mask values that are the same


def judge_left_out(evidence: Evidence) -> Finding:
    """Is every image of a batch mixed, and mixed into others, as often as every other?"""
    partners = evidence.partners
    used = torch.zeros_like(partners, dtype=torch.bool)
    for batch, row in enumerate(partners):
        used[batch, row[row >= 0]] = True
    seen = {"are mixed": partners >= 0, "are mixed into others": used}
    words = min(seen, key=lambda words: _equal_chances(seen[words]))
    if _equal_chances(seen[words]) < _P:
        counts, n = seen[words].sum(0), len(partners)
        rare = int(counts.argmin())
        note = f"image {rare} of the batch: {int(counts[rare])} of {n} times, another {int(counts.max())}"
        return Finding("differs", f"not all images {words}", float(counts[rare]) / n, None, note)
    return Finding("ok", "all images alike", float((partners >= 0).double().mean()), None)


def judge_repeats(evidence: Evidence) -> Finding:
    """Does every call draw anew?"""
    if evidence.looks_at_images:
        return Finding("not applicable", "masks follow the images", note="probe images are the same in every call")
    mixed = [batch for batch in evidence.batches if (batch.partner >= 0).any()]
    n = len(mixed)
    if n < _SURE:
        return Finding("not applicable", "too few mixed batches")
    masks = [_key(batch.masks) for batch in mixed]
    pairs = [tuple(batch.partner.tolist()) for batch in mixed]
    draws: dict[str, Sequence[Any]] = {"masks and pairs": list(zip(masks, pairs, strict=True)), "masks": masks}
    if not evidence.pairing_rule:
        draws["pairs"] = pairs
    for what, drawn in draws.items():
        distinct, period = len(set(drawn)), _period(drawn)
        if period or distinct <= n / 10:
            note = f"{distinct} different draws of {what} in {n} calls" + (
                f"; they repeat after {period}" if period else ""
            )
            return Finding("differs", f"the same {what} again", distinct / n, 1.0, note)
    telling = [_key(mask) for mask in evidence.masks if _EXACT < float(mask.mean()) < 1 - _EXACT]
    if len(telling) >= 4 * _SURE and len(set(telling)) <= len(telling) / 10:
        note = f"{len(set(telling))} different masks among {len(telling)}"
        return Finding("differs", "few masks, over and over", len(set(telling)) / len(telling), 1.0, note)
    return Finding("ok", "new in every call", 1.0, 1.0)


def judge_dependence(evidence: Evidence) -> Finding:
    """Are lambda, place and partner independent of each other, between the images of a batch and from call to call?"""
    if len(evidence.kept) < 4 * _SURE:
        return Finding("not applicable", "too few masks")
    shares_lam = evidence.sharing == "sample" and _shares_lam(evidence)
    for words, test in _tests(evidence, shares_lam):
        chance = test()
        if chance < _P:
            return Finding("differs", words, chance, None, "value is the p of the test")
    if shares_lam:
        return Finding("ok", "one lambda per batch, a mask per image", note="as the code released with CutMix")
    return Finding("ok", "independent")


def _tests(evidence: Evidence, shares_lam: bool) -> Iterator[tuple[str, Callable[[], float]]]:
    """Each dependence in words, and what gives its p."""
    index = torch.tensor(evidence.independent)
    batches, rows, kept = index[:, 0], index[:, 1], evidence.kept
    partners = evidence.partners[batches, rows]
    known = partners >= 0
    n = evidence.partners.shape[1]
    groups = {"image's place in the batch": rows, "partner": partners, "distance to the partner": (partners - rows) % n}
    for words, group in groups.items():
        yield f"lambda depends on the {words}", lambda group=group: _groups_differ(kept[known], group[known])
    per_call = torch.stack([kept[batches == k].mean() for k in batches.unique()])
    if evidence.sharing != "sample" or shares_lam:
        yield "lambda depends on the call before", lambda: _correlated(per_call[:-1], per_call[1:])
    if evidence.sharing != "sample":
        return
    values = evidence.all_kept.where(evidence.partners >= 0, torch.nan)
    if not shares_lam:
        yield "lambda depends on the call before", lambda: _correlated(values[:-1], values[1:])
        yield "lambdas of a batch hang together", lambda: _batches_differ(kept[known], batches[known])
        yield "lambdas of neighbors hang together", lambda: _correlated(values[:, :-1], values[:, 1:])
        yield "lambdas of partners hang together", lambda: _correlated(*_of_partners(values, evidence.partners))
    if evidence.kind in ("box", "field", "soft"):
        for axis in range(len(evidence.size)):
            centers = _centers(evidence.masks, axis)
            yield "places of masks in a batch hang together", lambda c=centers: _batches_differ(c, batches)


def _equal_chances(seen: Tensor) -> float:
    """p of the chi-square test that every column of [batch, n] has one chance."""
    from scipy import stats

    n, counts = len(seen), seen.sum(0)
    share = float(counts.double().mean()) / n
    if share in (0.0, 1.0):
        return 1.0
    statistic = float(((counts - n * share) ** 2 / (n * share * (1 - share))).sum())
    return float(stats.chi2.sf(statistic, len(counts) - 1))


def _period(draws: Sequence[Any]) -> int:
    """The smallest number of calls after which draws come again more often than those of any two calls; 0 if there is none."""
    n, counts = len(draws), Counter(draws).values()
    chance = sum(count * (count - 1) for count in counts) / (n * (n - 1))  # that any two calls draw the same
    for period in range(1, n // 3 + 1):
        pairs = n - period
        share = sum(a == b for a, b in zip(draws, draws[period:], strict=False)) / pairs
        if share > chance + _OFTEN + _Z * math.sqrt(chance * (1 - chance) / pairs):
            return period
    return 0


def _key(mask: Tensor) -> bytes:
    return torch.round(mask / _EXACT).to(torch.int32).numpy().tobytes()


def _groups_differ(values: Tensor, groups: Tensor) -> float:
    """p that values differ between numbered groups: of the Kruskal-Wallis test, and of a trend, which it is weak against."""
    from scipy import stats

    parts = [values[groups == group].numpy() for group in groups.unique()]
    parts = [part for part in parts if len(part) >= 5]
    if len(parts) < 2 or float(values.max() - values.min()) < _EXACT:
        return 1.0
    return min(1.0, 2 * min(float(stats.kruskal(*parts).pvalue), _correlated(values, groups.double())))


def _batches_differ(values: Tensor, batches: Tensor) -> float:
    """p, two-sided, of the Kruskal-Wallis test over batches: values may be alike in a batch, or too evenly spread."""
    from scipy import stats

    usable = values.isfinite()
    parts = [values[usable & (batches == k)].numpy() for k in batches.unique()]
    parts = [part for part in parts if len(part) >= 3]
    if len(parts) < _SURE or float(values[usable].max() - values[usable].min()) < _EXACT:
        return 1.0
    statistic = float(stats.kruskal(*parts).statistic)
    degrees = len(parts) - 1
    return 2 * min(float(stats.chi2.sf(statistic, degrees)), float(stats.chi2.cdf(statistic, degrees)))


def _correlated(first: Tensor, second: Tensor) -> float:
    """p, two-sided, of the rank correlation of pairs; pairs with a nan are left out."""
    from scipy import stats

    usable = first.isfinite() & second.isfinite()
    a, b = first[usable], second[usable]
    if len(a) < 4 * _SURE or float(a.max() - a.min()) < _EXACT or float(b.max() - b.min()) < _EXACT:
        return 1.0
    ranks = [torch.from_numpy(stats.rankdata(values.numpy())) for values in (a, b)]
    r = float(torch.corrcoef(torch.stack(ranks))[0, 1])
    return math.erfc(abs(r) * math.sqrt(len(a) - 1) / math.sqrt(2))


def _of_partners(values: Tensor, partners: Tensor) -> tuple[Tensor, Tensor]:
    """Values of images and of their partners; two that are each other's partner count once."""
    own = torch.arange(values.shape[1]).expand_as(partners)
    index = partners.clamp(min=0)
    is_mutual = partners.gather(1, index) == own
    counted = (partners >= 0) & (~is_mutual | (own < partners))
    return values[counted], values.gather(1, index)[counted]


def _centers(masks: Tensor, axis: int) -> Tensor:
    """[k] center along an axis of what each mask cuts, nan where that is nothing."""
    profile = (1 - masks).sum([1 + other for other in range(masks.ndim - 1) if other != axis])
    mass = profile.sum(1)
    place = torch.arange(profile.shape[1], dtype=masks.dtype)
    return ((profile * place).sum(1) / mass).where(mass > _EXACT, torch.nan)


def _shares_lam(evidence: Evidence) -> bool:
    """Whether the masks of every batch keep one share, or cut boxes of one size where these are clear of the border."""
    cell = 1.01 / math.prod(evidence.size) + _EXACT
    seen = 0
    for batch in evidence.batches:
        rows = batch.masks[batch.partner >= 0]
        shares = _clear_shares(rows) if evidence.kind == "box" else rows.flatten(1).mean(1).tolist()
        if len(shares) > 1:
            seen += 1
            if max(shares) - min(shares) > cell:
                return False
    return seen >= 5


def _clear_shares(masks: Tensor) -> list[float]:
    shares = []
    for mask in masks:
        box = box_of(mask)
        if box and all(
            start > 0 and start + side < whole for (start, side), whole in zip(box, mask.shape, strict=True)
        ):
            shares.append(float(mask.mean()))
    return shares
