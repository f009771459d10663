"""Mixers that look at the network that is trained: how they are given it, and SAGE against its paper."""

import sys
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from msda_analysis import Alternate, ClassifierFit, FMix, Mixed, MixTransform, VaeFit, fit_classifier, fit_vae, mix
from msda_analysis.mixing import SAGE, augmentation_from_text, augmentation_settings, augmentation_to_text, mix_pairs
from msda_analysis.mixing.sage import gradient_saliency
from msda_analysis.rng import derive_key, philox_uniforms, stream, take_key

FIT = ClassifierFit(epochs=2, batch_size=12, lr=0.05)


class Net(nn.Module):
    """With all that a pass could change: batch statistics, dropout, gradients."""

    def __init__(self, size=16 * 16, classes=3):
        super().__init__()
        self.norm, self.dropout, self.linear = nn.BatchNorm2d(1), nn.Dropout(0.2), nn.Linear(size, classes)
        nn.init.normal_(self.linear.weight, std=0.1, generator=stream(0, "net"))

    def forward(self, images):
        return self.linear(self.dropout(self.norm(images)).flatten(1))


def guided(images, labels, generator, network):
    """Takes the network, and changes nothing."""
    network(images).sum()
    return Mixed(images, labels, labels, torch.ones(len(images)), None)


def unguided(images, labels, generator):
    return Mixed(images, labels, labels, torch.ones(len(images)), None)


def values_of(model: nn.Module) -> torch.Tensor:
    return torch.cat([x.detach().flatten().double() for x in (*model.parameters(), *model.buffers())])


