"""All checks of one implementation, or of many as a table.

An audit sees what happens in a call on a CPU: it does not cover seeds of data-loader workers or half precision. Chance is
part of it: each test of a law is meant to accuse a sound implementation less than once in 10,000 runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msda_analysis.audit.behavior import BEHAVIORS
from msda_analysis.audit.evidence import collect
from msda_analysis.audit.findings import Finding
from msda_analysis.audit.laws import LAWS
from msda_analysis.audit.peers import known_subjects
from msda_analysis.audit.probe import Undecodable
from msda_analysis.audit.subject import Subject, Trial, as_subject
from msda_analysis.checks import check_choice
from msda_analysis.mixing import Augmentation

if TYPE_CHECKING:
    import pandas as pd

#: Checks in the order of every table.
CHECKS = (*LAWS, *BEHAVIORS)


def audit(
    subject: Augmentation | Subject | str,
    *,
    alpha: float | None = None,
    num_classes: int = 8,
    size: tuple[int, int] = (32, 32),
    n_masks: int = 800,
    seed: int = 0,
) -> dict[str, Finding]:
    """Check one implementation.

    Global random state is seeded around each call and put back.

    Args:
        subject: a callable (images [n, 3, height, width] float32, labels [n] int64) -> (mixed images, label
            information), a mask family, a mixer (images, labels, generator) -> Mixed, a Subject, or a text such as
            "package.module:function" or "my_masks:Stripes(period=8)". Label information: soft labels [n, num_classes],
            or labels a, labels b and the weight of a, as a triple or as columns of [n, 3].
        alpha: lambda should follow Beta(alpha, alpha); None takes the Subject's, or leaves these checks out.
        num_classes: classes the implementation was built for, and images per batch: even, at least 4.
        size: height and width of the probe images, at least 8 each.
        n_masks: independent masks to look at.
        seed: of the global generators.

    Returns:
        A Finding for each of CHECKS, in that order. An implementation that cannot be run has "two_images" alone.

    Raises:
        ValueError: num_classes odd or below 4, n_masks below 50, or an unknown path.
    """
    trial = Trial(as_subject(subject, alpha), num_classes, tuple(size), n_masks, seed)
    try:
        evidence = collect(trial, texture=True)
    except Undecodable as error:
        return {"two_images": Finding("not applicable", "result not understood", note=str(error))}
    except Exception as error:  # third-party code may raise anything; the finding says what
        return {"two_images": Finding("fault", "failed", note=f"{type(error).__name__}: {error}"[:200])}
    of_laws = {name: judge(evidence) for name, judge in LAWS.items()}
    return of_laws | {name: judge(trial) for name, judge in BEHAVIORS.items()}


def audit_rows(
    subjects: Iterable[Augmentation | Subject | str] | None = None, *, progress: bool = False, **settings: Any
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

    listed = [as_subject(subject) for subject in (known_subjects() if subjects is None else subjects)]
    rows = []
    for subject in tqdm(listed, desc="audit", unit="subject", disable=not progress):
        rows += [finding.row(subject.name, check) for check, finding in audit(subject, **settings).items()]
    return rows


def audit_table(rows: Sequence[Mapping[str, Any]], *, content: str = "answer") -> "pd.DataFrame":
    """Who does what: one row per subject, one column per check.

    Args:
        rows: of audit_rows().
        content: "answer", "verdict", "fault" or "value".

    Raises:
        ValueError: no rows, or another content.
    """
    import pandas as pd

    check_choice("content", content, ("answer", "verdict", "fault", "value"))
    if not rows:
        raise ValueError("rows: expected the rows of an audit, got none")
    table = pd.DataFrame(list(rows))
    subjects, checks = list(dict.fromkeys(table["subject"])), [name for name in CHECKS if name in set(table["check"])]
    wide = table.pivot(index="subject", columns="check", values=content)
    return wide.reindex(index=subjects, columns=checks).rename_axis(columns=None)
