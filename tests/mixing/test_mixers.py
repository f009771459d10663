"""Mixers: functions of one's own, transforms of other packages, and those of this package against their papers."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

from msda_analysis import (
    Alternate,
    ClassifierFit,
    FMix,
    MixTransform,
    MixUp,
    VaeFit,
    fit_classifier,
    fit_vae,
    mix,
    sample_masks,
)
from msda_analysis.mixing import (
    MIXERS,
    Mixed,
    OwnMixer,
    PackageMixer,
    ResizeMix,
    SaliencyMix,
    augmentation_from_text,
    augmentation_settings,
    augmentation_to_text,
    mix_pairs,
)
from msda_analysis.mixing.adapters import mixed_by_weights
from msda_analysis.mixing.saliencymix import salient_places, spectral_residual
from msda_analysis.rng import stream

SOURCE = (Path(__file__).parent / "own_mixers.py").read_text(encoding="utf-8")
IMAGES = torch.rand(12, 3, 16, 20, generator=stream(0, "images"))
LABELS = torch.arange(12) % 4


@pytest.fixture
def own(tmp_path, monkeypatch):
    """my_mixers.py in a current directory that is not on the path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str = SOURCE) -> None:
        (tmp_path / "my_mixers.py").write_text(source, encoding="utf-8")
        sys.modules.pop("my_mixers", None)
        for cached in tmp_path.rglob("*.pyc"):
            cached.unlink()

    write()
    yield write
    sys.modules.pop("my_mixers", None)


def mixed_by(mixer, images=IMAGES, labels=LABELS, seed=0, **more) -> Mixed:
    return mix(images, labels, mixer, generator=stream(seed, "mix"), **more)


