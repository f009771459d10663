"""The released experiment, replayed: foolbox's defaults, foolbox's own success, one stream of random numbers."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from tqdm import tqdm

from msda_analysis.attacks import ATTACKS
from msda_analysis.attacks.foolbox_adapter import build_foolbox, call_foolbox, forked_seed, wrap_model
from msda_analysis.checks import check_choice
from msda_analysis.models.frozen import frozen
from msda_analysis.robustness.arguments import check_classes, check_images, check_model, check_run, to_epsilons
from msda_analysis.robustness.evaluate import PAPER_EPSILONS, find_wrong
from msda_analysis.robustness.guard import guarded, named
from msda_analysis.robustness.outcome import Outcome

#: The released experiment's attacks in its order, all with foolbox's defaults.
RELEASED_ATTACKS = ("fgsm", "pgd", "bim", "uniform_noise", "foolbox_deepfool")
#: Images per batch of the released experiment.
RELEASED_BATCH = 750


def evaluate_released(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    attacks: Sequence[str] = RELEASED_ATTACKS,
    epsilons: Sequence[float] = PAPER_EPSILONS,
    seed: int = 0,
    batch_size: int = RELEASED_BATCH,
    progress: bool = False,
) -> Outcome:
    """The released L-infinity experiment on a model and images, bit for bit what foolbox gives after manual_seed(seed).

    What is replayed: torch's generators are seeded once with `seed` (inside a fork; the global state is put back). Attacks
    run one after the other in the order given, each over all images in order in batches of `batch_size`, each batch over
    all epsilons in the order given. All images are attacked, misclassified ones too; success is what foolbox itself scores
    on its clipped output; every budget stands for itself; the random draws at epsilon 0 are made as well. A data loader
    that draws from the global generator between batches is not part of the replay: the released script was not seeded.

    Differs from evaluate(): no minimum norms (NaN), no trust checks, attacks may lose images that were wrong from the start.

    Args:
        model: maps images in [0, 1] to logits [n, classes]; normalization happens inside.
        images: [n, channel, *size] float in [0, 1], on the model's device.
        labels: [n] int64.
        attacks: names among RELEASED_ATTACKS.
        epsilons: budgets >= 0.
        seed: seed of torch's generators.
        batch_size: images attacked at once.
        progress: show a bar (never when the output is not a terminal).

    Returns:
        Outcome in mode "independent", success as foolbox scores it.

    Source: Harris et al. 2020 (arXiv 2002.12047), the released script of the L-infinity attacks.
    """
    check_model(model)
    check_images(images, labels)
    check_run(seed, batch_size, progress)
    for name in attacks:
        check_choice("attacks", name, RELEASED_ATTACKS)
    budgets = list(to_epsilons(epsilons))
    success = torch.zeros(len(attacks), len(budgets), len(images), dtype=torch.bool)
    with frozen(model), guarded(model), forked_seed(seed, images.device):
        check_classes(model, images, labels)
        wrapped = wrap_model(model, images.device)
        starts = range(0, len(images), batch_size)
        steps = [(i, name, start) for i, name in enumerate(attacks) for start in starts]
        for i, name, start in tqdm(steps, desc="released attacks", disable=None if progress else True):
            part = slice(start, start + batch_size)
            built = build_foolbox(ATTACKS[name].foolbox["linf"])
            with named(f"attack {name!r} on images {start} to {min(start + batch_size, len(images)) - 1}"):
                success[i, :, part] = call_foolbox(built, wrapped, images[part], labels[part], epsilons=budgets).cpu()
        is_correct = ~find_wrong(model, images, labels, batch_size)
    norms = torch.full((len(attacks), len(images)), torch.nan)
    return Outcome(success, norms, is_correct, tuple(attacks), tuple(budgets), "linf", seed, "independent")
