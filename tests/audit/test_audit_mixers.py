"""Families, mixers and texts of them are audited; those of this package and their papers agree."""

import sys

import pytest
import torch
from audit_cases import findings_of

from msda_analysis import Alternate, FMix, MixUp
from msda_analysis.audit.subject import as_subject, subject_from_path
from msda_analysis.masks import GridMix
from msda_analysis.mixing import SAGE, Mixed, ResizeMix, SaliencyMix

OWN = """
from dataclasses import dataclass
import torch
from msda_analysis import MaskFamily
from msda_analysis.mixing import Mixed

@dataclass(frozen=True)
class Left(MaskFamily):
    share: float = 0.5

    def sample(self, lam, size, *, key, device):
        masks = torch.zeros(len(lam), 1, *size)
        masks[..., : int(self.share * size[-1])] = 1
        return masks

def fade(images, labels, generator, lam=0.5):
    order = torch.randperm(len(images), generator=generator)
    weight = torch.full((len(images),), lam)
    return Mixed(torch.lerp(images[order], images, lam), labels, labels[order], weight, order)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_own.py").write_text(OWN, encoding="utf-8")
    yield
    sys.modules.pop("my_own", None)


def without_fault(findings):
    assert [(name, f.answer) for name, f in findings.items() if f.verdict == "fault"] == []
    return findings


def test_gridmix():
    findings = without_fault(findings_of(GridMix(), size=(32, 32)))
    assert findings["label_weight"].answer == "kept share" and findings["spectrum"].verdict == "ok"
    assert findings["coverage"].answer == "even" and findings["seed"].answer == "own seed"


def test_resizemix():
    findings = without_fault(findings_of(ResizeMix(), alpha=None))
    assert findings["label_weight"].answer == "kept share" and findings["box_sides"].answer == "odd and even"
    assert findings["pairing"].answer == "random permutation" and findings["own_generator"].answer == "generator"
    assert findings["soft_labels"].verdict == "ok"


def test_saliencymix():
    findings = without_fault(findings_of(SaliencyMix()))
    assert findings["label_weight"].answer == "kept share" and findings["labels_follow_images"].verdict == "ok"


def test_sage_with_a_fixed_network():
    findings = without_fault(findings_of(SAGE(), n_masks=60, size=(16, 16)))
    assert findings["label_weight"].answer == "kept share" and findings["labels_follow_images"].verdict == "ok"
    assert findings["same_place"].answer == "content moved or changed", "the partner is"


def test_texts_of_own_families_and_mixers(own):
    left = findings_of("my_own:Left(share=0.25)", n_masks=60)
    assert left["label_weight"].answer == "kept share"
    fade = findings_of("my_own:fade(lam=0.75)", n_masks=60)
    assert fade["lambda_law"].answer == "folded: at least 1/2" and fade["label_weight"].answer == "kept share"
    assert subject_from_path("my_own:fade").name == "my_own:fade"
    assert subject_from_path("resizemix(high=0.5)").name == "resizemix(high=0.5)"
    with pytest.raises(ValueError, match=r"subject: expected a path such as package.module:function, got 'blendmix'"):
        subject_from_path("blendmix")


def test_alternation_is_audited_too():
    findings = findings_of(Alternate(FMix(), MixUp()), n_masks=100)
    assert findings["two_images"].verdict == "ok" and findings["label_weight"].answer == "kept share"
    assert as_subject(FMix(alpha=0.3)).alpha == 0.3 and as_subject(SaliencyMix(alpha=0.4)).alpha == 0.4


def test_a_mixers_labels_are_judged_by_what_it_returns():
    def wrong(images, labels, generator):
        order = torch.randperm(len(images), generator=generator)
        lam = torch.rand(len(images), generator=generator)
        mixed = lam.view(-1, 1, 1, 1) * images + (1 - lam).view(-1, 1, 1, 1) * images[order]
        return Mixed(mixed, labels, labels[order], 1 - lam, order)

    assert findings_of(wrong)["label_weight"].fault == "B2"