class TestOwn:
    TEXTS = (
        "my_mixers:swap_halves(at=0.25)",
        "my_mixers:transform",
        "my_mixers:Fade(weight=0.75)",
        "resizemix(high=0.5)",
    )

    @pytest.mark.parametrize("text", TEXTS)
    def test_a_text_stands_for_it_and_back(self, own, text):
        mixer = augmentation_from_text(text)
        assert augmentation_to_text(mixer) == text
        turns = augmentation_from_text(f"fmix+{text}")
        assert isinstance(turns, Alternate) and augmentation_to_text(turns) == f"fmix+{text}"

    def test_what_it_returns_is_the_mixed_batch(self, own):
        mixed = mixed_by(augmentation_from_text("my_mixers:swap_halves(at=0.25)"))
        assert mixed.permutation is not None
        assert torch.equal(mixed.images[..., :5], IMAGES[..., :5])
        assert torch.equal(mixed.images[..., 5:], IMAGES[mixed.permutation][..., 5:])
        assert torch.equal(mixed.labels_b, LABELS[mixed.permutation]) and mixed.lam.tolist() == [0.25] * 12
        fade = mixed_by(augmentation_from_text("my_mixers:Fade(weight=0.75)"))
        torch.testing.assert_close(fade.images, 0.75 * IMAGES + 0.25 * IMAGES[fade.permutation])

    def test_global_draws_follow_the_generator_and_inputs_stay(self, own, quiet_random_state):
        mixer = augmentation_from_text("my_mixers:transform")
        before = IMAGES.clone()
        first, again, other = (mixed_by(mixer, seed=seed) for seed in (0, 0, 1))
        assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)
        assert torch.equal(IMAGES, before), "the mixer changes its images in place, the caller's stay"
        assert first.permutation is None and first.lam.shape == (12,) and len(first.lam.unique()) == 1

    def test_every_door_takes_it(self, own, tiny_dataset):
        for text in ("my_mixers:swap_halves", "my_mixers:transform", "fmix+my_mixers:swap_halves"):
            mixer = augmentation_from_text(text)
            settings = ClassifierFit(epochs=1, batch_size=16)
            classifier, history = fit_classifier(tiny_dataset, mixer, settings, progress=False)
            again, _ = fit_classifier(tiny_dataset, mixer, settings, progress=False)
            assert all(torch.equal(a, b) for a, b in zip(classifier.parameters(), again.parameters(), strict=True))
            assert np.isfinite(history.epochs[0]["loss"])
            fit_vae(tiny_dataset, mixer, VaeFit(epochs=1, batch_size=16, latent=2), progress=False)
            transform = MixTransform(mixer, 4)
            for _ in range(2):
                images, soft = transform(IMAGES, LABELS)
                assert images.shape == IMAGES.shape
                torch.testing.assert_close(soft.sum(1), torch.ones(12))

    def test_masks_are_not_asked_of_it(self, own):
        mixer = augmentation_from_text("my_mixers:swap_halves")
        with pytest.raises(TypeError, match=r"family: expected one of MixUp\(\), .*; it draws no masks"):
            sample_masks(mixer, 3, (4, 4), generator=stream(0, "x"))
        with pytest.raises(TypeError, match="it draws no masks"):
            sample_masks(Alternate(FMix(), mixer), 3, (4, 4), generator=stream(0, "x"), step=1)
        with pytest.raises(ValueError, match="out: expected None for a mixer"):
            mixed_by(mixer, out=torch.empty_like(IMAGES))
        with pytest.raises(
            TypeError, match=r"family: expected one of .* a mixer \(images, labels, generator\) -> Mixed"
        ):
            mixed_by(3)

    def test_settings_and_code_are_what_it_is_known_by(self, own):
        text = "my_mixers:swap_halves(at=0.25)"
        before = augmentation_settings(augmentation_from_text(text))
        assert before is not None and before["kind"] == "swap_halves" and before["at"] == 0.25
        assert before == augmentation_settings(augmentation_from_text(text))
        own(SOURCE.replace("mixed[..., cut:] =", "mixed[..., :cut] ="))
        after = augmentation_settings(augmentation_from_text(text))
        assert after is not None and after["function"]["code"] != before["function"]["code"]
        fade = augmentation_settings(augmentation_from_text("my_mixers:Fade"))
        assert fade is not None and fade["weight"] == 0.5 and fade["class"]["module"] == "my_mixers"
        with pytest.raises(
            TypeError, match="family: expected a function or a frozen dataclass, whose settings can be told"
        ):
            augmentation_settings(torch.nn.Identity())

    @pytest.mark.parametrize(
        "text, words",
        [
            ("my_mixers:none", "augmentation: cannot find my_mixers:none"),
            ("my_mixers:nothing", r"subclass of MaskFamily or a function \(images, labels, generator\) -> Mixed, got 3"),
            ("my_mixers:swap_halves(cut=1)", r"has no setting 'cut', only at"),
            ("my_mixers:swap_halves(generator=1)", r"has no setting 'generator', only at"),
            ("resizemix(tau=1)", r"'resizemix\(tau=1\)' has no setting 'tau', only low, high"),
            ("resizemix(low=0.9)", r"high: expected a number in \[0.9, 1.0\], got 0.8"),
            ("blendmix", r"expected one of baseline, .*; resizemix, saliencymix, sage, or a mixer of yours such as my_mixers:function"),
        ],
    )  # fmt: skip
    def test_what_is_no_mixer_is_refused(self, own, text, words):
        with pytest.raises(ValueError, match=words):
            augmentation_from_text(text)

    @pytest.mark.parametrize(
        "result, kind, words",
        [
            (lambda x, y: x, TypeError, r"<lambda>: expected a Mixed, \(images, soft labels .*; got Tensor"),
            (lambda x, y: (x, y.float()), TypeError, r"got torch.float32 \(12, 3, 16, 20\), torch.float32 \(12,\)"),
            (lambda x, y: (x[:, :1], y, y, 0.5), ValueError, r"expected mixed images like the images, torch.float32 \(12, 3, 16, 20\)"),
            (lambda x, y: (x, y, y[:3], 0.5), ValueError, "labels: expected 12 labels, one per image, got 3"),
            (lambda x, y: (x, y, y, 1.5), ValueError, r"expected label weights in \[0, 1\], got \[1.5, 1.5\]"),
            (lambda x, y: (x / 0, y, y, 0.5), ValueError, "mixed images: expected finite values"),
        ],
    )  # fmt: skip
    def test_results_are_looked_at(self, result, kind, words):
        with pytest.raises(kind, match=words):
            mixed_by(result)

    def test_soft_labels_come_back_as_they_are(self):
        soft = torch.rand(12, 4, generator=stream(0, "soft"))
        soft = soft / soft.sum(1, keepdim=True)
        mixed = mixed_by(lambda x, y: (x, soft))
        assert torch.equal(mixed.soft_labels(4), soft)
        logits = torch.randn(12, 4, generator=stream(0, "logits"))
        torch.testing.assert_close(mixed.loss(logits), functional.cross_entropy(logits, soft))


