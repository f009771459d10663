"""What a probe batch tells is read back as it was; what cannot be read is said to be so."""

from typing import Any

import numpy as np
import pytest
import torch
from audit_cases import blend, right_mixup

from msda_analysis.audit import audit, audit_rows
from msda_analysis.audit.probe import Undecodable, decode_images, decode_labels, probe_images, split_result
from msda_analysis.mixing.seeds import global_seeds


def test_masks_and_partners_come_back_as_they_were():
    torch.manual_seed(0)
    permutation = torch.tensor([1, 2, 3, 4, 5, 6, 7, 0])
    masks = torch.rand(8, 1, 5, 6)
    mixed = blend(probe_images(8, (5, 6)), permutation, masks)
    found, partner, is_mix = decode_images(mixed.double(), 8)
    assert is_mix
    assert partner.tolist() == permutation.tolist()
    assert torch.allclose(found, masks[:, 0].double(), atol=1e-5)


def test_every_form_of_labels_says_the_same():
    labels, permutation = torch.arange(4), torch.tensor([1, 0, 3, 2])
    lam = torch.tensor([0.9, 0.8, 0.7, 0.6])
    rows = torch.stack([labels.float(), permutation.float(), lam], 1)
    matrix = torch.diag(lam)
    matrix[labels, permutation] = 1 - lam
    for info in (matrix, rows, rows[None], (labels, permutation, lam)):
        decoded = decode_labels(info, 4, 4)
        assert decoded.partner.tolist() == permutation.tolist()
        assert decoded.weight.tolist() == pytest.approx(lam.tolist())
    shared = decode_labels((labels, permutation, 0.5), 4, 4)
    assert shared.weight.tolist() == [0.5] * 4


def test_results_of_another_form_are_refused():
    with pytest.raises(Undecodable, match=r"expected soft labels \(4, 6\).*got \(2, 2\)"):
        decode_labels(torch.zeros(2, 2), 4, 6)
    with pytest.raises(Undecodable, match=r"expected \(mixed images, label information\), got Tensor"):
        split_result(torch.zeros(3))
    short = audit(lambda x, y: (x[:, :, :4], y))["two_images"]
    assert short.answer == "result not understood"
    assert "expected mixed images of shape (8, 3, 32, 32), got (8, 3, 4, 32)" in short.note
    bare: Any = lambda x, y: x  # noqa: E731 - returns no labels
    assert audit(bare)["two_images"].verdict == "not applicable"


def test_an_implementation_that_fails_is_one_finding():
    def failing(images, labels):
        raise RuntimeError("no such backend")

    (row,) = audit_rows([failing])
    assert (row["subject"], row["check"]) == ("failing", "two_images")
    assert (row["verdict"], row["answer"]) == ("fault", "failed")
    assert "no such backend" in row["note"]


def test_global_random_state_is_put_back():
    import random

    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    expected = torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    random.seed(1)
    with global_seeds(5, 5, 5):
        _ = torch.rand(3), np.random.rand(3), random.random()  # noqa: NPY002
    audit(right_mixup, n_masks=50)
    assert (torch.rand(1), np.random.rand(), random.random()) == expected  # noqa: NPY002
