"""Does MixUp lose information that the masking families keep, by which bound, with what interval?

    python experiments/vae_information.py --dataset cifar10 --out runs/vae_information                    # ours
    python experiments/vae_information.py --dataset cifar10 --preset paper --out runs/vae_information_paper

VAEs under each augmentation x seed; the paper's three figures and the bounds of information.encoder_bounds, on the
whole test split, and what each VAE's code shares with a baseline VAE's, which is more than half of the time that measuring
takes (--no-between leaves it out). Preset "paper": 100 epochs, Adam 5e-2 with drops at 40 and 80, batch 128, color jitter
and flip, one lambda per batch, nominal-lambda CutMix and released FMix. What came out, where and in what time:
experiments/README.md.
"""

import sys
from dataclasses import replace

from msda_analysis.cli import run_script
from msda_analysis.commands import Door
from msda_analysis.studies import DataSpec, StudyPlan
from msda_analysis.training import PAPER_VAE_FIT, VaeFit


def plan() -> StudyPlan:
    """VAEs under each augmentation, and what they know about the images."""
    return StudyPlan(
        name="vae-information-default",
        title="What VAEs learn from mixed images",
        augmentations=("baseline", "mixup", "cutmix", "fmix", "fmix_released", "fmix+mixup"),
        n_seeds=3,
        vae=VaeFit(epochs=20),
        classifier=None,
        between=True,
        device="auto",
    )


def ours(full: StudyPlan) -> StudyPlan:
    """our settings, 20 epochs."""
    return full


def paper(full: StudyPlan) -> StudyPlan:
    """those of the released script, 100 epochs."""
    names = ("baseline", "mixup", "cutmix_nominal", "fmix_released")
    return replace(full, name="vae-information-paper", augmentations=names, vae=PAPER_VAE_FIT, per_batch=True)


def smoke(full: StudyPlan) -> StudyPlan:
    """Seconds instead of hours, to see that all works: the numbers mean nothing."""
    data, fit = DataSpec(train_size=200, test_size=100), replace(full.vae, epochs=1, batch_size=50)
    return replace(full, data=data, n_seeds=2, vae=fit, n_masks=100)


DOOR = Door(
    plan, "vae_information", {"--smoke": smoke}, {"--preset": {"default": ours, "paper": paper}},
    {"--epochs": "--vae.epochs", "--precision": "--vae.precision"},
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(run_script(DOOR, __doc__))