class TestPackages:
    """Adapters, against what the images show."""

    @pytest.mark.parametrize(
        "text",
        ["torchvision:MixUp(alpha=0.5)", "torchvision:CutMix", "timm:Mixup(mixup_alpha=0.8, cutmix_alpha=1.0)",
         "timm:Mixup(mixup_alpha=0.0, cutmix_alpha=1.0, mode='elem')", "kornia:RandomMixUpV2(p=1.0)",
         "kornia:RandomCutMixV2(p=1.0)", "kornia:RandomCutMixV2(p=1.0, use_correct_lambda=True)"],
    )  # fmt: skip
    def test_labels_follow_what_is_mixed(self, text):
        pytest.importorskip(text.partition(":")[0])
        mixer = augmentation_from_text(text)
        assert isinstance(mixer, PackageMixer) and augmentation_to_text(mixer) == text
        settings = augmentation_settings(mixer)
        assert settings is not None and settings["package"] in text and settings["version"]
        codes = torch.arange(12.0).view(-1, 1, 1, 1).expand(12, 3, 16, 16) / 12  # constant images tell what is kept
        partners = set()
        for seed in range(6):
            mixed = mixed_by(mixer, codes, torch.arange(12), seed=seed)
            assert mixed.permutation is not None
            expected = mixed.lam * codes[:, 0, 0, 0] + (1 - mixed.lam) * codes[mixed.permutation][:, 0, 0, 0]
            torch.testing.assert_close(mixed.images.mean((1, 2, 3)), expected, atol=1e-5, rtol=0)
            assert torch.equal(mixed.labels_b, mixed.permutation)
            partners |= {tuple(mixed.lam.tolist())}
        assert len(partners) == 6
        soft = functional.one_hot(LABELS, 4).float()
        torch.testing.assert_close(mixed_by(mixer, labels=soft).soft_labels(4), mixed_by(mixer).soft_labels(4))

    def test_an_object_of_torchvision_is_a_mixer_as_it_is(self):
        from torchvision.transforms import v2

        first, again = (mixed_by(v2.CutMix(num_classes=4)) for _ in range(2))
        assert torch.equal(first.images, again.images) and not torch.equal(first.images, IMAGES)
        torch.testing.assert_close(first.soft_labels(4).sum(1), torch.ones(12))

    @pytest.mark.parametrize(
        "text, words",
        [
            ("torchvision:CutMix(num_classes=3)", "num_classes: expected settings of the mixing itself"),
            (
                "torchvision:RandomErasing",
                "torchvision transform: expected one of 'MixUp', 'CutMix'; got 'RandomErasing'",
            ),
            ("torchvision:CutMix(beta=3)", "torchvision:CutMix: .*unexpected keyword argument 'beta'"),
        ],
    )
    def test_bad_settings(self, text, words):
        with pytest.raises(ValueError, match=words):
            augmentation_from_text(text)

    def test_a_package_that_is_not_there_is_said(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "timm", None)
        monkeypatch.setitem(sys.modules, "timm.data.mixup", None)
        with pytest.raises(ValueError, match=r"timm.*; in augmentation 'timm:Mixup'"):
            augmentation_from_text("timm:Mixup")

    def test_weights_of_three_images_are_refused(self):
        with pytest.raises(ValueError, match="expected the label of each image and of at most one other"):
            mixed_by_weights(IMAGES[:3], LABELS[:3], torch.full((3, 3), 1 / 3))


