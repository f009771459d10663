"""Mixing: the arithmetic, labels and loss, alternation, and the drop-in batch transform."""

import pickle
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset, default_collate

from msda_analysis import Alternate, CutMix, FMix, MixTransform, MixUp, mix, sample_masks
from msda_analysis.mixing import Mixed, blend
from msda_analysis.rng import stream, take_key

SIZES = [(16,), (8, 9), (5, 4, 6)]
FAMILIES = [MixUp(), CutMix(), FMix(), FMix(spectrum="released", max_soft=0.2)]


def images_of(n: int = 12, size: tuple[int, ...] = (8, 9), channels: int = 3) -> torch.Tensor:
    return torch.rand(n, channels, *size, generator=stream(0, "images"))


def labels_of(n: int = 12) -> torch.Tensor:
    return torch.randint(10, (n,), generator=stream(0, "labels"))


def mixed_with(family, seed: int = 0, **more) -> Mixed:
    return mix(images_of(), labels_of(), family, generator=stream(seed, "mix"), **more)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("gradient", [False, True])
def test_a_mask_of_ones_is_the_identity_and_of_zeros_the_partner(size, gradient):
    images = images_of(size=size).requires_grad_(gradient)
    permutation = torch.randperm(12, generator=stream(0, "pairs"))
    ones = torch.ones(12, 1, *size)
    assert torch.equal(blend(images, permutation, ones), images)
    assert torch.equal(blend(images, permutation, 0 * ones), images[permutation])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_complement_with_swapped_images_is_the_same_picture(size):
    images = images_of(size=size)
    permutation = torch.randperm(12, generator=stream(0, "pairs"))
    masks = torch.rand(12, 1, *size, generator=stream(0, "masks"))
    inverse = torch.argsort(permutation)
    # pair (i, p[i]) under m equals pair (p[i], i) under 1 - m
    swapped = blend(images, inverse, 1 - masks[inverse])[permutation]
    torch.testing.assert_close(blend(images, permutation, masks), swapped, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(12, 3, 8, 9), (64, 3, 40, 40), (3, 1, 512, 600), (2, 2, 7)], ids=str)
@pytest.mark.parametrize("gradient", [False, True])
def test_blend_is_the_plain_formula(shape, gradient):
    images = torch.rand(shape, generator=stream(0, "images")).requires_grad_(gradient)
    permutation = torch.randperm(shape[0], generator=stream(0, "pairs"))
    for masks in (
        torch.rand(shape[0], 1, *shape[2:], generator=stream(0, "masks")),
        torch.rand(shape[0], 1, *[1] * len(shape[2:]), generator=stream(0, "masks")).expand(-1, 1, *shape[2:]),
        torch.rand(1, 1, *shape[2:], generator=stream(0, "masks")).expand(shape[0], 1, *shape[2:]),
    ):
        expected = masks * images + (1 - masks) * images[permutation]
        torch.testing.assert_close(blend(images, permutation, masks), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(40, 3, 32, 32), (3, 3, 224, 230), (2, 1, 5, 200, 201), (2, 2, 300_000)], ids=str)
def test_blend_is_the_same_on_any_number_of_threads_and_into_a_buffer(shape, threads):
    images = torch.rand(shape, generator=stream(0, "images"))
    permutation = torch.randperm(shape[0], generator=stream(0, "pairs"))
    masks = torch.rand(shape[0], 1, *shape[2:], generator=stream(0, "masks"))
    before, out = torch.get_num_threads(), torch.full_like(images, float("nan"))
    try:
        torch.set_num_threads(threads)
        assert blend(images, permutation, masks, out=out) is out
    finally:
        torch.set_num_threads(before)
    torch.testing.assert_close(out, torch.lerp(images[permutation], images, masks), rtol=0, atol=1e-6)


def test_a_bad_buffer_is_refused():
    images, permutation, masks = images_of(), torch.arange(12), torch.ones(12, 1, 8, 9)
    with pytest.raises(ValueError, match=r"out: expected a contiguous torch.float32 tensor of shape \(12, 3, 8, 9\)"):
        blend(images, permutation, masks, out=torch.empty(12, 3, 8, 8))
    with pytest.raises(ValueError, match=r"out: expected other memory than the images'"):
        blend(images, permutation, masks, out=images)
    with pytest.raises(ValueError, match=r"out: expected a contiguous"):
        mix(images, labels_of(), MixUp(), generator=stream(0, "mix"), out=torch.empty(2))


