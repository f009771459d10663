"""Audit of MSDA implementations: what do they sample, how do they label, and can it be repeated?

Each implementation mixes probe images from which masks and pairs can be read (see probe); the checks then compare
what it did with the papers' definitions. An audit sees what happens in a call on a CPU: it does not cover seeds of
data-loader workers, half precision, or masks that move pixels around.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msda_analysis.audit import behavior, laws
from msda_analysis.audit.evidence import collect
from msda_analysis.audit.findings import FAULTS, VERDICTS, Finding
from msda_analysis.audit.peers import Subject, known_subjects, subject_from_path
from msda_analysis.audit.probe import Mixer, Undecodable
from msda_analysis.checks import check_count

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CHECKS", "FAULTS", "VERDICTS", "Finding", "Subject", "audit", "audit_rows", "audit_table", "known_subjects",
    "subject_from_path",
]  # fmt: skip

#: Checks in the order of every table.
CHECKS = (
    "two_images", "label_weight", "lambda_law", "box_area", "box_sides", "coverage", "spectrum", "mask_sharing",
    "pairing", "labels_follow_images", "seed", "own_generator", "odd_batch", "soft_labels", "integer_labels", "inputs",
    "one_dimension", "apply_probability",
)  # fmt: skip


def audit(
    subject: Mixer | Subject | str,
    name: str | None = None,
    *,
    num_classes: int = 8,
    alpha: float | None = None,
    size: tuple[int, int] = (32, 32),
    n_masks: int = 800,
    seed: int = 0,
) -> list[Finding]:
    """Check one implementation.

    Global random state is seeded around each call and put back.

    Args:
        subject: a callable (images [n, 3, height, width] float32, labels [n] int64) -> (mixed images, label
            information), a Subject, or a path "package.module:function". Label information: soft labels [n, num_classes],
            or labels a, labels b and the weight of a, as a triple or as columns of [n, 3].
        name: what to call it; needed for a plain callable without a name of its own.
        num_classes: classes the implementation was built for, and images per batch: even, at least 4.
        alpha: lambda should follow Beta(alpha, alpha); None takes the Subject's, or leaves these checks out.
        size: height and width of the probe images, at least 8 each.
        n_masks: independent masks to look at.
        seed: of the global generators.

    Returns:
        One Finding per entry of CHECKS, in that order. An implementation that cannot be run has one, "two_images".

    Raises:
        ValueError: num_classes odd or below 4, n_masks below 50, or an unknown path.
    """
    check_count("num_classes", num_classes, 4)
    check_count("n_masks", n_masks, 50)
    if num_classes % 2:
        raise ValueError(
            f"num_classes: expected an even number, it is also the batch size of the probes; got {num_classes}"
        )
    plain = _as_subject(subject, name, alpha)
    try:
        found = _law_findings(plain, num_classes, tuple(size), n_masks, seed)
    except Undecodable as error:
        return [Finding(plain.name, "two_images", "not applicable", "result not understood", note=str(error))]
    except Exception as error:  # third-party code may raise anything; the finding says what
        return [Finding(plain.name, "two_images", "fault", "failed", note=f"{type(error).__name__}: {error}"[:200])]
    found += _behavior_findings(plain, num_classes, tuple(size), n_masks, seed)
    return sorted(found, key=lambda finding: CHECKS.index(finding.check))


def audit_rows(
    subjects: Iterable[Mixer | Subject | str] | None = None, *, progress: bool = False, **settings: Any
) -> list[dict[str, Any]]:
    """Audit many implementations: one dictionary per subject and check, with the fields of Finding and fault_text.

    Args:
        subjects: as audit(); None takes all that are known here (ours, torchvision's, timm's and kornia's if installed).
        progress: show a progress bar on standard error.
        settings: keyword arguments of audit().

    Raises:
        ValueError: as audit().
    """
    from tqdm import tqdm

    listed = list(known_subjects() if subjects is None else subjects)
    bar = tqdm(listed, desc="audit", unit="subject", disable=not progress)
    return [finding.row() for subject in bar for finding in audit(subject, **settings)]


def audit_table(rows: Sequence[Mapping[str, Any]], *, content: str = "answer") -> "pd.DataFrame":
    """Who does what: one row per subject, one column per check.

    Args:
        rows: of audit_rows().
        content: "answer", "verdict", "fault" or "value".

    Raises:
        ValueError: no rows, or another content.
    """
    import pandas as pd

    from msda_analysis.checks import check_choice

    check_choice("content", content, ("answer", "verdict", "fault", "value"))
    if not rows:
        raise ValueError("rows: expected the rows of an audit, got none")
    table = pd.DataFrame(list(rows))
    subjects, checks = list(dict.fromkeys(table["subject"])), [name for name in CHECKS if name in set(table["check"])]
    wide = table.pivot(index="subject", columns="check", values=content)
    return wide.reindex(index=subjects, columns=checks).rename_axis(columns=None)


def _law_findings(subject: Subject, num_classes: int, size: tuple[int, ...], n_masks: int, seed: int) -> list[Finding]:
    name, alpha = subject.name, subject.alpha
    evidence = collect(
        subject.make(num_classes), n=num_classes, size=size, num_classes=num_classes, n_masks=n_masks, seed=seed
    )
    return [
        laws.check_is_mix(name, evidence),
        laws.check_label_weight(name, evidence),
        laws.check_lambda_law(name, evidence, alpha),
        laws.check_box_area(name, evidence, alpha),
        laws.check_box_sides(name, evidence),
        laws.check_coverage(name, evidence),
        laws.check_spectrum(name, evidence),
        laws.check_sharing(name, evidence),
        laws.check_pairing(name, evidence),
        laws.check_labels_follow(name, evidence),
    ]


def _behavior_findings(
    subject: Subject, num_classes: int, size: tuple[int, ...], n_masks: int, seed: int
) -> list[Finding]:
    name, n = subject.name, num_classes

    def make() -> Mixer:
        return subject.make(num_classes)

    half = subject.make_half
    make_half = None if half is None else lambda: half(num_classes)
    return [
        behavior.check_seed(name, make, n, size),
        behavior.check_generator(name, make),
        behavior.check_odd_batch(name, make, n, size, num_classes),
        behavior.check_soft_labels(name, make, n, size, num_classes),
        behavior.check_integer_labels(name, make, n, size),
        behavior.check_inputs_kept(name, make, n, size),
        behavior.check_one_axis(name, make, num_classes, subject.alpha, n=n, n_masks=n_masks, seed=seed),
        behavior.check_probability(name, make_half, n, size, num_classes),
    ]


def _as_subject(subject: Mixer | Subject | str, name: str | None, alpha: float | None) -> Subject:
    if isinstance(subject, str):
        subject = subject_from_path(subject)
    if isinstance(subject, Subject):
        return Subject(name or subject.name, subject.make, subject.alpha if alpha is None else alpha, subject.make_half)
    if not callable(subject):
        raise ValueError(f"subject: expected a callable, a Subject or a path, got {type(subject).__name__}")
    title = name or getattr(subject, "__name__", type(subject).__name__)
    return Subject(title, lambda num_classes: subject, alpha)