class TestResizeMix:
    @pytest.mark.parametrize("size", [(40,), (24, 32), (8, 10, 12)], ids=str)
    def test_the_whole_partner_is_pasted_small(self, size):
        images = torch.rand(16, 2, *size, generator=stream(0, "resize"))
        images += torch.arange(16).view(-1, 1, *[1] * len(size))  # whose pixel it is can be told
        mixed = ResizeMix()(images, torch.arange(16), stream(1, "mix"))
        assert mixed.permutation is not None
        for i, partner in enumerate(mixed.permutation.tolist()):
            pasted = (mixed.images[i] != images[i]).all(0)
            if i == partner:
                continue
            spans = [
                pasted.any(tuple(set(range(len(size))) - {axis}) or (0,)) if len(size) > 1 else pasted
                for axis in range(len(size))
            ]
            side = [int(span.sum()) for span in spans]
            assert int(pasted.sum()) == int(np.prod(side)), "a box"
            assert float(mixed.lam[i]) == pytest.approx(1 - np.prod(side) / np.prod(size), abs=1e-6)
            mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[len(size)]
            small = functional.interpolate(
                images[partner : partner + 1], size=side, mode=mode, antialias=len(size) == 2
            )[0]
            torch.testing.assert_close(mixed.images[i][:, pasted], small.flatten(1))

    def test_scale_and_place_have_their_laws(self):
        images = torch.arange(512.0).view(-1, 1, 1, 1).expand(512, 1, 100, 100)
        mixed = ResizeMix()(images, torch.arange(512), stream(2, "mix"))
        tau = (1 - mixed.lam.double()).sqrt().numpy()
        assert stats.kstest(tau, stats.uniform(0.1, 0.7).cdf).pvalue > 1e-4
        rows = (mixed.images != images).any(3)[:, 0]
        start, side = rows.double().argmax(1).numpy(), rows.sum(1).numpy()
        moved = side > 0
        assert stats.kstest((start + 0.5)[moved] / (101 - side)[moved], "uniform").pvalue > 1e-4

    def test_frames_of_a_video_are_pasted_alike(self):
        videos = torch.rand(4, 5, 3, 12, 16, generator=stream(0, "videos"))
        mixed = mixed_by(ResizeMix(), videos, torch.arange(4), spatial=2)
        flat = mixed_by(ResizeMix(), videos.flatten(1, 2), torch.arange(4))
        assert torch.equal(mixed.images.flatten(1, 2), flat.images) and torch.equal(mixed.lam, flat.lam)
        changed = (mixed.images != videos).all(2)  # [n, time, height, width]
        assert torch.equal(changed, changed[:, :1].expand_as(changed)) and bool(changed.any())


