"""Train one classifier in several processes, each with its part of every batch: more than one GPU, or cores without one.

    torchrun --nproc_per_node=2 experiments/distributed.py --dataset cifar10 --model preact_resnet18 --out runs/two
    torchrun --nproc_per_node=2 experiments/distributed.py --smoke --out runs/two_smoke

Batches, masks and pairs are those of one process; layers with batch statistics see their process's part. OUT/state is what a
killed run goes on from when it is started again with as many processes, OUT/model.safetensors the classifier, and the last
line its scores on the test split. The settings are the released ones of PreAct-ResNet18. --smoke takes seconds and means nothing.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from msda_analysis import fit_classifier, load_dataset
from msda_analysis.endings import run_guarded
from msda_analysis.mixing import augmentation_from_text
from msda_analysis.models import save_checkpoint
from msda_analysis.rng import process_rank
from msda_analysis.training import PAPER_CLASSIFIER_FIT, score, training_together


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", default="digits", help="as in msda-analysis study")
    parser.add_argument("--augmentation", default="fmix", help="as in msda-analysis study")
    parser.add_argument("--model", default=PAPER_CLASSIFIER_FIT.model)
    parser.add_argument("--epochs", type=int, default=PAPER_CLASSIFIER_FIT.epochs, help="the rate drops at 1/2 and 3/4")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/distributed"), help="folder that all processes share")
    parser.add_argument("--smoke", action="store_true", help="two steps on digits")
    asked = parser.parse_args()
    return run_guarded(lambda: train(asked), 0)


def train(asked: argparse.Namespace) -> int:
    """One training by all processes; the first one saves and tells."""
    fit = replace(
        PAPER_CLASSIFIER_FIT, model=asked.model, epochs=asked.epochs,
        drops=tuple(max(1, asked.epochs * part // 4) for part in (2, 3)),
    )  # fmt: skip
    size = None
    if asked.smoke:
        asked.dataset, fit, size = "digits", replace(fit, model="small_cnn", epochs=1, batch_size=20), 40
    asked.out.mkdir(parents=True, exist_ok=True)
    data = load_dataset(asked.dataset, "train", train_size=size)
    with training_together() as device:
        model, _ = fit_classifier(
            data, augmentation_from_text(asked.augmentation), fit, seed=asked.seed, device=device,
            resume=asked.out / "state",
        )  # fmt: skip
        if process_rank() == 0:
            save_checkpoint(model, asked.out / "model.safetensors", {"epochs": fit.epochs, "seed": asked.seed})
            print(score(model, load_dataset(asked.dataset, "test").to(device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
