"""Tables of tested differences between augmentations under attack."""

from msda_analysis.report.comparisons import MIXUP, is_masking
from msda_analysis.report.sections.likeness import is_decided, shown_pairs
from msda_analysis.report.select import has_metric, select_rows
from msda_analysis.report.style import label_of
from msda_analysis.report.tables import Cell, ResultTable, estimate_of, half_epsilons
from msda_analysis.report.words import Table, attack_label

_WORDS = {"curve_accuracy": "accuracy", "curve_kept": "kept"}


def comparison_table(table: Table, *, name: str, caption: str) -> ResultTable:
    """Tested differences in accuracy: pair, attack, epsilon, difference with its interval, Holm's p and the verdict.

    Attacks are shown at `half_epsilons`, where the table has accuracies to choose by; else at all.

    Raises:
        ValueError: the table has no rows "accuracy_difference".
    """
    rows = select_rows(table, "accuracy_difference")
    if has_metric(table, "robust_accuracy"):
        shown = {(*where, epsilon) for where, epsilon in half_epsilons(table).items()}
        rows = rows[[place in shown for place in zip(rows["attack"], rows["norm"], rows["epsilon"], strict=True)]]
    cells = [
        (_pair(row["augmentation"], row["reference"]), attack_label(row["attack"]), f"{row['epsilon']:g}",
         estimate_of(row), f"{row['p_value']:.2g}", _winner(row))
        for row in rows.to_dict("records")
    ]  # fmt: skip
    headers = ("Pair", "Attack", "epsilon", "Difference (fraction)", "Holm p", "More robust")
    return ResultTable(name, caption, headers, tuple(cells))


def curve_table(pairs: Table, *, name: str, caption: str, reference: str = "baseline") -> ResultTable:
    """Tested differences between whole curves: pair, attack, and for each reading the difference and Holm's p.

    Under the attacks of the matrix: pairs with the reference, and MixUp with each masking family. Under any attack: pairs
    that differ significantly.

    Args:
        pairs: from robustness_panels.matrix_pairs.
        name, caption: of the table.
        reference: augmentation whose pairs are all listed.
    """
    main = list(dict.fromkeys(shown_pairs(pairs)["attack"]))
    rank = {attack: i for i, attack in enumerate([*main, *dict.fromkeys(pairs["attack"])][::-1])}
    ordered = pairs.sort_values("attack", key=lambda names: -names.map(rank), kind="stable")
    cells = []
    for (a, b, attack), group in ordered.groupby(["augmentation", "reference", "attack"], sort=False):
        is_asked = reference in (a, b) or (MIXUP in (a, b) and is_masking(b if a == MIXUP else a))
        if not (is_asked and attack in main) and not is_decided(group).any():
            continue
        found = group.set_index("metric").to_dict("index")
        row: list[Cell] = [_pair(a, b), attack_label(attack)]
        for metric in _WORDS:
            known = found.get(metric)
            row += (
                [None, ""] if known is None else [estimate_of({**known, "unit": "fraction"}), f"{known['p_value']:.2g}"]
            )
        cells.append((*row, _who_wins(found)))
    headers = (
        "Pair",
        "Attack",
        "Accuracy (fraction)",
        "Holm p",
        "Share kept (fraction)",
        "Holm p, kept",
        "More robust",
    )
    return ResultTable(name, caption, headers, tuple(cells))


def _who_wins(found: dict[str, dict]) -> str:
    """The side that is ahead in each reading that decides; else why none does."""
    said = {_WORDS[metric]: _winner(row) for metric, row in found.items() if _names_a_side(row)}
    if not said:
        return next(iter(found.values()))["verdict"]
    if len(said) == 2 and len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{winner} ({reading})" for reading, winner in said.items())


def _winner(row: dict) -> str:
    """The verdict in words for a table: a name, or why there is none."""
    return label_of(row["verdict"]) if _names_a_side(row) else row["verdict"]


def _names_a_side(row: dict) -> bool:
    return row["verdict"] in (row["augmentation"], row["reference"])


def _pair(a: str, b: str) -> str:
    return f"{label_of(a)} \N{MINUS SIGN} {label_of(b)}"
