import weakref

import numpy as np
import pytest
import torch
from torch import nn

from msda_analysis.attacks.perturbation import clip_to_budget, perturbation_norms
from msda_analysis.robustness import (
    ATTACKS,
    PAPER_EPSILONS,
    Attack,
    TrustSettings,
    create_attack,
    evaluate,
    list_attacks,
    survival_curve,
)

QUICK = {
    "square": {"queries": 20},
    "apgd_ce": {"steps": 5},
    "apgd_dlr": {"steps": 5},
    "fmn": {"steps": 5},
    "ddn": {"steps": 5},
}
NO_TRUST = TrustSettings(images=0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_every_attack_by_name(trained, patterns, norm):
    images, labels = patterns
    attacks = [create_attack(name, norm, **QUICK.get(name, {})) for name in list_attacks(norm)]
    epsilons = (0.0, 0.05, 1.0) if norm == "linf" else (0.0, 0.5, 20.0)
    outcome = evaluate(trained, images, labels, attacks, epsilons, norm, trust=NO_TRUST)
    wrong = trained(images).argmax(1) != labels
    assert outcome.success.shape == (len(attacks), 3, 48) and outcome.success.dtype == torch.bool
    assert torch.equal(outcome.success[:, 0], wrong.expand(len(attacks), -1))
    assert outcome.clean_accuracy == (~wrong).double().mean().item()
    broken = outcome.minimum_norms.isfinite()
    assert torch.equal(outcome.success[:, -1], outcome.success[:, -1] & broken)
    assert (outcome.minimum_norms[:, wrong] == 0).all() and (outcome.minimum_norms[:, ~wrong] > 0).all()


def test_table_has_one_row_per_attack_and_budget_with_wilson_intervals(trained, patterns):
    outcome = evaluate(trained, *patterns, ["fgsm", "deepfool"], (0, 0.02, 0.1), trust=NO_TRUST)
    table = outcome.table()
    assert list(table.columns) == ["attack", "norm", "epsilon", "metric", "value", "low", "high", "n", "unit", "flags"]
    assert len(table) == 6 and set(table["metric"]) == {"robust_accuracy"} and set(table["n"]) == {48}
    assert ((table["low"] < table["value"]) | (table["value"] == 0)).all()
    assert ((table["value"] < table["high"]) | (table["value"] == 1)).all()
    worst = outcome.table(worst_case=True).query("attack == 'worst_case'")["value"].tolist()
    assert worst == [float((~outcome.success[:, k].any(0)).double().mean()) for k in range(3)]


def test_same_seed_same_result_whatever_ran_before_and_no_trace_left(trained, patterns):
    trained.train()
    try:
        torch.manual_seed(5)
        before = torch.random.get_rng_state()
        gradients = [parameter.grad.clone() for parameter in trained.parameters()]
        statistics = {name: value.clone() for name, value in trained.state_dict().items()}
        first = evaluate(trained, *patterns, ["pgd", "uniform_noise"], (0.02, 0.5), seed=3, trust=NO_TRUST)
        assert torch.equal(before, torch.random.get_rng_state())
        torch.rand(17)
        again = evaluate(trained, *patterns, ["uniform_noise", "pgd"], (0.02, 0.5), seed=3, trust=NO_TRUST)
        assert all(module.training for module in trained.modules())
        assert all(
            parameter.requires_grad and torch.equal(parameter.grad, gradients[i])
            for i, parameter in enumerate(trained.parameters())
        )
        assert all(torch.equal(value, statistics[name]) for name, value in trained.state_dict().items())
    finally:
        trained.eval()
    assert torch.equal(first.success, again.success.flip(0))
    other = evaluate(trained, *patterns, ["pgd", "uniform_noise"], (0.02, 0.5), seed=4, trust=NO_TRUST)
    assert not torch.equal(first.minimum_norms, other.minimum_norms)


class Recorder:
    """An attack that moves every image up by epsilon and remembers what it was given."""

    def __init__(self):
        self.calls = []

    def __call__(self, model, images, labels, epsilon, key):
        self.calls.append((len(images), epsilon, key))
        return images + 10 * epsilon  # far outside: the evaluation must clip it


def _first_channel_model():
    """Class 1 if the mean of the first channel exceeds 0.6, class 0 otherwise, class 1 off again above 0.8."""

    class Band(nn.Module):
        def forward(self, images):
            mean = images[:, 0].flatten(1).mean(1)
            score = 0.1 - (mean - 0.7).abs()
            return torch.stack([torch.zeros_like(score), score], 1)

    return Band()


def test_cascade_keeps_what_is_broken_and_independent_does_not():
    images = torch.full((6, 3, 4, 4), 0.5)
    labels = torch.zeros(6, dtype=torch.int64)
    model, epsilons = _first_channel_model(), (0.2, 0.05, 0.4)  # broken at 0.2 only; in any order
    for mode, expected, attacked in (
        ("cascade", [True, False, True], [6, 6]),
        ("independent", [True, False, False], [6] * 3),
    ):
        recorder = Recorder()
        attack = Attack("up", "linf", recorder)
        outcome = evaluate(model, images, labels, [attack], epsilons, mode=mode, trust=NO_TRUST)
        assert outcome.success[0, :, 0].tolist() == expected
        assert [n for n, _, _ in recorder.calls] == attacked
        assert torch.allclose(outcome.minimum_norms, torch.tensor(0.2))


def test_only_correct_images_are_attacked_in_batches_with_their_own_keys(trained, patterns):
    recorder = Recorder()
    wrong = trained(patterns[0]).argmax(1) != patterns[1]
    evaluate(
        trained,
        *patterns,
        [Attack("up", "linf", recorder)],
        (0, 0.1),
        batch_size=16,
        mode="independent",
        trust=NO_TRUST,
    )
    assert wrong.any() and sum(n for n, _, _ in recorder.calls) == int((~wrong).sum())
    assert max(n for n, _, _ in recorder.calls) == 16 and {epsilon for _, epsilon, _ in recorder.calls} == {0.1}
    assert len({key for _, _, key in recorder.calls}) == len(recorder.calls)


def test_restarts_and_repeats_only_add_success(trained, patterns):
    epsilons = (0.02, 0.04)
    starts = [create_attack("pgd", steps=8, restarts=restarts) for restarts in (1, 3)]
    once, thrice = (
        evaluate(trained, *patterns, [attack], epsilons, mode="independent", trust=NO_TRUST).success
        for attack in starts
    )
    assert not (once & ~thrice).any() and once.sum() < thrice.sum()
    noisy = [create_attack("uniform_noise", repeats=times) for times in (1, 20)]
    single, repeated = (evaluate(trained, *patterns, [noise], [0.4], trust=NO_TRUST).success.sum() for noise in noisy)
    assert single < repeated


def test_deepfool_norm_is_an_upper_bound_consistent_with_success(trained, patterns):
    attacks = ["deepfool", create_attack("apgd_dlr", steps=10)]
    outcome = evaluate(trained, *patterns, attacks, PAPER_EPSILONS[::3], trust=NO_TRUST)
    for k, epsilon in enumerate(PAPER_EPSILONS[::3]):
        assert torch.equal(outcome.success[:, k], outcome.minimum_norms <= epsilon * (1 + 1e-5))


def test_survival_of_the_norms_is_robust_accuracy_at_every_budget(trained, patterns):
    """For a search and for attacks whose norms are the budgets, up to the last bit."""
    epsilons = (0.0, 0.01, 0.03, 0.1, 0.3)
    outcome = evaluate(trained, *patterns, ["deepfool", "fgsm", "bim", "square"], epsilons, trust=NO_TRUST)
    for i, norms in enumerate(outcome.minimum_norms):
        survived = (~outcome.success[i]).double().mean(1)
        assert survival_curve(norms, epsilons)["value"].tolist() == survived.tolist()
    assert outcome.success[1].any()


@pytest.mark.parametrize("mode", ["cascade", "independent"])
def test_memory_does_not_grow_with_the_number_of_budgets(trained, patterns, mode):
    alive, most = weakref.WeakSet(), []

    def run(model, images, labels, epsilon, key):
        found = images.clone()
        alive.add(found)
        most.append(len(alive))
        return found

    evaluate(trained, *patterns, [Attack("idle", "linf", run)], np.linspace(0, 1, 30), mode=mode, trust=NO_TRUST)
    assert len(most) == 29 and max(most) <= 2


class Stop(Exception):
    pass


def test_a_stopped_evaluation_resumes_and_gives_the_same(trained, patterns, tmp_path):
    epsilons, calls = (0.02, 0.1), []

    def run(model, images, labels, epsilon, key):
        calls.append(key)
        if len(calls) == 4:
            raise Stop
        return images + epsilon * torch.randn(images.shape, generator=torch.Generator().manual_seed(key % 1000)).sign()

    attack = Attack("signs", "linf", run)
    arguments = {"batch_size": 16, "mode": "independent", "trust": NO_TRUST}
    with pytest.raises(Stop):
        evaluate(trained, *patterns, [attack], epsilons, folder=tmp_path, **arguments)
    assert len(list(tmp_path.iterdir())) == 1  # the second batch was stopped between budgets: no trace of it
    resumed = evaluate(trained, *patterns, [attack], epsilons, folder=tmp_path, **arguments)
    assert len(calls) == 4 + 4 and calls[4:6] == calls[2:4]
    fresh = evaluate(trained, *patterns, [attack], epsilons, **arguments)
    assert torch.equal(resumed.success, fresh.success) and torch.equal(resumed.minimum_norms, fresh.minimum_norms)


@pytest.mark.parametrize("change", ["weights", "images", "seed", "settings"])
def test_a_stale_file_is_refused(patterns, tmp_path, change, trained):
    from copy import deepcopy

    model, (images, labels), steps, seed = deepcopy(trained), patterns, 2, 0
    evaluate(model, images, labels, [create_attack("bim", steps=2)], [0.02], folder=tmp_path, trust=NO_TRUST)
    if change == "weights":
        with torch.no_grad():
            model[-1].bias += 1e-6
    elif change == "images":
        images = images.clone()
        images[0, 0, 0, 0] = 0.123
    elif change == "seed":
        seed = 1
    else:
        steps = 3
    with pytest.raises(ValueError, match="written for another model, other images or other settings"):
        evaluate(
            model,
            images,
            labels,
            [create_attack("bim", steps=steps)],
            [0.02],
            seed=seed,
            folder=tmp_path,
            trust=NO_TRUST,
        )


@pytest.mark.parametrize("content", [b"PK\x03\x04 half a file", b"", b"text"])
def test_an_unreadable_file_is_named_and_computed_again(trained, patterns, tmp_path, content):
    """A batch that a full disk or a dying machine damaged must not stop every evaluation from then on."""
    whole = evaluate(trained, *patterns, ["fgsm"], [0.02], folder=tmp_path, trust=NO_TRUST)
    (path,) = tmp_path.iterdir()
    with np.load(path, allow_pickle=False) as file:
        assert set(file) == {"fingerprint", "success", "norms", "passes"}
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=rf"{path.name} cannot be read .*computed again"):
        again = evaluate(trained, *patterns, ["fgsm"], [0.02], folder=tmp_path, trust=NO_TRUST)
    assert torch.equal(again.success, whole.success) and torch.equal(again.minimum_norms, whole.minimum_norms)
    evaluate(trained, *patterns, ["fgsm"], [0.02], folder=tmp_path, trust=NO_TRUST)  # read back without a warning


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_clip_to_budget(norm):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(20, 3, 5, 5, generator=generator)
    perturbed = images + torch.randn(images.shape, generator=generator)
    clipped = clip_to_budget(images, perturbed, epsilon=0.1, norm=norm)
    assert perturbation_norms(clipped - images, norm).max() <= 0.1 * (1 + 1e-5)
    assert clipped.min() >= 0 and clipped.max() <= 1
    inside = images + 0.01 * (0.5 - images)
    assert torch.allclose(clip_to_budget(images, inside, epsilon=1.0, norm=norm), inside, atol=1e-7)


