"""Checks on behavior: seeds, generators, odd batches, soft and integer labels, inputs, one axis, apply probability."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import torch
from torch import Tensor

from msda_analysis.audit.evidence import collect
from msda_analysis.audit.findings import Finding
from msda_analysis.audit.probe import Observation, decode_labels, observe, probe_images, split_result
from msda_analysis.audit.subject import Mixer, Trial
from msda_analysis.estimate import wilson_interval
from msda_analysis.mixing.seeds import SOURCES, global_seeds

_GENERATOR_NAMES = ("generator", "rng", "seed", "random_state")
_ODD_CALLS = 30  # batches of odd length
_HALF_CALLS = 200  # batches mixed with apply probability 1/2


def judge_seed(trial: Trial) -> Finding:
    """Which seed repeats a result?"""
    reference = _three_batches(trial, (1, 1, 1))
    for names in chain.from_iterable(combinations(SOURCES, count) for count in range(len(SOURCES) + 1)):
        if torch.equal(_three_batches(trial, tuple(1 if source in names else 2 for source in SOURCES)), reference):
            break
    else:
        return Finding("fault", "not repeatable", note="not even with all global seeds set", fault="B10")
    needed = " and ".join(names) or "own seed"
    if needed in ("own seed", "torch"):
        return Finding("ok", needed)
    note = f"torch.manual_seed alone does not repeat a batch; needs the seed of {needed}"
    return Finding("differs", needed, note=note, fault="B10")


def judge_generator(trial: Trial) -> Finding:
    """Can a random source of one's own be given?"""
    names = _parameter_names(trial.make())
    accepted = [name for name in _GENERATOR_NAMES if name in names]
    if accepted:
        return Finding("ok", ", ".join(accepted))
    return Finding("differs", "none", note="draws from global state only")


def judge_odd_batch(trial: Trial) -> Finding:
    """Does a batch of odd length work?"""
    n = trial.num_classes - 1
    try:
        with global_seeds(3):
            mixer = trial.make()
            batches = [observe(mixer, n, trial.size, trial.num_classes) for _ in range(_ODD_CALLS)]
    except Exception as error:  # any refusal by third-party code is the answer
        return Finding("differs", "refused", note=_words(error))
    n_wrong = sum(batch.n_wrong_labels for batch in batches)
    if n_wrong or not all(batch.is_mix for batch in batches):
        return Finding("fault", "wrong result", float(n_wrong), 0.0)
    mixed = torch.stack([batch.partner >= 0 for batch in batches]).any(0)
    if mixed.any() and not mixed.all():
        left = ", ".join(str(i) for i in (~mixed).nonzero().flatten().tolist())
        return Finding(
            "differs",
            "leaves images out",
            float((~mixed).sum()),
            0.0,
            f"never mixed in {_ODD_CALLS} batches of {n}: {left}",
        )
    return Finding("ok", "works")


def judge_soft_labels(trial: Trial) -> Finding:
    """Are soft labels [n, classes] mixed like images?"""
    k = trial.num_classes
    hard = torch.eye(k)
    try:
        (hard_images, hard_info), (soft_images, soft_info) = (_mix(trial, x, 4) for x in (hard, _soften(hard)))
    except Exception as error:  # as above
        return Finding("differs", "refused", note=_words(error))
    if isinstance(soft_info, Tensor) and soft_info.shape[:1] != (k,):
        note = f"labels ({k}, {k}) come back as {tuple(soft_info.shape)} without an error"
        return Finding("fault", "read as class numbers", note=note)
    from_hard, from_soft = _as_soft(hard_info, k), _as_soft(soft_info, k)
    if from_hard is None or from_soft is None:
        return Finding("not applicable", "labels come back in a form the audit cannot read")
    if not torch.equal(hard_images, soft_images):
        return Finding("not applicable", "not repeatable, so not testable")
    error = float((from_soft - _soften(from_hard)).abs().max())
    if error < 1e-4:
        return Finding("ok", "mixed", error, 0.0)
    return Finding("fault", "changed", error, 0.0, "soft labels are not mixed with the images' weights")


def judge_integer_labels(trial: Trial) -> Finding:
    """Are integer labels kept apart, or averaged as if class numbers were amounts?"""
    n = trial.num_classes
    try:
        _, info = _mix(trial, torch.arange(n), 5)
        form = decode_labels(info, n, n).form
    except Exception as error:  # as above
        return Finding("differs", "refused", note=_words(error))
    if form != "number":
        return Finding("ok", "soft labels" if form == "soft" else "both labels")
    numbers = info.to(torch.float64)
    broken = numbers[numbers != numbers.round()].tolist()
    answer = "averaged as numbers" if broken else "one number per image"
    example = f"for example class {broken[0]:.2f}" if broken else ""
    return Finding("fault", answer, len(broken) / n, 0.0, example, "B9")


def judge_inputs(trial: Trial) -> Finding:
    """Are the caller's images and labels left as they were?"""
    mixer, n, changed = trial.make(), trial.num_classes, set()
    for call in range(4):
        given = {"images": probe_images(n, trial.size), "labels": torch.arange(n)}
        before = {name: tensor.clone() for name, tensor in given.items()}
        with global_seeds(call):
            mixer(given["images"], given["labels"])
        changed |= {name for name, tensor in given.items() if not torch.equal(tensor, before[name])}
    if changed:
        words = " and ".join(sorted(changed))
        return Finding("differs", f"{words} changed in place", note="mixing twice mixes the mixed")
    return Finding("ok", "left alone")


