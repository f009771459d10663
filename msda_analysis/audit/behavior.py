"""Checks on behavior: seeds, generators, odd batches, soft and integer labels, inputs, one axis, apply probability."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from msda_analysis.audit.evidence import collect
from msda_analysis.audit.findings import Finding
from msda_analysis.audit.probe import Mixer, Undecodable, decode_labels, observe, probe_images, split_result
from msda_analysis.audit.seeds import STREAMS, global_seeds
from msda_analysis.estimate import wilson_interval

Maker = Callable[[], Mixer]

_GENERATOR_NAMES = ("generator", "rng", "seed", "random_state")


def check_seed(name: str, make: Maker, n: int, size: tuple[int, ...]) -> Finding:
    """Which seed repeats a result?"""
    check = "seed"
    reference = _mix_under(make, (1, 1, 1), n, size)
    repeats = {
        "own seed": _mix_under(make, (2, 2, 2), n, size),
        "torch": _mix_under(make, (1, 2, 2), n, size),
        "NumPy": _mix_under(make, (2, 1, 2), n, size),
        "Python random": _mix_under(make, (2, 2, 1), n, size),
        "torch and NumPy": _mix_under(make, (1, 1, 2), n, size),
        "torch and Python random": _mix_under(make, (1, 2, 1), n, size),
        "NumPy and Python random": _mix_under(make, (2, 1, 1), n, size),
        " and ".join(STREAMS): _mix_under(make, (1, 1, 1), n, size),
    }
    needed = next((seed for seed, result in repeats.items() if torch.equal(result, reference)), None)
    if needed is None:
        return Finding(name, check, "fault", "not repeatable", note="not even with all global seeds set", fault="B10")
    if needed in ("own seed", "torch"):
        return Finding(name, check, "ok", needed)
    note = f"torch.manual_seed alone does not repeat a batch; needs the seed of {needed}"
    return Finding(name, check, "differs", needed, note=note, fault="B10")


def check_generator(name: str, make: Maker) -> Finding:
    """Can a random source of one's own be given?"""
    mixer = make()
    accepted = [word for word in _GENERATOR_NAMES if any(word in names for names in _parameter_names(mixer))]
    if accepted:
        return Finding(name, "own_generator", "ok", ", ".join(accepted))
    return Finding(name, "own_generator", "differs", "none", note="draws from global state only")


def check_odd_batch(name: str, make: Maker, n: int, size: tuple[int, ...], num_classes: int) -> Finding:
    """Does a batch of odd length work?"""
    try:
        with global_seeds(3, 3, 3):
            batch = observe(make(), n - 1 + n % 2, size, num_classes)
    except Exception as error:  # any refusal by third-party code is the answer
        return Finding(name, "odd_batch", "differs", "refused", note=_words(error))
    known = (batch.partner >= 0) & (batch.labels.partner >= 0)
    wrong = int((batch.partner[known] != batch.labels.partner[known]).sum())
    if not batch.is_mix or wrong:
        return Finding(name, "odd_batch", "fault", "wrong result", float(wrong), 0.0)
    return Finding(name, "odd_batch", "ok", "works")


def check_soft_labels(name: str, make: Maker, n: int, size: tuple[int, ...], num_classes: int) -> Finding:
    """Are soft labels [n, classes] mixed like images?"""
    check, hard = "soft_labels", torch.eye(num_classes)[:n]
    soft = 0.75 * hard + 0.25 * hard.roll(1, 1)
    try:
        results = []
        for labels in (hard, soft):
            with global_seeds(4, 4, 4):
                results.append(split_result(make()(probe_images(n, size), labels.clone()))[1])
    except Exception as error:  # as above
        return Finding(name, check, "differs", "refused", note=_words(error))
    if isinstance(results[1], Tensor) and results[1].shape[0] != n:
        note = f"labels ({n}, {num_classes}) come back as {tuple(results[1].shape)} without an error"
        return Finding(name, check, "fault", "read as class numbers", note=note)
    from_hard, from_soft = (_as_soft(result, n, num_classes) for result in results)
    if from_hard is None or from_soft is None:
        return Finding(name, check, "not applicable", "labels come back in a form the audit cannot read")
    if not _mixes_alike(make, n, size, hard, soft):
        return Finding(name, check, "not applicable", "not repeatable, so not testable")
    error = float((from_soft - (0.75 * from_hard + 0.25 * from_hard.roll(1, 1))).abs().max())
    if error < 1e-4:
        return Finding(name, check, "ok", "mixed", error, 0.0)
    return Finding(name, check, "fault", "changed", error, 0.0, "soft labels are not mixed with the images' weights")


def check_integer_labels(name: str, make: Maker, n: int, size: tuple[int, ...]) -> Finding:
    """Are integer labels kept apart, or averaged as if class numbers were amounts?"""
    check = "integer_labels"
    try:
        with global_seeds(5, 5, 5):
            _, info = split_result(make()(probe_images(n, size), torch.arange(n)))
    except Exception as error:  # as above
        return Finding(name, check, "differs", "refused", note=_words(error))
    if isinstance(info, Tensor) and info.shape == (n,):
        broken = info.to(torch.float64) != info.to(torch.float64).round()
        answer = "averaged as numbers" if bool(broken.any()) else "one number per image"
        example = f"for example class {float(info[int(broken.nonzero()[0])]):.2f}" if bool(broken.any()) else ""
        return Finding(name, check, "fault", answer, float(broken.double().mean()), 0.0, example, "B9")
    is_soft = isinstance(info, Tensor) and info.ndim == 2 and info.shape[1] != 3
    return Finding(name, check, "ok", "soft labels" if is_soft else "both labels")