@pytest.mark.parametrize("size", [(16,), (6, 6, 6)])
def test_signals_and_volumes_are_attacked_too(size):
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(10, 2, *size, generator=generator)
    model = nn.Sequential(nn.Flatten(), nn.Linear(2 * int(np.prod(size)), 3))
    labels = model(images).argmax(1)
    attacks = ["fgsm", "deepfool", "apgd_ce", create_attack("square", queries=300)]
    outcome = evaluate(model, images, labels, attacks, (0, 1.0), trust=NO_TRUST)
    assert outcome.success[:, 1].double().mean() > 0.9 and not outcome.success[:, 0].any()


def test_square_asks_for_no_gradient_and_its_draws_do_not_depend_on_the_others(trained, patterns):
    from msda_analysis.attacks.square import SquareSettings, square_attack

    class NoGradient(nn.Module):
        def forward(self, images):
            assert not torch.is_grad_enabled()
            return trained(images)

    images, labels = patterns
    settings = SquareSettings(queries=60)
    with torch.no_grad():
        found = square_attack(NoGradient(), images, labels, epsilon=0.1, key=1, settings=settings)
    assert perturbation_norms(found - images, "linf").max() <= 0.1 + 1e-6
    unlabeled = labels.clone()
    unlabeled[1:] = (trained(images).argmax(1)[1:] + 1) % 5  # the others are finished from the start
    alone = square_attack(trained, images, unlabeled, epsilon=0.1, key=1, settings=settings)
    assert torch.equal(alone[0], found[0])
    with pytest.raises(ValueError, match="epsilon: expected a finite number > 0"):
        square_attack(trained, images, labels, epsilon=0.0, key=0)
    with pytest.raises(ValueError, match="queries: expected an integer >= 2"):
        SquareSettings(queries=1)