def test_blend_keeps_layout_free_inputs_dtype_and_gradients():
    images = images_of().double()
    permutation = torch.arange(11, -1, -1)
    masks = sample_masks(FMix(), 12, (8, 9), generator=stream(0, "masks")).masks
    expected = blend(images, permutation, masks)
    assert expected.dtype == torch.float64
    assert torch.equal(blend(images.to(memory_format=torch.channels_last), permutation, masks), expected)
    leaf = images.clone().requires_grad_()
    blend(leaf, permutation, masks).sum().backward()
    # a pixel counts where it is kept and where its partner lets it in
    torch.testing.assert_close(leaf.grad, (masks + (1 - masks[permutation])).double().expand_as(leaf))


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_mix_is_the_formula_on_the_masks_of_its_stream_and_leaves_inputs_alone(family, size):
    images, labels = images_of(size=size), labels_of()
    copies = images.clone(), labels.clone()
    mixed = mix(images, labels, family, generator=stream(0, "mix"))
    assert torch.equal(images, copies[0]) and torch.equal(labels, copies[1])
    assert sorted(mixed.permutation.tolist()) == list(range(12))
    assert torch.equal(mixed.labels_a, labels) and torch.equal(mixed.labels_b, labels[mixed.permutation])
    generator = stream(0, "mix")
    take_key(generator)  # the pairs come first
    masks = sample_masks(family, 12, size, generator=generator)
    expected = masks.masks * images + (1 - masks.masks) * images[mixed.permutation]
    torch.testing.assert_close(mixed.images, expected, rtol=0, atol=1e-6)
    assert torch.equal(mixed.lam, masks.lam)


def test_label_weight_is_what_is_kept():
    images = torch.zeros(12, 1, 8, 8)
    images[0] = 1.0  # marks the pixels of image 0
    mixed = mix(images, labels_of(), CutMix(), generator=stream(3, "mix"))
    assert mixed.permutation[0] != 0
    torch.testing.assert_close(mixed.images[0].mean(), mixed.lam[0])


def test_same_stream_same_batch_and_calls_differ():
    assert torch.equal(mixed_with(FMix()).images, mixed_with(FMix()).images)
    assert not torch.equal(mixed_with(FMix()).images, mixed_with(FMix(), seed=1).images)
    generator = stream(0, "mix")
    first, second = (mix(images_of(), labels_of(), FMix(), generator=generator) for _ in range(2))
    assert not torch.equal(first.permutation, second.permutation)
    assert not torch.equal(first.lam, second.lam)


