"""Checks on places: is every pixel where it was, and does a mask lie anywhere alike?"""

import math

import torch
from torch import Tensor

from msda_analysis.audit.evidence import Evidence, box_of
from msda_analysis.audit.findings import Finding
from msda_analysis.mask_stats import power_spectra
from msda_analysis.rng import stream

_Z = 4.5  # standard errors that a mean may be off before it counts; one in 150 000 by chance
_P = 1e-5  # p of a test before it counts
_SURE = 24  # masks that it takes to say anything
_PIXELS = 0.75  # mean shift that rounding of centers and sides to whole pixels explains
_TILT = 0.05  # correlation of rows and columns that it explains
_MISFIT = 1e-4  # of float32 colors in [0, 1]
_SIDES = (("top", "bottom"), ("left", "right"))
_SHAPED = ("box", "field", "soft")


def judge_same_place(evidence: Evidence) -> Finding:
    """Does every pixel come from its own place, in both images?"""
    if not evidence.textured:
        return Finding("not applicable", "not looked at")
    misfit = torch.cat([batch.misfit for batch in evidence.textured])
    mixed = torch.cat([batch.partner != torch.arange(len(batch.partner)) for batch in evidence.textured])
    if not mixed.any():
        return Finding("not applicable", "no mixed image seen")
    share = float((misfit[mixed] > _MISFIT).double().mean())
    if share == 0:
        return Finding("ok", "every pixel from its own place", float(misfit[mixed].max()), 0.0)
    note = f"{share:.0%} of mixed images hold what no two images have there: moved, resized or changed before mixing"
    return Finding("differs", "content moved or changed", share, 0.0, note)


def judge_place(evidence: Evidence) -> Finding:
    """Do masks lie anywhere alike, or do they lean to a side, to a diagonal, to the center or to the border?"""
    if evidence.kind not in _SHAPED or len(evidence.size) != 2 or len(evidence.masks) < _SURE:
        return Finding("not applicable", "masks have no shape")
    if evidence.looks_at_images:
        return Finding("not applicable", "masks follow the images")
    cut = 1 - evidence.masks
    for axis, (name, sides) in enumerate(zip(("height", "width"), _SIDES, strict=True)):
        shift, error = _mean_shift(cut, axis)
        if abs(shift) > _Z * error + _PIXELS:
            note = (
                f"what is cut lies {abs(shift):.1f} pixels off the center along the {name}, standard error {error:.2f}"
            )
            return Finding("differs", f"leans to the {sides[int(shift > 0)]}", shift, 0.0, note)
    measures = {
        "correlation of rows and columns of what is cut": _tilt(cut),
        "share of power that varies along one diagonal less that along the other": _slant(evidence.masks),
    }
    for words, (tilt, error) in measures.items():
        if abs(tilt) > max(_Z * error, _TILT):
            return Finding("differs", "leans to a diagonal", tilt, 0.0, f"{words}, standard error {error:.3f}")
    return _judge_boxes(evidence) if evidence.kind == "box" else Finding("ok", "anywhere alike")


def _judge_boxes(evidence: Evidence) -> Finding:
    """Be boxes clipped or inside: as many touch one border as the other, and those clear of both start anywhere alike."""
    from scipy import stats

    for axis, sides in enumerate(_SIDES):
        first, last = _touches(evidence, axis)
        if (
            abs(first - last) > _Z * (first + last) ** 0.5 + len(evidence.masks) / evidence.size[axis]
        ):  # a pixel's rounding
            note = f"{first} boxes touch the {sides[0]} alone, {last} the {sides[1]}"
            return Finding(
                "differs", f"leans to the {sides[int(last > first)]}", (first - last) / (first + last), 0.0, note
            )
    places, expected = _clear_places(evidence)
    found = [torch.tensor(along, dtype=torch.float64) for along in places]
    if min(map(len, found)) < _SURE:
        if expected > 2 * _SURE:
            note = f"{min(map(len, found))} boxes of at most half a side are clear of it, of about {expected:.0f} if places were alike"
            return Finding("differs", "always at the border", 0.0, None, note)
        return Finding("not applicable", "too few boxes clear of the border")
    chances = [float(stats.kstest(along.numpy(), "uniform").pvalue) for along in found]
    axis = chances.index(min(chances))
    note = f"Kolmogorov-Smirnov test of {len(found[axis])} starts clear of the border; value is its p"
    if chances[axis] > _P:
        return Finding("ok", "anywhere alike", chances[axis], None, note)
    return Finding("differs", f"leans to the {_direction(found[axis], axis)}", chances[axis], None, note)


