"""The batched Auto-PGD against the same method written out for one image, image by image."""

from copy import deepcopy

import pytest
import torch
from apgd_reference import reference

from msda_analysis.attacks.apgd import ApgdSettings, apgd
from msda_analysis.models.frozen import frozen


# the last of 30 steps is judged, which goes back to the best point; that of 50 is not
@pytest.mark.parametrize("norm, loss, epsilon, steps", [
    ("linf", "ce", 0.012, 30), ("linf", "dlr", 0.012, 50), ("l2", "ce", 0.2, 50), ("l2", "dlr", 0.2, 30),
])  # fmt: skip
def test_every_image_goes_the_way_of_the_published_method(trained, patterns, norm, loss, epsilon, steps):
    model = deepcopy(trained).double()
    images, labels = patterns[0].double(), patterns[1]
    with frozen(model):
        right = model(images).argmax(1) == labels
        images, labels, starts = images[right][:16], labels[right][:16], []
        model.register_forward_pre_hook(lambda module, inputs: starts.append(inputs[0].detach().clone()))
        found = apgd(model, images, labels, epsilon=epsilon, key=5, norm=norm, settings=ApgdSettings(loss, steps=steps))
        start = starts[0]
        alone = [
            reference(model, *(part[i : i + 1] for part in (images, labels, start)), epsilon=epsilon, norm=norm, loss=loss, steps=steps)
            for i in range(len(images))
        ]  # fmt: skip
        broken = model(found).argmax(1) != labels
    assert torch.allclose(found, torch.cat(alone), atol=1e-9)
    assert broken.any() and (~broken).sum() >= 4, "both ends are reached: broken images, and those with a best point"