def test_per_batch_reformulate_and_policy_reach_the_labels():
    assert len(mixed_with(MixUp(per_batch=True)).lam.unique()) == 1
    reformulated = mixed_with(FMix(reformulate=True))
    assert torch.equal(reformulated.lam, torch.ones(12))
    logits = torch.randn(12, 10, generator=stream(0, "logits"))
    torch.testing.assert_close(reformulated.loss(logits), functional.cross_entropy(logits, labels_of()))
    assert not torch.equal(mixed_with(CutMix()).lam, mixed_with(CutMix(lam_policy="nominal")).lam)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_loss_is_the_cross_entropy_with_the_soft_labels(family):
    logits = torch.randn(12, 10, generator=stream(1, "logits"), dtype=torch.float64)
    integer = mixed_with(family)
    soft = mix(images_of(), functional.one_hot(labels_of(), 10).double(), family, generator=stream(0, "mix"))
    expected = functional.cross_entropy(logits, integer.soft_labels(10).double())
    torch.testing.assert_close(integer.loss(logits), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(soft.loss(logits), expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(soft.soft_labels(10).float(), integer.soft_labels(10))
    torch.testing.assert_close(integer.soft_labels(10).sum(1), torch.ones(12))


def test_alternate_starts_with_the_first_listed():
    turn = Alternate(FMix(), MixUp())
    for step in (0, 1, 2):
        by_step, by_count = mixed_with(turn, step=step), mixed_with(turn)
        expected = mixed_with(FMix() if step % 2 == 0 else MixUp())
        assert torch.equal(by_step.images, expected.images) and torch.equal(by_count.images, expected.images)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"images": torch.zeros(1, 3, 8, 8), "labels": torch.zeros(1, dtype=torch.int64)}, ValueError,
         r"images: expected at least 2 samples, got 1"),
        ({"images": torch.zeros(4, 8)}, ValueError, r"images: expected \[n, channel, length\]"),
        ({"images": torch.zeros(4, 3, 8, 8, dtype=torch.uint8)}, TypeError, r"images: expected a floating dtype"),
        ({"images": torch.full((4, 3, 8, 8), float("nan"))}, ValueError, r"images: expected finite values, got 768 NaN"),
        ({"images": torch.zeros(4, 3, 8, 8).index_fill_(0, torch.tensor([2]), float("inf"))}, ValueError,
         r"images: expected finite values, got 192 NaN or infinite, the first at \(2, 0, 0, 0\)"),
        ({"labels": torch.zeros(5, dtype=torch.int64)}, ValueError, r"labels: expected 4 labels, one per image, got 5"),
        ({"labels": torch.zeros(4)}, TypeError, r"labels: expected int64 \[n\] or float \[n, classes\]"),
        ({"family": "mixup"}, TypeError, r"family: expected one of MixUp\(\), .*, or Alternate\(...\); got 'mixup'"),
    ],
)  # fmt: skip
def test_mix_says_what_is_wrong(change, error, message):
    request = {
        "images": torch.zeros(4, 3, 8, 8),
        "labels": torch.zeros(4, dtype=torch.int64),
        "family": FMix(),
        **change,
    }
    with pytest.raises(error, match=message):
        mix(*request.values(), generator=stream(0, "mix"))


def test_validation_can_be_switched_off():
    images = torch.full((4, 3, 8, 8), float("nan"))
    mixed = mix(images, labels_of(4), MixUp(), generator=stream(0, "mix"), validate=False)
    assert bool(mixed.images.isnan().all())


def test_transform_is_called_like_torchvisions():
    images, soft = MixTransform(FMix(), num_classes=10)(images_of(), labels_of())
    assert images.shape == (12, 3, 8, 9) and soft.shape == (12, 10) and soft.dtype == torch.float32
    torch.testing.assert_close(soft.sum(1), torch.ones(12))


def test_transform_owns_its_stream():
    first, second = MixTransform(FMix(), 10, seed=4), MixTransform(FMix(), 10, seed=4)
    before = torch.get_rng_state()
    runs = [[transform(images_of(), labels_of())[0] for _ in range(3)] for transform in (first, second)]
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))
    assert not torch.equal(runs[0][0], runs[0][1])
    assert not torch.equal(MixTransform(FMix(), 10, seed=5)(images_of(), labels_of())[0], runs[0][0])


def test_transform_mixes_with_probability_p():
    transform = MixTransform(MixUp(), 10, p=0.5)
    images = images_of()
    untouched = sum(torch.equal(transform(images, labels_of())[0], images) for _ in range(200))
    assert abs(untouched - 100) < 5 * 200**0.5 / 2
    never, labels = MixTransform(MixUp(), 10, p=0.0)(images, labels_of())
    assert torch.equal(never, images) and torch.equal(labels, functional.one_hot(labels_of(), 10).float())


def test_transform_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"p: expected a number in \[0.0, 1.0\], got 1.5"):
        MixTransform(FMix(), 10, p=1.5)
    with pytest.raises(ValueError, match=r"labels: expected classes in 0..9, got 3..12"):
        MixTransform(FMix(), 10)(images_of(2), torch.tensor([3, 12]))
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(ValueError, match=r"num_classes: expected an integer >= 1, got"):
            MixTransform(FMix(), wrong)
    with pytest.raises(ValueError, match=r"rank: expected an integer >= 0, got -1"):
        MixTransform(FMix(), 10, rank=-1)
    assert repr(MixTransform(MixUp(), 10)).startswith("MixTransform(MixUp(")


