"""What the trainings of a study will take on this device, from a step that was timed here."""

from dataclasses import replace

import torch

from msda_analysis.data import Dataset, load_dataset
from msda_analysis.studies.plan import StudyPlan
from msda_analysis.training import ClassifierFit, fit_classifier

#: Images of a timed batch on a CPU, where a step takes as long as its images do.
_ON_CPU = 8


def describe_cost(plan: StudyPlan) -> list[str]:
    """Lines for a user: how long a step takes here, and what that makes of the whole plan's classifiers.

    Raises:
        ValueError, FileNotFoundError: images that are not there.
    """
    fit = plan.classifier
    if fit is None:
        return []
    data, spec = load_dataset(plan.data.name, "train", plan.data.root, resize=plan.data.resize), plan.data
    n_images = spec.train_size or len(data)
    n_timed = min(fit.batch_size, _ON_CPU if torch.device(plan.device).type == "cpu" else fit.batch_size)
    seconds = time_step(data, replace(fit, batch_size=n_timed), plan) * fit.batch_size / n_timed
    trainings = len(plan.augmentations) * plan.n_seeds
    steps = fit.epochs * max(1, n_images // fit.batch_size)
    return [
        f"{trainings} trainings ({len(plan.augmentations)} augmentations x {plan.n_seeds} seeds) of {fit.epochs} epochs of "
        f"{n_images:,} images, {steps:,} steps each",
        f"a step of {fit.batch_size} images takes about {seconds:.3g} s on {plan.device} (timed with {n_timed}, "
        f"{torch.get_num_threads()} CPU threads): {_span(steps * seconds)} a training, {_span(trainings * steps * seconds)} "
        "in all, without measuring, one after another",
    ]


def time_step(data: Dataset, fit: ClassifierFit, plan: StudyPlan) -> float:
    """Seconds of one training step, the second of two, augmented and mixed by the first of the plan's families."""
    names = [name for name in plan.augmentations if name != "baseline"] or list(plan.augmentations)
    short = replace(fit, epochs=2, curve=False, schedule="constant")
    part = data.take(min(len(data), fit.batch_size))
    _, history = fit_classifier(part, plan.family_of(names[0]), short, device=plan.device, progress=False)
    return history.epochs[-1]["seconds"]


def _span(seconds: float) -> str:
    """A time in the unit in which it is read."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"
