"""sample_masks: contract, purity of the draws, and what it refuses."""

import random
import threading

import numpy as np
import pytest
import threadpoolctl
import torch

from msda_analysis import Alternate, CutMix, FMix, MixUp, sample_masks
from msda_analysis.masks import backends, fourier, fourier_cpu, masks_at, sampling
from msda_analysis.masks.blocks import one_blas_thread, run_on_threads
from msda_analysis.rng import philox_uniforms, stream, take_key

FAMILIES = [
    MixUp(), CutMix(), CutMix(geometry="inside"), FMix(), FMix(spectrum="released"), FMix(max_soft=0.2),
    FMix(spectrum="released", max_soft=0.3), FMix(alpha=0.3, decay_power=1.5),
]  # fmt: skip
SIZES = [(1,), (9,), (1, 1), (8, 8), (7, 12), (3, 4, 5)]


def draw(family, n=6, size=(8, 8), seed=0, **more):
    return sample_masks(family, n, size, generator=stream(seed, "masks"), **more)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_contract(family, size):
    batch = draw(family, 50, size)
    assert batch.masks.shape == (50, 1, *size) and batch.masks.dtype == torch.float32
    assert batch.lam.shape == batch.drawn_lam.shape == (50,) and batch.lam.dtype == torch.float32
    assert float(batch.masks.min()) >= 0 and float(batch.masks.max()) <= 1
    torch.testing.assert_close(batch.lam, batch.masks.flatten(1).mean(1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", [CutMix(), FMix(), FMix(spectrum="released")], ids=repr)
def test_hard_masks_hold_zeros_and_ones(family):
    assert set(draw(family, 200, (7, 12)).masks.unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("size", [(9,), (32, 32), (31, 33), (150, 130), (5, 6, 7)], ids=str)
@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_first_k_of_n_equal_a_batch_of_k(family, size):
    many = draw(family, 70, size)
    for k in (1, 8, 69):
        few = draw(family, k, size)
        assert torch.equal(few.masks, many.masks[:k])
        assert torch.equal(few.lam, many.lam[:k]) and torch.equal(few.drawn_lam, many.drawn_lam[:k])


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_same_state_same_masks_whatever_ran_before(family):
    first = draw(family)
    for other in FAMILIES:  # other draws, other sizes, the global generators
        draw(other, 3, (5, 5), seed=9)
    torch.rand(10)
    assert torch.equal(draw(family).masks, first.masks)
    assert not torch.equal(draw(family, seed=1).masks, first.masks)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_the_number_of_threads_does_not_matter(family):
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = draw(family, 300, (16, 16)).masks
        torch.set_num_threads(2)
        assert torch.equal(draw(family, 300, (16, 16)).masks, one)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_generator_advances_by_one_key_and_calls_differ(family):
    left, right = stream(0, "masks"), stream(0, "masks")
    first = sample_masks(family, 4, (8, 8), generator=left)
    sample_masks(MixUp(), 9, (3,), generator=right)
    assert torch.equal(left.get_state(), right.get_state())
    assert not torch.equal(sample_masks(family, 4, (8, 8), generator=left).masks, first.masks)


def test_no_global_generator_is_touched():
    before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    for family in FAMILIES:
        draw(family)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert random.getstate() == before[2]


@pytest.mark.parametrize("max_soft", [0.0, 0.2])
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_isotropic_masks_keep_the_nearest_count(device, max_soft):
    family = FMix(max_soft=max_soft)
    if device == "meta":  # stands for a GPU: no coins are made there either
        assert family._round_up(4, 3, torch.device(device)) is None
        return
    batch = draw(family, 2000, (7, 7))
    for kept in (batch.masks.double().sum((1, 2, 3)), batch.lam.double() * 49):
        assert float((kept - batch.drawn_lam.double() * 49).abs().max()) < 0.5 + 1e-4


@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
def test_no_two_masks_of_a_batch_are_equal_across_blocks(spectrum, monkeypatch):
    monkeypatch.setattr(fourier_cpu, "_BLOCK_CELLS", 3 * 144)  # three masks a block
    family = FMix(spectrum=spectrum)
    fields = fourier_cpu.sample_masks(family, torch.full((12,), 0.5, dtype=torch.float64), size=(12, 12), key=1)
    assert len({mask.numpy().tobytes() for mask in fields}) == 12


def test_soft_masks_are_rounded_by_the_coins_they_are_given(monkeypatch):
    monkeypatch.setattr(fourier_cpu, "_BLOCK_CELLS", 2 * 49)  # several blocks, each with its own coins
    coins, lam = torch.tensor([True, False, False, True, True]), torch.full((5,), 0.45, dtype=torch.float64)
    family = FMix(spectrum="released", max_soft=0.2)
    for sample in (fourier_cpu.sample_masks, fourier.sample_masks):
        masks = sample(family, lam, size=(7, 7), key=2, round_up=coins)
        torch.testing.assert_close(masks.sum((1, 2, 3)), 22.0 + coins)


def test_coins_do_not_follow_lambda():
    batch = draw(FMix(spectrum="released"), 4000, (7, 7))
    is_up = (batch.masks.double().sum((1, 2, 3)) > batch.drawn_lam.double() * 49).double()
    low, high = (is_up[batch.drawn_lam < 0.5], is_up[batch.drawn_lam >= 0.5])
    assert abs(float(low.mean() - high.mean())) < 5 * (0.25 / len(low) + 0.25 / len(high)) ** 0.5


def test_every_purpose_has_its_own_key():
    for device in ("cpu", "meta"):  # the second stands for a GPU
        assert len(set(sampling._sub_keys(7, torch.device(device)).values())) == len(sampling.PURPOSES)


@pytest.mark.parametrize("family", [MixUp, FMix])
def test_per_batch_gives_one_mask_and_one_lambda(family):
    batch = draw(family(per_batch=True), 5)
    assert batch.masks.shape == (5, 1, 8, 8)
    assert torch.equal(batch.masks, batch.masks[:1].expand(5, 1, 8, 8)) and len(batch.lam.unique()) == 1
    assert torch.equal(batch.masks[0], draw(family(), 1).masks[0])


def test_nominal_weights_are_the_drawn_lambda():
    kept, nominal = draw(CutMix(), 300), draw(CutMix(lam_policy="nominal"), 300)
    assert torch.equal(kept.masks, nominal.masks) and torch.equal(nominal.lam, nominal.drawn_lam)
    assert float((nominal.lam - kept.lam).abs().mean()) > 0.1  # the label noise of the nominal policy


def test_alternate_by_step_and_by_count():
    turn = Alternate(FMix(), MixUp())
    hard = [set(draw(turn, step=step).masks.unique().tolist()) <= {0.0, 1.0} for step in (0, 1, 2, 3)]
    assert hard == [True, False, True, False]
    assert [set(draw(turn).masks.unique().tolist()) <= {0.0, 1.0} for _ in range(3)] == [True, False, True]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n": 0}, ValueError, r"n: expected an integer >= 1, got 0"),
        ({"n": 2.0}, ValueError, r"n: expected an integer >= 1, got 2.0"),
        ({"size": (4, 0)}, ValueError, r"size \(4, 0\): expected an integer >= 1, got 0"),
        ({"size": 8}, ValueError, r"size: expected 1, 2 or 3 lengths such as \(32, 32\), got 8"),
        ({"generator": 3}, TypeError, r"generator: expected a torch.Generator \(see msda_analysis.rng.stream\), got 3"),
        ({"backend": "cuda"}, ValueError, r"backend: expected one of 'auto', 'numpy', 'torch', 'triton'; got 'cuda'"),
        ({"family": "fmix"}, TypeError, r"family: expected one of MixUp\(\), .*, or Alternate\(...\); got 'fmix'"),
    ],
)
def test_what_is_refused(arguments, error, message):
    request = {"family": FMix(), "n": 2, "size": (4, 4), "generator": stream(0, "masks"), **arguments}
    family, n, size = (request.pop(name) for name in ("family", "n", "size"))
    with pytest.raises(error, match=message):
        sample_masks(family, n, size, **request)


def test_triton_that_cannot_run_says_why(monkeypatch):
    request = {"generator": stream(0, "masks"), "backend": "triton"}
    monkeypatch.setattr(backends, "has_triton", lambda: False)
    with pytest.raises(ValueError, match=r'backend: "triton" was asked for, but Triton is not installed'):
        sample_masks(FMix(), 2, (4, 4), **request)
    monkeypatch.undo()
    pytest.importorskip("triton", reason="triton is not installed")
    with pytest.raises(ValueError, match=r'backend: "triton" needs a CUDA device, got cpu; use "auto" or "torch"'):
        sample_masks(FMix(), 2, (4, 4), **request)


def test_each_backend_is_what_its_name_says():
    key, draws = take_key(stream(0, "masks")), {}
    keys = sampling._sub_keys(key, torch.device("cpu"))
    for backend in ("auto", "numpy", "torch"):
        draws[backend] = sampling.masks_from_key(FMix(), 6, (7, 12), key, torch.device("cpu"), backend=backend)
    lam = FMix().draw_lam(6, keys["lam"], torch.device("cpu"))
    expected = {"numpy": fourier_cpu.sample_masks, "torch": fourier.sample_masks}
    for backend, sample in expected.items():
        assert torch.equal(draws[backend].masks, sample(FMix(), lam, size=(7, 12), key=keys["noise"]))
    assert torch.equal(draws["auto"].masks, draws["numpy"].masks)
    assert not torch.equal(draws["torch"].masks, draws["numpy"].masks)
    assert torch.equal(draws["torch"].lam, draws["numpy"].lam), "only the noise differs"


def test_the_backend_of_another_device_is_refused():
    with pytest.raises(ValueError, match=r'backend: "numpy" makes masks on a CPU, got meta; use "auto" or "torch"'):
        sample_masks(FMix(), 2, (4, 4), generator=stream(0, "masks"), device="meta", backend="numpy")


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_the_method_of_each_family_alone_makes_masks_of_its_law(family):
    """`sample`, the one method that a family of one's own has: what it keeps is lambda, and the key decides."""
    lam, device = torch.linspace(0, 1, 200, dtype=torch.float64), torch.device("cpu")
    masks = family.sample(lam, (16, 16), key=5, device=device)
    assert masks.shape == (200, 1, 16, 16) and masks.dtype == torch.float32
    assert torch.equal(masks, family.sample(lam, (16, 16), key=5, device=device))
    kept = masks.double().mean((1, 2, 3))
    if family == CutMix():
        assert bool((kept >= lam - 0.05).all()), "a box cut at the border takes less"
    else:
        assert float((kept - lam).abs().max()) < 0.07, "a box has whole sides"
    if not isinstance(family, MixUp):
        assert not torch.equal(masks, family.sample(lam, (16, 16), key=6, device=device))


@pytest.mark.parametrize("size", [(9,), (7, 12), (70, 5), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
def test_cpu_fields_are_the_reference_on_the_same_noise(spectrum, size):
    family, work = FMix(spectrum=spectrum), fourier_cpu.Workspace()
    is_short = fourier.has_short_axes(size)
    shape = size if is_short and spectrum == "isotropic" else fourier.noise_shape(size, spectrum)
    noise = torch.randn(5, *shape, generator=stream(1, "noise"))
    if spectrum == "released":
        makers = fourier.released_fields, fourier_cpu.released_fields
    else:
        makers = [(where.product_fields if is_short else where.isotropic_fields) for where in (fourier, fourier_cpu)]
    expected = makers[0](noise, size, family.decay_power)
    found = torch.from_numpy(makers[1](noise.numpy().copy(), size, family.decay_power, work))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("family", FAMILIES, ids=repr)
def test_a_tensor_as_key_gives_the_masks_of_its_value(family):
    key = take_key(stream(3, "masks"))
    batches = [sampling.masks_from_key(family, 5, (7, 12), k, torch.device("cpu")) for k in (key, torch.tensor(key))]
    assert torch.equal(batches[0].masks, batches[1].masks) and torch.equal(batches[0].lam, batches[1].lam)


@pytest.mark.parametrize("size", [(9,), (7, 12), (70, 5), (3, 4, 5)], ids=str)
@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
def test_counter_based_masks_take_a_tensor_as_key(spectrum, size):
    key, lam, family = take_key(stream(3, "masks")), philox_uniforms(7, 4)[:, 0], FMix(spectrum=spectrum)
    masks = [
        fourier.sample_masks(family, lam, size=size, key=k) for k in (key, torch.tensor(key), torch.tensor(key + 1))
    ]
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


@pytest.mark.parametrize("key", [torch.zeros(1, dtype=torch.int64), torch.tensor(1.0), torch.zeros((), device="meta")])
def test_a_tensor_that_is_no_key_is_refused(key):
    with pytest.raises(ValueError, match=r"key: expected an integer or a 0-d torch.int64 tensor on cpu, got torch\."):
        sampling.masks_from_key(FMix(), 2, (4, 4), key, torch.device("cpu"))


def test_a_key_on_a_device_needs_alpha_one():
    meta = torch.device("meta")  # stands for a GPU, whose key the host may not read
    with pytest.raises(ValueError, match=r"key: expected an integer, since lambda is drawn .* at alpha = 0.3"):
        FMix(alpha=0.3).draw_lam(2, torch.zeros((), dtype=torch.int64, device=meta), meta)


@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
def test_counter_based_masks_have_the_same_law(spectrum):
    """The draws of the GPU path, on a CPU: perimeter and first lambda moments as the default path's."""
    n, family = 3000, FMix(spectrum=spectrum)
    lam = philox_uniforms(7, n)[:, 0]
    masks = fourier.sample_masks(family, lam, size=(16, 16), key=8)[:, 0]
    other = draw(family, n, (16, 16)).masks[:, 0]
    for axis in (1, 2):
        edges = [(m.diff(dim=axis) != 0).sum((1, 2)).double() for m in (masks, other)]
        error = (sum(float(count.var()) for count in edges) / n) ** 0.5
        assert abs(float(edges[0].mean() - edges[1].mean())) < 5 * error


def test_a_failure_on_a_thread_reaches_the_caller():
    def work(task):
        raise RuntimeError(f"task {task}")

    with pytest.raises(RuntimeError, match="task 0"):
        run_on_threads(work, 1)
    with pytest.raises(RuntimeError, match=r"task \d"):
        run_on_threads(work, 5)


def test_tasks_keep_torch_and_blas_to_their_own_thread_and_leave_the_settings_as_they_were():
    torch.set_num_threads(2)
    try:
        inside, gate = [], threading.Barrier(2, timeout=10)

        def work(task):
            gate.wait()  # both threads are at work
            inside.append((threading.get_ident(), torch.get_num_threads()))

        with one_blas_thread():
            run_on_threads(work, 2)
            within = [
                library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas"
            ]
        assert len({ident for ident, _ in inside}) == 2 and [threads for _, threads in inside] == [1, 1]
        assert within and set(within) == {1} and torch.get_num_threads() == 2
        with pytest.raises(RuntimeError):
            run_on_threads(lambda task: (_ for _ in ()).throw(RuntimeError), 2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_few_tasks_start_no_thread():
    torch.set_num_threads(2)
    try:
        idents = set()
        run_on_threads(lambda task: idents.add(threading.get_ident()), 3, tasks_per_thread=2)
        assert idents == {threading.get_ident()}
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    "family", [MixUp(alpha=0.2), FMix(per_batch=True), CutMix(geometry="inside", reformulate=True)]
)
def test_masks_at_one_lambda_keep_it_and_differ(family):
    masks = masks_at(family, 0.25, 6, (32, 32), generator=stream(0, "masks"))
    assert masks.shape == (6, 1, 32, 32) and torch.equal(
        masks, masks_at(family, 0.25, 6, (32, 32), generator=stream(0, "masks"))
    )
    torch.testing.assert_close(masks.flatten(1).mean(1), torch.full((6,), 0.25), atol=0.02, rtol=0)
    assert isinstance(family, MixUp) or len({mask.numpy().tobytes() for mask in masks}) > 4
    with pytest.raises(ValueError, match=r"lam: expected a share in \[0, 1\], got 1.5"):
        masks_at(family, 1.5, 2, (8, 8), generator=stream(0, "masks"))