def check_inputs_kept(name: str, make: Maker, n: int, size: tuple[int, ...]) -> Finding:
    """Are the caller's images and labels left as they were?"""
    mixer, changed = make(), []
    for call in range(4):
        images, labels = probe_images(n, size), torch.arange(n)
        before = images.clone(), labels.clone()
        with global_seeds(call, call, call):
            mixer(images, labels)
        changed += [word for word, now, then in zip(("images", "labels"), (images, labels), before, strict=True)
                    if not torch.equal(now, then)]  # fmt: skip
    if changed:
        words = " and ".join(sorted(set(changed)))
        return Finding(name, "inputs", "differs", f"{words} changed in place", note="mixing twice mixes the mixed")
    return Finding(name, "inputs", "ok", "left alone")


def check_one_axis(
    name: str, make: Maker, num_classes: int, alpha: float | None, *, n: int, n_masks: int, seed: int
) -> Finding:
    """In one dimension lambda is a length: a box must not take a square root of it."""
    check, length = "one_dimension", 64
    try:
        evidence = collect(make(), n=n, size=(length,), num_classes=num_classes, n_masks=n_masks, seed=seed)
    except Exception as error:  # as above
        return Finding(name, check, "not applicable", "one axis refused", note=_words(error))
    if not all(batch.is_mix for batch in evidence.batches):
        return Finding(name, check, "not applicable", "one axis not mixed pixel by pixel")
    if evidence.kind != "box" or alpha != 1.0:
        return Finding(name, check, "ok", "works")
    mean = float(evidence.kept.mean())
    error = float(evidence.kept.std()) / len(evidence.kept) ** 0.5
    # u = 1 - lambda is uniform: a length u, or sqrt(u) with the root; clipping takes side^2 / 4
    laws = {"length": (1 / 2, 7 / 12), "square root of a length": (1 / 3, 11 / 24)}
    nearest = min(laws, key=lambda law: min(abs(mean - expected) for expected in laws[law]))
    note = f"mean kept share of {len(evidence.kept)} masks, standard error {error:.3f}; lengths keep 1/2 inside, 7/12 clipped"
    fault = "B13" if nearest != "length" else ""
    return Finding(name, check, "fault" if fault else "ok", f"side is a {nearest}", mean, 0.5, note, fault)


def check_probability(name: str, make: Maker | None, n: int, size: tuple[int, ...], num_classes: int) -> Finding:
    """Is the apply probability used once? `make` builds the implementation with p = 1/2."""
    check, calls = "apply_probability", 200
    if make is None:
        return Finding(name, check, "not applicable", "no such setting")
    mixer = make()
    with global_seeds(6, 6, 6):
        batches = [observe(mixer, n, size, num_classes) for _ in range(calls)]
    changed = torch.stack([(batch.partner >= 0).double().mean() for batch in batches])
    by_image = bool(((changed > 0.2) & (changed < 0.7)).double().mean() > 0.5)
    mixed = int((changed * n).sum()) if by_image else int((changed > 0).sum())
    total = calls * n if by_image else calls
    low, high = wilson_interval(mixed, total)
    # images that meet themselves look unmixed, so an image-wise rate may fall short by 1/n
    margin = 0.06 + (0.5 / n if by_image else 0)
    share, unit = mixed / total, "images" if by_image else "batches"
    note = f"{mixed} of {total} {unit} mixed, 95 % interval [{low:.3f}, {high:.3f}]"
    if low - margin <= 0.5 <= high + margin:
        return Finding(name, check, "ok", f"once, by {unit}", share, 0.5, note)
    return Finding(
        name, check, "fault", "not p", share, 0.5, note, "B3" if low - margin <= 0.25 <= high + margin else ""
    )


def _mix_under(make: Maker, seeds: tuple[int, int, int], n: int, size: tuple[int, ...]) -> Tensor:
    with global_seeds(*seeds):
        mixer = make()
        return torch.cat([split_result(mixer(probe_images(n, size), torch.arange(n)))[0] for _ in range(3)])


def _mixes_alike(make: Maker, n: int, size: tuple[int, ...], hard: Tensor, soft: Tensor) -> bool:
    results = []
    for labels in (hard, soft):
        with global_seeds(4, 4, 4):
            results.append(split_result(make()(probe_images(n, size), labels.clone()))[0])
    return torch.equal(*results)


def _as_soft(info: Any, n: int, num_classes: int) -> Tensor | None:
    if isinstance(info, Tensor) and info.shape == (n, num_classes):
        return info
    if isinstance(info, (tuple, list)) and len(info) == 3 and all(
        isinstance(part, Tensor) and part.shape == (n, num_classes) for part in info[:2]
    ):  # fmt: skip
        coefficient = torch.as_tensor(info[2], dtype=torch.float32).reshape(-1, 1)
        return coefficient * info[0] + (1 - coefficient) * info[1]
    try:
        decode_labels(info, n, num_classes)
    except (Undecodable, TypeError, ValueError):
        return None
    return None


def _parameter_names(mixer: Mixer) -> list[set[str]]:
    names = []
    for source in (mixer, type(mixer), getattr(mixer, "forward", None), getattr(mixer, "wrapped", None)):
        try:
            names.append(set(inspect.signature(source).parameters) if callable(source) else set())
        except (TypeError, ValueError):
            continue
    return names


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:160]