class MixingCollate:
    """Collate in the worker: every batch shows the same images, so any difference comes from the draws."""

    def __init__(self) -> None:
        self.transform = MixTransform(FMix(), num_classes=10, seed=0)

    def __call__(self, samples):
        return self.transform(*default_collate(samples))[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_loader_workers_and_epochs_differ_and_a_rerun_is_equal():
    picture = torch.arange(4 * 64.0).view(4, 1, 8, 8)
    dataset = TensorDataset(picture.repeat(4, 1, 1, 1), torch.zeros(16, dtype=torch.int64))

    def two_epochs() -> list[torch.Tensor]:
        loader = DataLoader(
            dataset, batch_size=4, num_workers=2, collate_fn=MixingCollate(), generator=torch.Generator().manual_seed(1)
        )
        return [batch for _ in range(2) for batch in loader]

    batches = two_epochs()
    assert len(batches) == 8
    for i, left in enumerate(batches):
        assert not any(torch.equal(left, right) for right in batches[:i])
    assert all(torch.equal(left, right) for left, right in zip(batches, two_epochs(), strict=True))


class TurnsCollate:
    """Collate in the worker: whether it was MixUp's turn, which alone makes grey out of black and white."""

    def __init__(self) -> None:
        self.transform = MixTransform(Alternate(FMix(), MixUp()), num_classes=2)

    def __call__(self, samples):
        images = self.transform(*default_collate(samples))[0]
        return bool(((images > 0) & (images < 1)).any())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:This DataLoader will create:UserWarning")
@pytest.mark.parametrize("workers", [0, 1, 3, 4])
def test_turns_count_over_loader_workers(workers):
    pictures = (torch.rand(48, 1, 8, 8, generator=stream(0, "images")) < 0.5).float()
    dataset = TensorDataset(pictures, torch.zeros(48, dtype=torch.int64))
    seeded = torch.Generator().manual_seed(1)
    loader = DataLoader(dataset, 8, num_workers=workers, collate_fn=TurnsCollate(), generator=seeded)
    assert [list(loader) for _ in range(2)] == [[False, True] * 3] * 2


def test_turns_without_a_step_count_over_loader_workers(monkeypatch):
    family = Alternate(FMix(), MixUp(), CutMix())
    for worker in range(4):
        info = SimpleNamespace(id=worker, num_workers=4)
        monkeypatch.setattr(torch.utils.data, "get_worker_info", lambda info=info: info)
        found = [Alternate(*family.families)] * 3
        assert [turn.at() for turn in found] == [family.families[(4 * use + worker) % 3] for use in range(3)]


def transformed(**settings) -> torch.Tensor:
    return MixTransform(FMix(), 10, **settings)(images_of(), labels_of())[0]


def test_ranks_draw_differently_from_one_seed(monkeypatch):
    alone = transformed()
    first, second = transformed(rank=1), transformed(rank=2)
    assert torch.equal(alone, transformed(rank=0)) and torch.equal(first, transformed(rank=1))
    assert not any(torch.equal(*pair) for pair in ((alone, first), (alone, second), (first, second)))
    early = pickle.dumps(MixTransform(FMix(), 10))  # before processes know their rank
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 2)
    assert torch.equal(transformed(), second) and torch.equal(transformed(rank=1), first)
    assert torch.equal(pickle.loads(early)(images_of(), labels_of())[0], second)
    spawned = pickle.dumps(MixTransform(FMix(), 10))
    monkeypatch.undo()
    assert torch.equal(pickle.loads(spawned)(images_of(), labels_of())[0], second)


