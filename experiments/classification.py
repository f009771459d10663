"""Does mixing raise accuracy? The paper's classification rows, one a preset.

    python experiments/classification.py --preset fashion_preact_resnet18 --out runs/fashion
    python experiments/classification.py --preset cifar10_alternated --settings released --seeds 5 --out runs/alternated
    python experiments/classification.py --preset cifar10_reduced --train-size 1000 --out runs/reduced

--settings paper: as published, with the laws that the paper describes; --settings released: as the released code runs, its faults
included, which are named before it starts, beside what the row costs on this device by a step that is timed. Five seeds. The
rows want a GPU: weeks on a CPU. CIFAR and Fashion-MNIST are downloaded when first used; Tiny-ImageNet is read from
--dataset folder:PATH. ImageNet is left out: its images do not fit into memory, where this package keeps them. --smoke takes
two steps on digits.
"""

import sys

from msda_analysis.cli import run_script
from msda_analysis.commands import Door
from msda_analysis.studies import paper_rows
from msda_analysis.studies.plan import StudyPlan


def announce(plan: StudyPlan) -> list[str]:
    """Known faults of the row, and what it costs here."""
    from msda_analysis.studies.cost import describe_cost

    return [plan.title, *(f"known: {line}" for line in paper_rows.describe_faults(plan)), *describe_cost(plan)]


DOOR = Door(
    lambda: paper_rows.plan_of("cifar10_preact_resnet18"), "classification", {"--smoke": paper_rows.smoke},
    {
        "--preset": {name: paper_rows.preset(name) for name in paper_rows.ROWS},
        "--settings": {"paper": paper_rows.as_published, "released": paper_rows.as_released},
    },
    {"--model": "--classifier.model", "--epochs": "--classifier.epochs", "--batch-size": "--classifier.batch-size"},
    announce,
)  # fmt: skip

if __name__ == "__main__":
    sys.exit(run_script(DOOR, __doc__))
