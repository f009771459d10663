"""How does information about the input fall with depth, under each augmentation? The paper's first analysis.

    python experiments/layer_information.py --dataset cifar10 --out runs/layer_information

VGG-11 classifiers (64.8 million parameters: wants a GPU), then critics between input and each of ten layers, the network
in evaluation mode. "mine_tanh" is the released script's estimator, whose scores go through tanh: at most 2 nats. With other
--epochs than 200 give the epochs at which the learning rate drops, too: --classifier.drops.
"""

import sys
from dataclasses import replace

from msda_analysis.cli import run_script
from msda_analysis.commands import Door
from msda_analysis.studies import DataSpec, StudyPlan
from msda_analysis.training import ClassifierFit


def plan() -> StudyPlan:
    """Classifiers only, no attacks."""
    return StudyPlan(
        name="layer-information",
        title="Information by depth of classifiers trained on mixed images",
        n_seeds=3,
        vae=None,
        classifier=ClassifierFit(
            model="vgg11_bn", epochs=200, schedule="steps", augment="crop_flip", weight_decay=1e-4, drops=(100, 150)
        ),
        attack=None,
        layer_methods=("mine", "mine_tanh", "smile"),
        device="auto",
    )


def smoke(full: StudyPlan) -> StudyPlan:
    """Seconds instead of hours, to see that all works: the numbers mean nothing."""
    return replace(
        full,
        data=DataSpec(train_size=40, test_size=100),
        augmentations=("mixup",),
        n_seeds=1,
        classifier=ClassifierFit(model="vgg11_bn", epochs=1, batch_size=20, schedule="steps", weight_decay=1e-4),
        layer_methods=("smile",),
        n_masks=100,
    )


DOOR = Door(
    plan, "layer_information", {"--smoke": smoke},
    short={"--epochs": "--classifier.epochs", "--methods": "--layer-methods"},
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(run_script(DOOR, __doc__))
