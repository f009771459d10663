"""lambda against its exact law."""

import pytest
import torch
from scipy import stats

from msda_analysis import CutMix, FMix, MixUp, sample_masks
from msda_analysis.masks import lam
from msda_analysis.rng import philox_uniforms, stream

CPU = torch.device("cpu")


@pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
@pytest.mark.parametrize("reformulate", [False, True])
def test_lambda_is_beta(alpha, reformulate):
    draws = MixUp(alpha=alpha, reformulate=reformulate).draw_lam(20_000, 7, CPU).numpy()
    law = stats.beta(alpha + 1 if reformulate else alpha, alpha)
    assert stats.kstest(draws, law.cdf).pvalue > 1e-4
    # the test has teeth: the other law is refused
    other = stats.beta(alpha if reformulate else alpha + 1, alpha)
    assert stats.kstest(draws, other.cdf).pvalue < 1e-10


@pytest.mark.parametrize("family", [MixUp(alpha=0.4), CutMix(alpha=0.4), FMix(alpha=0.4)], ids=repr)
def test_sampled_lambda_is_beta(family):
    drawn = sample_masks(family, 10_000, (2, 2), generator=stream(0, "masks")).drawn_lam
    assert stats.kstest(drawn.double().numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 1e-4


def test_first_draws_do_not_depend_on_the_count():
    family = FMix(alpha=0.3)
    assert torch.equal(family.draw_lam(50, 1, CPU)[:20], family.draw_lam(20, 1, CPU))
    assert not torch.equal(family.draw_lam(20, 1, CPU), family.draw_lam(20, 2, CPU))


def test_reformulated_labels_are_the_first_image():
    for family in (MixUp(reformulate=True), CutMix(reformulate=True, lam_policy="nominal"), FMix(reformulate=True)):
        batch = sample_masks(family, 500, (8, 8), generator=stream(0, "masks"))
        assert torch.equal(batch.lam, torch.ones(500))
        assert abs(float(batch.drawn_lam.mean()) - 2 / 3) < 5 * (1 / 18 / 500) ** 0.5  # Beta(2, 1)


@pytest.mark.parametrize("per_batch", [False, True])
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_a_reformulated_cutmix_with_nominal_weights_has_the_shifted_beta(alpha, per_batch):
    family = CutMix(alpha, reformulate=True, lam_policy="nominal", per_batch=per_batch)
    key = stream(0, "masks")
    n = 1 if per_batch else 4000
    drawn = torch.cat([sample_masks(family, n, (4, 4), generator=key).drawn_lam for _ in range(4000 // n)])
    assert stats.kstest(drawn.double().numpy(), stats.beta(alpha + 1, alpha).cdf).pvalue > 1e-4
    assert stats.kstest(drawn.double().numpy(), stats.beta(alpha, alpha).cdf).pvalue < 1e-10


@pytest.mark.parametrize("family", [FMix(), FMix(reformulate=True), CutMix(reformulate=True)], ids=repr)
def test_lambda_of_a_device_has_the_law_of_the_host(family, monkeypatch):
    """At alpha = 1 a GPU makes lambda from uniform numbers of its own."""
    monkeypatch.setattr(lam, "draw_uniforms", lambda key, n, count, device: philox_uniforms(key, n, count))
    drawn = family.draw_lam(20_000, 3, torch.device("meta")).numpy()
    first = 2 if family == FMix(reformulate=True) else 1
    assert stats.kstest(drawn, stats.beta(first, 1).cdf).pvalue > 1e-4
