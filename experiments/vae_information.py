"""Does MixUp lose information that the masking families keep, by which bound, with what interval?

    python experiments/vae_information.py --dataset cifar10 --out runs/vae_information                    # ours
    python experiments/vae_information.py --dataset cifar10 --preset paper --out runs/vae_information_paper

VAEs under each augmentation x seed; the paper's three figures and the bounds of information.encoder_bounds, on the
whole test split. Preset "paper": 100 epochs, Adam 5e-2 with drops at 40 and 80, batch 128, colour jitter and flip, one
lambda per batch, nominal-lambda CutMix and released FMix. What came out, where and in what time: experiments/README.md.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import tyro

from msda_analysis.cli import run_plan, usable_device
from msda_analysis.commands import Experiment
from msda_analysis.studies import DataSpec, StudyPlan
from msda_analysis.training import PAPER_VAE_FIT, VaeFit

OURS = ("baseline", "mixup", "cutmix", "fmix", "fmix_released", "fmix+mixup")
PAPER = ("baseline", "mixup", "cutmix_nominal", "fmix_released")


@dataclass(frozen=True)
class Settings(Experiment):
    """VAEs under each augmentation, and what they know about the images."""

    out: Path = Path("vae_information")
    """Output folder. A run that was interrupted goes on where it stopped."""
    preset: Literal["default", "paper"] = "default"
    """Our settings, or those of the released script."""
    augmentations: tuple[str, ...] = ()
    """As in `study`; the preset's if not given."""
    between: bool = True
    """Also estimate what each VAE's code shares with a baseline VAE's: more than half of the time that measuring takes."""
    epochs: int | None = None
    """Epochs; the preset's if not given (20 or 100)."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of forward and backward passes."""


def make_plan(settings: Settings) -> StudyPlan:
    """The plan of a preset."""
    is_paper = settings.preset == "paper"
    fit = PAPER_VAE_FIT if is_paper else VaeFit(epochs=20)
    fit = replace(fit, epochs=settings.epochs or fit.epochs, precision=settings.precision)
    plan = StudyPlan(
        name=f"vae-information-{settings.preset}",
        title="What VAEs learn from mixed images",
        data=DataSpec(settings.dataset, settings.root, settings.train_size),
        augmentations=settings.augmentations or (PAPER if is_paper else OURS),
        n_seeds=settings.seeds,
        first_seed=settings.seed,
        vae=fit,
        classifier=None,
        per_batch=is_paper,
        between=settings.between,
        device=usable_device(settings.device),
    )
    if not settings.smoke:
        return plan
    data = DataSpec(settings.dataset, settings.root, train_size=200, test_size=100)
    return replace(plan, data=data, n_seeds=2, vae=replace(fit, epochs=1, batch_size=50), n_masks=100)


def main(arguments: list[str] | None = None) -> int:
    """Run; exit code as msda-analysis."""
    settings = tyro.cli(Settings, args=arguments, description=__doc__)
    return run_plan(lambda: make_plan(settings), settings, settings.out)


if __name__ == "__main__":
    sys.exit(main())
