"""How often the audit's checks on laws accuse a sound mixer: measured over 200 seeds, each with masks of its own.

`pytest -m slow tests/audit/test_audit_alarms.py -n0 -s` prints the counts. Measured on 2026-11-26, 400 masks a run: no alarm in
200 runs each of MixUp, CutMix, FMix and ResizeMix, which bounds the rate of any alarm by 0.019 (95 %, Wilson) for each. Checks that are deterministic (same_place,
label_weight, labels_follow_images and those on behavior) cannot raise a false alarm by chance.
"""

import itertools
from collections import Counter

import pytest
from audit_cases import right_cutmix, right_mixup

from msda_analysis import FMix
from msda_analysis.audit.evidence import collect
from msda_analysis.audit.laws import LAWS
from msda_analysis.audit.subject import MixerCall, Subject, Trial
from msda_analysis.estimate import wilson_interval
from msda_analysis.mixing import ResizeMix, mix
from msda_analysis.rng import stream

RUNS = 200


def seeded(name, mixer, alpha, seed):
    """A subject whose stream is another one for every seed."""
    calls = itertools.count()

    def call(images, labels, generator):
        del generator
        return mixer(images, labels, stream(seed, "alarms", step=next(calls)))

    return Subject(name, lambda k: MixerCall(call), alpha)


def fmix(images, labels, generator):
    return mix(images, labels, FMix(), generator=generator)


SOUND = {
    "mixup": lambda seed: Subject("mixup", lambda k: right_mixup, 1.0),
    "cutmix": lambda seed: Subject("cutmix", lambda k: right_cutmix, 1.0),
    "fmix": lambda seed: seeded("fmix", fmix, 1.0, seed),
    "resizemix": lambda seed: seeded("resizemix", ResizeMix(), None, seed),
}


def alarms(name, runs, n_masks):
    """How often each check on laws found fault with a sound mixer."""
    counts = Counter()
    for seed in range(runs):
        evidence = collect(Trial(SOUND[name](seed), n_masks=n_masks, seed=seed))
        found = [check for check, judge in LAWS.items() if judge(evidence).verdict in ("differs", "fault")]
        counts.update([*found, *(["any"] if found else [])])
    return counts


@pytest.mark.parametrize("name", SOUND)
def test_a_few_runs_raise_no_alarm(name):
    assert alarms(name, 2, 200) == {}


def test_squares_are_isotropic_whatever_rounding_says():
    """Boxes of equal sides have the same power along both axes, in every mask, but for the last digits of the sum."""
    finding = LAWS["spectrum"](collect(Trial(SOUND["resizemix"](5), n_masks=400, seed=5)))
    assert finding.verdict == "ok" and finding.value != 1.0


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_false_alarms_over_200_seeds(name):
    counts = alarms(name, RUNS, 400)
    low, high = wilson_interval(counts["any"], RUNS)
    print(
        f"{name}: {dict(counts)} in {RUNS} runs; rate of any {counts['any'] / RUNS:.4f}, 95 % interval [{low:.4f}, {high:.4f}]"
    )
    assert counts["any"] <= 2
