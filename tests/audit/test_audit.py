"""The audit finds nothing in right implementations, names what peers do, and tells it as a table."""

from typing import Any, get_args

import pytest
from audit_cases import K, findings_of, right_cutmix, right_mixup

from msda_analysis import CutMix, FMix, MixTransform, MixUp
from msda_analysis.audit import (
    CHECKS,
    FAULTS,
    audit,
    audit_rows,
    audit_table,
    known_subjects,
    subject_from_path,
)
from msda_analysis.audit.findings import Verdict
from msda_analysis.audit.peers import own_subjects, torchvision_subjects


class TestRightOnesPass:
    @pytest.mark.parametrize("subject", [right_cutmix, right_mixup], ids=["cutmix", "mixup"])
    def test_a_right_implementation_has_no_fault(self, subject):
        findings = findings_of(subject)
        assert tuple(findings) == CHECKS
        assert not [f for f in findings.values() if f.verdict == "fault" or f.fault]
        assert findings["seed"].answer == "torch"
        assert findings["pairing"].answer == "random permutation"
        assert findings["odd_batch"].verdict == findings["soft_labels"].verdict == "ok"

    @pytest.mark.parametrize(
        "family", [MixUp(), CutMix(), FMix(), FMix(max_soft=0.2), CutMix(per_batch=True)], ids=repr
    )
    def test_our_families_differ_in_nothing(self, family):
        findings = findings_of(MixTransform(family, K))
        # one transform moves on from call to call, so only a fresh one repeats a batch; soft labels need that too
        stateful = {"seed", "soft_labels"}
        assert [k for k, f in findings.items() if k not in stateful and f.verdict in ("fault", "differs")] == []

    def test_a_fresh_transform_repeats_itself_without_global_seeds(self):
        findings = findings_of(own_subjects()[1])
        assert findings["seed"].answer == "own seed"
        assert findings["own_generator"].verdict == findings["soft_labels"].verdict == "ok"
        assert findings["apply_probability"].verdict == "ok"


class TestPeers:
    """What installed third-party packages do; these hold for the versions the project is tested with."""

    def test_torchvision(self):
        mixup, cutmix = (findings_of(subject, n_masks=120) for subject in torchvision_subjects())
        assert not [f for f in mixup.values() if f.fault]
        assert {f.fault for f in cutmix.values() if f.fault} == {"B4"}
        assert mixup["pairing"].answer == "roll by 1"

    def test_timm(self):
        pytest.importorskip("timm")
        subjects = {s.name.split(" ", 2)[2]: s for s in known_subjects() if s.name.startswith("timm")}
        faults = {
            name: {f.fault for f in findings_of(s, n_masks=120).values() if f.fault} for name, s in subjects.items()
        }
        assert faults["CutMix elem correct_lam=False"] == {"B1", "B10"}
        assert all(found == {"B10"} for name, found in faults.items() if "correct_lam" not in name)
        assert len(faults) == 7

    def test_kornia(self):
        pytest.importorskip("kornia")
        subjects = {s.name.split(" ", 2)[2]: s for s in known_subjects() if s.name.startswith("kornia")}
        faults = {
            name: {f.fault for f in findings_of(s, n_masks=120).values() if f.fault} for name, s in subjects.items()
        }
        assert faults == {"MixUp": {"B2"}, "CutMix": {"B2", "B5"}, "CutMix use_correct_lambda": {"B5"}}


class TestTable:
    def test_one_row_per_subject_and_one_column_per_check(self):
        rows = audit_rows([right_mixup, right_cutmix], n_masks=60, alpha=1.0)
        assert len(rows) == 2 * len(CHECKS)
        assert {row["verdict"] for row in rows} <= set(get_args(Verdict))
        assert {row["fault"] for row in rows} <= {"", *FAULTS}
        table = audit_table(rows)
        assert list(table.index) == ["right_mixup", "right_cutmix"]
        assert list(table.columns) == list(CHECKS)
        assert table.loc["right_mixup", "pairing"] == "random permutation"
        assert audit_table(rows, content="verdict").loc["right_cutmix", "label_weight"] == "ok"

    def test_the_same_seed_gives_the_same_rows(self):
        assert audit_rows([right_cutmix], n_masks=60) == audit_rows([right_cutmix], n_masks=60)

    def test_bad_arguments_are_refused(self):
        with pytest.raises(ValueError, match="rows: expected the rows of an audit"):
            audit_table([])
        with pytest.raises(ValueError, match="content: expected one of 'answer'"):
            audit_table([{"subject": "a"}], content="colour")
        with pytest.raises(ValueError, match="num_classes: expected an even number"):
            audit(right_mixup, num_classes=7)
        with pytest.raises(ValueError, match="n_masks: expected an integer >= 50"):
            audit(right_mixup, n_masks=3)
        with pytest.raises(ValueError, match="subject: expected a callable, a Subject or a path, got int"):
            audit(3)  # type: ignore[arg-type]

    def test_subjects_by_path(self):
        square_root: Any = subject_from_path("math:sqrt").make(8)
        assert square_root(4) == 2
        for path, words in (
            ("math", "expected a path such as"),
            ("math:nothing", "cannot find math:nothing"),
            ("no_such_module_here:f", "cannot find"),
            ("math:pi", "to be callable, got float"),
        ):
            with pytest.raises(ValueError, match=words):
                subject_from_path(path)
