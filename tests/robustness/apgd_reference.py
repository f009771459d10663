"""Auto-PGD written out for one image, step by step as published: the check on the batched attack."""

import torch

from msda_analysis.attacks.apgd import attack_losses, checkpoint_windows
from msda_analysis.attacks.perturbation import clip_to_budget


def reference(model, image, label, start, *, epsilon, norm, loss, steps, rho=0.75):
    """The final image [1, ...] of algorithm 1 of Croce and Hein 2020 from a starting point, stopped once misclassified."""

    def look(point):
        point = point.detach().requires_grad_()
        logits = model(point)
        value = attack_losses(logits, label, loss)
        (gradient,) = torch.autograd.grad(value.sum(), point)
        return value.item(), gradient, logits.argmax(1).item() != label.item()

    def project(point):
        return clip_to_budget(image, point, epsilon=epsilon, norm=norm)

    def ascend(point, gradient, size):
        direction = gradient.sign() if norm == "linf" else gradient / gradient.norm()
        return project(point + size * direction)

    points = [project(start)]
    value, gradient, is_broken = look(points[0])
    if is_broken:
        return points[0]
    size, values, gradients, best = 2 * epsilon, [value], [gradient], 0
    checks = torch.tensor(checkpoint_windows(steps)).cumsum(0).tolist()
    previous_check, size_before, best_before, rises = 0, size, value, 0
    here, before, at_here = points[0], points[0], (value, gradient)
    for step in range(1, steps + 1):
        target = ascend(here, at_here[1], size)
        share = 1.0 if step == 1 else 0.75
        moved = project(here + share * (target - here) + (1 - share) * (here - before))
        value, gradient, is_broken = look(moved)
        if is_broken:
            return moved
        rises += value > at_here[0]
        points.append(moved), values.append(value), gradients.append(gradient)
        here, before, at_here = moved, here, (value, gradient)
        best = max(range(len(values)), key=lambda k: (values[k], -k))
        if step in checks:
            rarely = rises < rho * (step - previous_check)
            stuck = size_before == size and best_before == values[best]
            size_before, best_before, previous_check, rises = size, values[best], step, 0
            if rarely or stuck:
                size /= 2
                here = before = points[best]
                at_here = (values[best], gradients[best])
    return points[best]