class TestNetworks:
    def test_it_is_held_still_and_put_back(self):
        network, seen = Net(), []
        network.dropout.eval()
        network.linear.bias.requires_grad_(False)
        before = values_of(network).clone()

        def mixer(images, labels, *, network):
            seen.append((network, network.training, any(p.requires_grad for p in network.parameters())))
            gradient_saliency(network, images, labels)
            return images, labels, labels, 1.0

        images, labels = torch.rand(6, 1, 16, 16, generator=stream(0, "x")), torch.arange(6) % 3
        mix(images, labels, mixer, generator=stream(0, "mix"), network=network)
        assert seen == [(network, False, False)]
        assert torch.equal(values_of(network), before) and network.linear.weight.grad is None
        assert network.training and network.norm.training and not network.dropout.training
        assert network.linear.weight.requires_grad and not network.linear.bias.requires_grad

    def test_a_training_is_as_if_nobody_had_looked(self, tiny_dataset):
        found = []
        for mixer in (guided, unguided):
            torch.manual_seed(0)
            model, _ = fit_classifier(tiny_dataset, mixer, FIT, network=Net(), progress=False)
            found.append(values_of(model))
        assert torch.equal(*found)

    def test_the_network_of_the_training_is_what_it_is_given(self, tiny_dataset):
        network, seen = Net(), []

        def mixer(images, labels, generator, network):
            seen.append((network, float(network.linear.weight.detach().sum())))
            return guided(images, labels, generator, network)

        fit_classifier(tiny_dataset, Alternate(mixer, FMix()), FIT, network=network, progress=False)
        assert len(seen) == 4 and {id(each) for each, _ in seen} == {id(network)}
        assert len({weight for _, weight in seen}) == 4, "as it is at that step"

    def test_where_there_is_none(self, tiny_dataset):
        with pytest.raises(
            ValueError, match=r"guided: needs a classifier that is trained, and here is none; .*--no-vae"
        ):
            fit_vae(tiny_dataset, guided, VaeFit(epochs=1, batch_size=16, latent=2), progress=False)
        fit_vae(tiny_dataset, SAGE(n_shifts=2), VaeFit(epochs=1, batch_size=16, latent=2), progress=False)
        images = torch.rand(2, 3, 12, 12, generator=stream(0, "pairs"))
        assert mix_pairs(images, images.flip(0), SAGE()).shape == images.shape

    def test_a_transform_for_other_loops_hands_it_on(self):
        network, images, labels = Net(), torch.rand(6, 1, 16, 16), torch.arange(6) % 3
        transform = MixTransform(SAGE(), 3, network=network)
        assert not transform.state_dict() and not list(transform.parameters())
        mixed, soft = transform(images, labels)
        other, _ = MixTransform(SAGE(), 3)(images, labels)
        assert not torch.equal(mixed, other)
        torch.testing.assert_close(soft.sum(1), torch.ones(6))

    def test_as_text(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", list(sys.path))
        (tmp_path / "my_guided.py").write_text(
            "def guided(images, labels, generator, network, strength=1):\n"
            "    network(images)\n    return images, labels, labels, 1 / strength\n"
        )
        for text in ("my_guided:guided(strength=2)", "sage(upper=0.5)"):
            assert augmentation_to_text(augmentation_from_text(text)) == text
        settings = augmentation_settings(augmentation_from_text("sage(upper=0.5)"))
        assert settings == {"kind": "SAGE", "upper": 0.5, "n_shifts": 40}
        own, images = augmentation_from_text("my_guided:guided(strength=2)"), torch.rand(6, 1, 16, 16)
        assert own is not None
        mixed = mix(images, torch.zeros(6).long(), own, generator=stream(0, "x"), network=Net())
        assert mixed.lam.tolist() == [0.5] * 6
        with pytest.raises(ValueError, match="has no setting 'network', only strength"):
            augmentation_from_text("my_guided:guided(network=1)")


class TestSage:
    SIZE, N, CLASSES = (5, 4), 7, 3

    def test_it_is_the_papers_formula(self):
        """Against loops over pixels and all translations, with the gradient of a linear network in closed form."""
        images = torch.rand(self.N, 2, *self.SIZE, generator=stream(0, "images"))
        labels, linear = torch.arange(self.N) % self.CLASSES, nn.Linear(2 * 20, self.CLASSES)
        nn.init.normal_(linear.weight, generator=stream(0, "weights"))
        network = nn.Sequential(nn.Flatten(), linear)
        mixed = SAGE(upper=0.9, n_shifts=3000)(
            images, labels, stream(1, "mix"), network
        )  # all translations are among them
        lam = 0.9 * philox_uniforms(derive_key(take_key(stream(1, "mix")), "lam"), self.N, 1)[:, 0].numpy()

        weights = linear.weight.detach().double().numpy()
        logits = images.flatten(1).double().numpy() @ weights.T + linear.bias.detach().numpy()
        share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        gradient = (share - np.eye(self.CLASSES)[labels]) @ weights
        raw = np.abs(gradient.reshape(self.N, 2, *self.SIZE)).mean(1)
        taps = {k: np.exp(-(k**2) / 2) for k in range(-2, 3)}
        smooth = np.zeros_like(raw)
        for (a, wa), (b, wb) in product(taps.items(), taps.items()):
            smooth += wa * wb * np.roll(raw, (a, b), (1, 2)) / sum(taps.values()) ** 2
        saliency = smooth / smooth.sum((1, 2), keepdims=True)

        assert mixed.permutation is not None
        for i, j in enumerate(mixed.permutation.tolist()):
            expected, kept = self._best(images.double().numpy(), saliency, i, j, lam[i])
            np.testing.assert_allclose(mixed.images[i].numpy(), expected, atol=2e-5)
            assert float(mixed.lam[i]) == pytest.approx(kept, abs=1e-5)

    def _best(self, images, saliency, i, j, lam):
        """Mixed image and label weight of the translation that keeps most saliency."""
        height, width = self.SIZE
        found = []
        for down, right in product(range(1 - height, height), range(1 - width, width)):
            image, kept, weights = np.empty(images[i].shape), 0.0, []
            for row, column in product(range(height), range(width)):
                a, b, pixel = lam * saliency[i, row, column], 0.0, np.zeros(2)
                if 0 <= row - down < height and 0 <= column - right < width:
                    b = (1 - lam) * saliency[j, row - down, column - right]
                    pixel = images[j, :, row - down, column - right]
                weight = a / (a + b)
                image[:, row, column] = weight * images[i, :, row, column] + (1 - weight) * pixel
                kept += weight * a + (1 - weight) * b
                weights.append(weight)
            found.append((kept, image, float(np.mean(weights))))
        _, image, weight = max(found, key=lambda each: each[0])
        return image, weight

    @pytest.mark.parametrize("size", [(20,), (6, 8), (4, 5, 6)], ids=str)
    def test_any_number_of_axes_without_a_network(self, size):
        images = torch.rand(8, 2, *size, generator=stream(0, "images"))
        mixed, again = (
            mix(images, torch.arange(8), SAGE(), generator=stream(0, "mix"), spatial=len(size)) for _ in range(2)
        )
        assert torch.equal(mixed.images, again.images) and not torch.equal(mixed.images, images)
        assert mixed.images.min() >= 0 and mixed.images.max() <= 1 and len(mixed.lam.unique()) == 8

    def test_a_network_that_sees_nothing_is_an_even_saliency(self):
        images, linear = torch.rand(6, 1, 8, 8, generator=stream(0, "images")), nn.Linear(64, 3)
        nn.init.zeros_(linear.weight)
        blind = nn.Sequential(nn.Flatten(), linear)
        mixed = mix(images, torch.arange(6) % 3, SAGE(), generator=stream(0, "mix"), network=blind)
        assert torch.isfinite(mixed.images).all() and torch.isfinite(mixed.lam).all()

    def test_soft_labels_and_their_classes_have_one_saliency(self):
        images, labels = torch.rand(6, 1, 16, 16, generator=stream(0, "images")), torch.arange(6) % 3
        network = Net().eval()
        soft = nn.functional.one_hot(labels, 3).float()
        torch.testing.assert_close(gradient_saliency(network, images, soft), gradient_saliency(network, images, labels))

    @pytest.mark.parametrize(
        "settings, words",
        [({"upper": 1.5}, r"upper: expected a number in \[0.0, 1.0\]"), ({"n_shifts": 0}, "n_shifts: expected")],
    )
    def test_bad_settings(self, settings, words):
        with pytest.raises(ValueError, match=words):
            SAGE(**settings)