@pytest.mark.parametrize("arguments, message", [
    ({"attacks": []}, "attacks: expected a list of at least one name"),
    ({"attacks": "fgsm"}, "attacks: expected a list of at least one name"),
    ({"attacks": ["fgsm", "fgsm"]}, "attacks: expected different names"),
    ({"attacks": ["cw"]}, "name: expected one of 'fgsm'"),
    ({"attacks": ["ddn"]}, "norm of attack 'ddn': expected one of 'l2'; got 'linf'"),
    ({"attacks": [create_attack("fgsm", "l2")]}, "norm of attack 'fgsm': expected one of 'linf'; got 'l2'"),
    ({"epsilons": []}, "epsilons: expected at least one finite number"),
    ({"epsilons": [-0.1]}, "epsilons: expected at least one finite number, each >= 0"),
    ({"epsilons": [float("nan")]}, "epsilons: expected at least one finite number"),
    ({"norm": "l1"}, "norm: expected one of 'linf', 'l2'"),
    ({"mode": "best"}, "mode: expected one of 'cascade', 'independent'"),
    ({"batch_size": 0}, "batch_size: expected an integer >= 1"),
    ({"images": torch.full((48, 3, 12, 12), 255.0)}, r"images: expected values in \[0, 1\]"),
    ({"labels": torch.zeros(3, dtype=torch.int64)}, "labels: expected 48 labels"),
])  # fmt: skip
def test_what_callers_get_wrong(trained, patterns, arguments, message):
    given = {"images": patterns[0], "labels": patterns[1], "attacks": ["fgsm"], "epsilons": [0.1], **arguments}
    with pytest.raises(ValueError, match=message):
        evaluate(trained, **given)


def test_wrong_types_and_settings(trained, patterns):
    images, labels = patterns
    with pytest.raises(TypeError, match=r"labels: expected int64 \[n\], got soft labels"):
        evaluate(trained, images, nn.functional.one_hot(labels, 5).float(), ["fgsm"], [0.1])
    with pytest.raises(TypeError, match="settings of attack 'deepfool'"):
        create_attack("deepfool", stepsize=1)
    with pytest.raises(ValueError, match="repeats: expected an integer >= 1"):
        create_attack("uniform_noise", repeats=0)
    with pytest.raises(ValueError, match="restarts: expected an integer >= 1"):
        create_attack("pgd", restarts=0)
    assert set(list_attacks("linf")) | set(list_attacks("l2")) == set(ATTACKS)