def judge_one_dimension(trial: Trial) -> Finding:
    """In one dimension lambda is a length: a box must not take a square root of it."""
    try:
        evidence = collect(replace(trial, size=(64,)))
    except Exception as error:  # as above
        return Finding("not applicable", "one axis refused", note=_words(error))
    if not all(batch.is_mix for batch in evidence.batches):
        return Finding("not applicable", "one axis not mixed pixel by pixel")
    if evidence.kind != "box" or evidence.alpha != 1.0:
        return Finding("ok", "works")
    n, mean = len(evidence.kept), float(evidence.kept.mean())
    error = float(evidence.kept.std()) / n**0.5
    note = f"mean kept share of {n} masks, standard error {error:.3f}; lengths keep 1/2 inside, 7/12 clipped"
    # u = 1 - lambda is uniform: a length u, or sqrt(u) with the root; clipping takes side^2 / 4
    laws = {"length": (1 / 2, 7 / 12), "square root of a length": (1 / 3, 11 / 24)}
    distance = {law: min(abs(mean - expected) for expected in means) for law, means in laws.items()}
    nearest = min(laws, key=lambda law: distance[law])
    if distance[nearest] > 4.5 * error + 1 / 64:  # rounded sides move the mean by up to a cell
        return Finding("ok", "works", mean, None, f"{note}; boxes of another law")
    if nearest == "length":
        return Finding("ok", "side is a length", mean, 0.5, note)
    return Finding("fault", f"side is a {nearest}", mean, 0.5, note, "B13")


def judge_probability(trial: Trial) -> Finding:
    """Is the apply probability used once?"""
    n, make_half = trial.num_classes, trial.subject.make_half
    if make_half is None:
        return Finding("not applicable", "no such setting")
    mixer = make_half(n)
    with global_seeds(6):
        batches = [observe(mixer, n, trial.size, n) for _ in range(_HALF_CALLS)]
    unit, applied = _applied(batches)
    n_mixed, total = int(applied.sum()), len(applied)
    low, high = wilson_interval(n_mixed, total)
    # images that meet themselves look unmixed, so an image-wise rate may fall short by 1/n
    margin = 0.06 + (0.5 / n if unit == "images" else 0)
    note = f"{n_mixed} of {total} {unit} mixed, 95 % interval [{low:.3f}, {high:.3f}]"
    if low - margin <= 0.5 <= high + margin:
        return Finding("ok", f"once, by {unit}", n_mixed / total, 0.5, note)
    fault = "B3" if low - margin <= 0.25 <= high + margin else ""
    return Finding("fault", "not p", n_mixed / total, 0.5, note, fault)


#: Every check on behavior by name, in the order of the tables.
BEHAVIORS: dict[str, Callable[[Trial], Finding]] = {
    "seed": judge_seed,
    "own_generator": judge_generator,
    "odd_batch": judge_odd_batch,
    "soft_labels": judge_soft_labels,
    "integer_labels": judge_integer_labels,
    "inputs": judge_inputs,
    "one_dimension": judge_one_dimension,
    "apply_probability": judge_probability,
}


def _mix(trial: Trial, labels: Tensor, seed: int) -> tuple[Tensor, Any]:
    """Mixed images and label information from a fresh mixer."""
    with global_seeds(seed):
        return split_result(trial.make()(probe_images(len(labels), trial.size), labels.clone()))


def _three_batches(trial: Trial, seeds: tuple[int, ...]) -> Tensor:
    n = trial.num_classes
    with global_seeds(*seeds):
        mixer = trial.make()
        return torch.cat([split_result(mixer(probe_images(n, trial.size), torch.arange(n)))[0] for _ in range(3)])


def _soften(labels: Tensor) -> Tensor:
    return 0.75 * labels + 0.25 * labels.roll(1, 1)


def _as_soft(info: Any, k: int) -> Tensor | None:
    """[k, k] mixed soft labels, also from (soft labels a, soft labels b, coefficient); None for another form."""
    if isinstance(info, Tensor):
        return info if info.shape == (k, k) else None
    if not isinstance(info, (tuple, list)) or len(info) != 3:
        return None
    labels_a, labels_b, coefficient = info
    if not all(isinstance(labels, Tensor) and labels.shape == (k, k) for labels in (labels_a, labels_b)):
        return None
    coefficient = torch.as_tensor(coefficient, dtype=torch.float32).reshape(-1, 1)
    return coefficient * labels_a + (1 - coefficient) * labels_b


def _applied(batches: list[Observation]) -> tuple[str, Tensor]:
    """Whether mixing is decided by "images" or by "batches", and for each of these whether it was mixed."""
    mixed = torch.stack([batch.partner >= 0 for batch in batches])
    share = mixed.double().mean(1)
    by_image = bool(((share > 0.2) & (share < 0.7)).double().mean() > 0.5)
    return ("images", mixed.flatten()) if by_image else ("batches", mixed.any(1))


def _parameter_names(mixer: Mixer) -> set[str]:
    """Parameters of the mixer, of its construction, and of what it wraps."""
    names = set()
    for source in (mixer, type(mixer), getattr(mixer, "forward", None), getattr(mixer, "wrapped", None)):
        try:
            names |= set(inspect.signature(source).parameters) if callable(source) else set()
        except (TypeError, ValueError):
            continue
    return names


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".split("\n")[0][:160]