def _touches(evidence: Evidence, axis: int) -> tuple[int, int]:
    """How many boxes touch the first border of an axis alone, and how many the last."""
    boxes = [box[axis] for mask in evidence.masks if (box := box_of(mask))]
    at_ends = [(start == 0, start + side == evidence.size[axis]) for start, side in boxes]
    return at_ends.count((True, False)), at_ends.count((False, True))


def _direction(places: Tensor, axis: int) -> str:
    """Where places in [0, 1] lie too often."""
    if abs(float(places.mean()) - 0.5) > 3 * (12 * len(places)) ** -0.5:
        return _SIDES[axis][int(float(places.mean()) > 0.5)]
    return "center" if float((places - 0.5).abs().mean()) < 0.25 else "border"  # 1/4 if uniform


def _clear_places(evidence: Evidence) -> tuple[tuple[list[float], list[float]], float]:
    """By axis, starts of boxes clear of both borders, as shares of what is possible; and about how many should be small."""
    jitter, places, expected = stream(0, "audit places"), ([], []), 0.0
    for mask in evidence.masks:
        for axis, (start, side) in enumerate(box_of(mask) or ()):
            length = evidence.size[axis]
            free = length - side - 1  # starts clear of both borders
            if free < 2:
                continue
            expected += free / (4 * length) * (side <= length / 2)
            if start > 0 and start + side < length:
                places[axis].append((start - 1 + float(torch.rand((), generator=jitter))) / free)
    return places, expected


def _mean_shift(cut: Tensor, axis: int) -> tuple[float, float]:
    """Mean distance of what is cut from the center along an axis, in pixels, and its standard error."""
    length = cut.shape[1 + axis]
    place = torch.arange(length, dtype=cut.dtype) - (length - 1) / 2
    profile = cut.sum(2 - axis)  # [k, length]
    moment, mass = (profile * place).sum(1), profile.sum(1)
    shift = float(moment.sum() / mass.sum())
    return shift, float((moment - shift * mass).square().sum().sqrt() / mass.sum())


def _tilt(cut: Tensor) -> tuple[float, float]:
    """Correlation of row and column over all that is cut, about the center, and its standard error."""
    rows, columns = (torch.arange(length, dtype=cut.dtype) - (length - 1) / 2 for length in cut.shape[1:])
    cross = torch.einsum("kij,i,j->k", cut, rows, columns)
    scale = math.sqrt(float((cut.sum(2) * rows**2).sum()) * float((cut.sum(1) * columns**2).sum()))
    return float(cross.sum()) / scale, float(cross.square().sum().sqrt()) / scale


def _slant(masks: Tensor) -> tuple[float, float]:
    """Mean share of a mask's power in frequencies that rise along both axes less that in the others, and its error."""
    power = power_spectra(masks)  # [k, height, width]
    rows, columns = (torch.fft.fftfreq(length, dtype=masks.dtype) for length in masks.shape[1:])
    sign = torch.sign(rows)[:, None] * torch.sign(columns) * ((rows.abs() < 0.5)[:, None] & (columns.abs() < 0.5))
    total = power.flatten(1).sum(1)
    share = (power * sign).flatten(1).sum(1)[total > 0] / total[total > 0]
    return float(share.mean()), float(share.std()) / max(1, len(share)) ** 0.5