class TestSaliencyMix:
    def test_saliency_finds_the_odd_one_out(self):
        """A patch that breaks a texture, as in the paper's pictures."""
        generator = stream(0, "texture")
        place = torch.arange(32)
        texture = 0.5 + 0.3 * torch.sin(2 * torch.pi * place / 8)[:, None] * torch.sin(2 * torch.pi * place / 8)
        images = texture.expand(10, 3, 32, 32) + 0.01 * torch.randn(10, 3, 32, 32, generator=generator)
        centers = torch.randint(6, 26, (10, 2), generator=generator)
        for image, (row, column) in zip(images, centers.tolist(), strict=True):
            image[:, row - 2 : row + 3, column - 2 : column + 3] = 1.0
        assert float((salient_places(images) - centers).abs().max()) <= 4

    def test_saliency_moves_with_the_image_and_is_the_formula(self):
        image = torch.rand(1, 1, 16, 12, generator=stream(3, "image"), dtype=torch.float64)
        saliency = spectral_residual(image)
        torch.testing.assert_close(spectral_residual(image.roll((3, 5), (2, 3))), saliency.roll((3, 5), (1, 2)))
        spectrum = np.fft.fft2(image[0, 0].numpy())
        log = np.log(np.abs(spectrum))
        local = sum(np.roll(log, (a, b), (0, 1)) for a in (-1, 0, 1) for b in (-1, 0, 1)) / 9
        raw = np.abs(np.fft.ifft2(np.exp(log - local + 1j * np.angle(spectrum)))) ** 2
        assert float(saliency.sum()) == pytest.approx(raw.sum(), rel=1e-9), "smoothing keeps the sum"
        assert raw.argmax() >= 0 and float(saliency.std()) < raw.std()

    @pytest.mark.parametrize("size", [(40,), (24, 32), (8, 10, 12)], ids=str)
    def test_the_box_lies_around_the_partners_peak(self, size):
        images = torch.rand(24, 1, *size, generator=stream(0, "salient"))
        mixed = SaliencyMix()(images, torch.arange(24), stream(1, "mix"))
        assert mixed.permutation is not None
        peaks, checked = salient_places(images), 0
        for i, partner in enumerate(mixed.permutation.tolist()):
            cut = (mixed.images[i, 0] != images[i, 0]).nonzero()
            if i == partner or not len(cut):
                continue
            checked += 1
            low, high = cut.amin(0), cut.amax(0)
            assert len(cut) == int((high - low + 1).prod()), "a box"
            assert torch.equal(mixed.images[i, 0][tuple(cut.T)], images[partner, 0][tuple(cut.T)]), (
                "from the same place"
            )
            assert float(mixed.lam[i]) == pytest.approx(1 - len(cut) / np.prod(size), abs=1e-6)
            for axis, length in enumerate(size):
                inside = int(low[axis]) > 0 and int(high[axis]) < length - 1
                middle = float(low[axis] + high[axis]) / 2
                assert not inside or abs(middle - float(peaks[partner, axis])) <= 0.5
        assert checked > 15

    def test_lambda_follows_alpha(self):
        images = torch.rand(2000, 1, 200, generator=stream(0, "long"))
        images[:, :, 100] += 30  # peaks in the middle: boxes below half the length are not clipped
        mixed = SaliencyMix(alpha=2.0)(images, torch.arange(2000), stream(1, "mix"))
        kept = mixed.lam.double().numpy()
        expected = stats.beta(2, 2).sf(0.5)
        assert abs((kept > 0.5).mean() - expected) < 5 * (expected * (1 - expected) / 2000) ** 0.5
        assert stats.kstest(kept, stats.beta(2, 2).cdf).statistic < 0.05


def test_the_names_are_known():
    assert set(MIXERS) == {"resizemix", "saliencymix", "sage"}
    for name, mixer in MIXERS.items():
        assert augmentation_from_text(name) == mixer and augmentation_to_text(mixer) == name
        settings = augmentation_settings(mixer)
        assert settings is not None and settings["kind"] == type(mixer).__name__
    assert augmentation_from_text("baseline") is None and augmentation_from_text("mixup") == MixUp()
    assert isinstance(OwnMixer(len), OwnMixer)


class TestPairs:
    FIRST, SECOND = torch.zeros(5, 3, 16, 16), torch.ones(5, 3, 16, 16)

    def test_a_familys_pictures_are_its_masks(self):
        masks = sample_masks(FMix(), 5, (16, 16), generator=stream(3, "pictures")).masks
        assert torch.equal(mix_pairs(self.FIRST, self.SECOND, FMix(), seed=3), (1 - masks).expand(5, 3, 16, 16))

    @pytest.mark.parametrize("text", ["resizemix", "saliencymix", "torchvision:CutMix", "torchvision:MixUp"])
    def test_a_mixer_mixes_the_given_pairs(self, text):
        mixer = augmentation_from_text(text)
        assert mixer is not None
        mixed = mix_pairs(self.FIRST, self.SECOND, mixer, seed=1)
        share = mixed.mean((1, 2, 3))
        assert mixed.shape == self.FIRST.shape and bool((share > 0).all()) and len(share.unique()) > 3
        assert torch.equal(mixed, mix_pairs(self.FIRST, self.SECOND, mixer, seed=1))

    def test_what_cannot_be_shown_says_so(self):
        with pytest.raises(ValueError, match="to mix two images with each other, got them unmixed 64 times"):
            mix_pairs(self.FIRST, self.SECOND, lambda x, y: (x, y, y, 1.0))
        with pytest.raises(TypeError, match="got an Alternate; show each of its families"):
            mix_pairs(self.FIRST, self.SECOND, Alternate(FMix(), MixUp()))
