"""The `audit` command: who samples what, as tables and one page."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from msda_analysis.audit import audit_rows, audit_table, known_subjects, released_versus_paper, subject_from_path
from msda_analysis.environment import describe_environment
from msda_analysis.estimate import Estimate, Measured
from msda_analysis.files import replace_file
from msda_analysis.results import Source, to_rows, write_table


def write_audit(
    folder: Path, *, callables: tuple[str, ...] = (), n_masks: int = 800, seed: int = 0, command: str = ""
) -> Path:
    """Audit everything known here and the given callables; write audit.csv, released.csv, results.csv and report.html.

    Args:
        callables: paths "package.module:function" of (images, labels) -> mixed.
        n_masks: independent masks to look at per implementation.
        command: the command line, for the page.

    Returns:
        The page.

    Raises:
        ValueError: a path that names nothing callable, or too few masks.
    """
    from msda_analysis.report import write_report
    from msda_analysis.report.sections.audit import FINDINGS_FILE, RELEASED_FILE

    subjects = [*known_subjects(), *(subject_from_path(path) for path in callables)]
    findings = audit_rows(subjects, progress=True, n_masks=n_masks, seed=seed)
    _write_csv(folder / FINDINGS_FILE, pd.DataFrame(findings))
    _write_csv(folder / RELEASED_FILE, pd.DataFrame(released_versus_paper(n=n_masks, seed=seed)))
    write_table(_long_rows(findings, n_masks, seed), folder / "results.csv")
    manifest = {
        "study": "audit", "title": "Audit of mixed-sample data augmentation", "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "settings": {"n_masks": n_masks, "seed": seed, "subjects": [subject.name for subject in subjects]},
        "environment": describe_environment("cpu", ("torch", "torchvision", "timm", "kornia")),
    }  # fmt: skip
    with replace_file(folder / "manifest.json") as file:
        pd.Series(manifest).to_json(file, indent=1)
    with pd.option_context("display.width", 200, "display.max_columns", 30, "display.max_colwidth", 24):
        print(audit_table(findings, content="verdict").T.to_string())
    return write_report(folder)


def _long_rows(findings: list[dict], n_masks: int, seed: int) -> list[dict]:
    rows = []
    for finding in findings:
        source = Source("audit", finding["subject"], "probe images", "", finding["subject"], seed, {"n_masks": n_masks})
        value = float("nan") if finding["value"] is None else finding["value"]
        words = tuple(filter(None, (finding["answer"], finding["fault"], finding["note"])))
        estimate = Estimate(value, "", n=n_masks, warnings=words)
        rows += to_rows(source, [Measured(f"audit_{finding['check']}", estimate, verdict=finding["verdict"])])
    return rows


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with replace_file(path) as file:
        table.to_csv(file, index=False)
