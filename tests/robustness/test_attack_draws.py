"""What random attacks draw: every start and every budget its own; and what a search by queries keeps."""

import pytest
import torch

from msda_analysis.robustness import Attack, TrustSettings, create_attack, evaluate


@pytest.mark.parametrize("name, calls", [("pgd", 1), ("apgd_ce", 2)])
def test_every_restart_begins_elsewhere(linear, gray_images, name, calls):
    """Budgets too small to break an image, so that every start goes all its steps; a step looks at `calls` points."""
    points = []
    linear.eval().register_forward_pre_hook(
        lambda module, inputs: points.append(inputs[0].detach().clone()) if inputs[0].requires_grad else None
    )
    labels = linear(gray_images).argmax(1)
    far = linear.distances(gray_images, "linf").argsort(descending=True)[:4]
    attack = create_attack(name, steps=1, restarts=4)
    attack.run(linear, gray_images[far], labels[far], 1e-4, 3)
    starts = points[::calls]
    assert len(starts) == 4 and len({start.numpy().tobytes() for start in starts}) == 4


def test_budgets_draw_apart_and_whatever_the_other_budgets_are(linear, gray_images):
    keys = {}

    def run(model, images, labels, epsilon, key):
        keys.setdefault(epsilon, set()).add(key)
        return images

    labels = linear(gray_images).argmax(1)
    for epsilons in ([0.1, 0.2], [0.05, 0.2]):
        spy = [Attack("spy", "linf", run)]
        evaluate(linear, gray_images, labels, spy, epsilons, mode="independent", trust=TrustSettings(images=0))
    assert all(len(found) == 1 for found in keys.values()) and len(set.union(*keys.values())) == 3


def test_square_keeps_what_it_found_before(linear, gray_images):
    """Every pixel stands at the budget from the first stripes on, and the margin falls with the queries."""
    labels, epsilon = linear(gray_images).argmax(1), 1e-3
    margins = []
    for queries in (2, 20, 60):
        found = create_attack("square", queries=queries).run(linear, gray_images, labels, epsilon, 3)
        torch.testing.assert_close((found - gray_images).abs(), torch.full_like(found, epsilon), rtol=0, atol=1e-6)
        logits = linear(found).detach()
        own = logits.gather(1, labels[:, None])[:, 0]
        margins.append(own - logits.scatter(1, labels[:, None], -torch.inf).amax(1))
    # a longer search halves its squares later: of single images it may find less on the way
    assert margins[2].mean() < margins[1].mean() - 0.005 < margins[0].mean() - 0.01