@pytest.mark.parametrize("size", [(8, 9), (4, 5, 6), (40, 41)], ids=str)
@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("family", [FMix(), MixUp()], ids=repr)
def test_channels_last_stays(family, gradient, size):
    layout = torch.channels_last if len(size) == 2 else torch.channels_last_3d
    images = images_of(size=size).to(memory_format=layout).requires_grad_(gradient)
    spatial = len(size)
    mixed = mix(images, labels_of(), family, generator=stream(0, "mix"), spatial=spatial).images
    expected = mix(images.contiguous(), labels_of(), family, generator=stream(0, "mix"), spatial=spatial).images
    assert mixed.is_contiguous(memory_format=layout) and expected.is_contiguous()
    assert torch.equal(mixed, expected)
    if not gradient:
        out = torch.empty_like(images)
        permutation, masks = torch.arange(11, -1, -1), torch.rand(12, 1, *size, generator=stream(0, "masks"))
        assert blend(images, permutation, masks, out=out) is out
        assert torch.equal(out, blend(images.contiguous(), permutation, masks))
        with pytest.raises(ValueError, match=r"out: expected a channels-last torch.float32 tensor"):
            blend(images, permutation, masks, out=torch.empty(images.shape))


@pytest.mark.parametrize("entries", [1, 3, 4])
def test_five_axes_that_may_be_video_need_a_word(entries):
    videos = torch.rand(4, 6, entries, 8, 9, generator=stream(0, "images"))
    words = r"shape \(4, 6, \d, 8, 9\) may be videos .* or volumes .*; give spatial=2 for .*, or spatial=3 for"
    with pytest.raises(ValueError, match=words):
        mix(videos, labels_of(4), FMix(), generator=stream(0, "mix"))
    with pytest.raises(ValueError, match=words):
        MixTransform(FMix(), 10)(videos, labels_of(4))
    volumes = mix(videos, labels_of(4), FMix(), generator=stream(0, "mix"), spatial=3)
    generator = stream(0, "mix")
    take_key(generator)
    masks = sample_masks(FMix(), 4, (entries, 8, 9), generator=generator).masks
    torch.testing.assert_close(volumes.images, torch.lerp(videos[volumes.permutation], videos, masks))
    soft, _ = MixTransform(FMix(), 10, spatial=3)(videos, labels_of(4))
    assert soft.shape == videos.shape


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("family", [FMix(), MixUp(), CutMix()], ids=repr)
def test_a_video_gets_one_mask_over_frames_and_colors(family, gradient):
    videos = torch.rand(4, 6, 3, 8, 9, generator=stream(0, "images")).requires_grad_(gradient)
    generator = stream(0, "mix")
    out = None if gradient else torch.empty_like(videos)
    mixed = mix(videos, labels_of(4), family, generator=generator, spatial=2, out=out)
    generator = stream(0, "mix")
    take_key(generator)
    batch = sample_masks(family, 4, (8, 9), generator=generator)
    expected = torch.lerp(videos[mixed.permutation], videos, batch.masks[:, None])
    torch.testing.assert_close(mixed.images, expected, rtol=0, atol=1e-6)
    assert torch.equal(mixed.lam, batch.lam) and (gradient or mixed.images is out)
    transform = MixTransform(family, 10, spatial=2)
    changed = (transform(videos.detach(), labels_of(4))[0] - videos.detach()).abs().amax((1, 2)) > 0
    assert changed.shape == (4, 8, 9)


@pytest.mark.parametrize("spatial", [0, 3, 2.5, True])
def test_spatial_axes_that_are_not_there_are_refused(spatial):
    with pytest.raises(ValueError, match=r"spatial: expected (one of 1, 2; got 3|an integer >= 1, got )"):
        mix(images_of(), labels_of(), FMix(), generator=stream(0, "mix"), spatial=spatial)


@pytest.mark.parametrize("family", [FMix(), FMix(spectrum="released"), CutMix()], ids=repr)
@pytest.mark.filterwarnings("ignore")  # the compiler's, about graph breaks
def test_mixing_works_inside_a_compiled_function(family):
    def twice(images):
        mixed = mix(2 * images, labels_of(), family, generator=generator, step=0)
        return mixed.images + 1, mixed.lam

    runs = []
    for step in (torch.compile(twice, backend="eager"), twice):
        generator = stream(0, "mix")
        runs.append([step(images_of()) for _ in range(2)])
    for (found, found_lam), (expected, expected_lam) in zip(*runs, strict=True):
        assert torch.equal(found, expected) and torch.equal(found_lam, expected_lam)
    assert not torch.equal(runs[0][0][0], runs[0][1][0])
    torch.compiler.reset()
