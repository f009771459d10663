"""Tables of tested differences between augmentations under attack."""

from msda_analysis.estimate import ONE_RUN
from msda_analysis.figures.comparisons import MIXUP, is_masking, is_one_run
from msda_analysis.figures.metrics import Table, attack_label
from msda_analysis.figures.robustness_panels import shown_pairs
from msda_analysis.figures.selection import has_metric, select_rows
from msda_analysis.figures.style import label_of
from msda_analysis.figures.tables import SIGNIFICANT, Cell, ResultTable, estimate_of, half_epsilons

_WORDS = {"curve_accuracy": "accuracy", "curve_kept": "kept"}


def comparison_table(table: Table, *, name: str, caption: str) -> ResultTable:
    """Tested differences in accuracy: pair, attack, epsilon, difference with its interval, Holm's p and the verdict.

    Attacks are shown at `half_epsilons`, where the table has accuracies to choose by; else at all.

    Raises:
        ValueError: the table has no rows "accuracy_difference".
    """
    rows = select_rows(table, "accuracy_difference")
    if has_metric(table, "robust_accuracy"):
        shown = {(attack, epsilon) for (attack, _), epsilon in half_epsilons(table).items()}
        rows = rows[[pair in shown for pair in zip(rows["attack"], rows["epsilon"], strict=True)]]
    corrected = table[table["metric"] == "p_holm"]
    keys = ["augmentation", "attack", "epsilon"]
    p_values = corrected.set_index(keys)["value"].to_dict()
    cells = []
    for row in rows.to_dict("records"):
        p = p_values.get(tuple(row[key] for key in keys))
        sides = row["augmentation"].split(" - ")
        verdict = ONE_RUN if is_one_run(row["note"]) else row["note"].rpartition("more robust: ")[2]
        winner = label_of(verdict) if verdict in sides else verdict
        cells.append((_pair(*sides), attack_label(row["attack"]), f"{row['epsilon']:g}", estimate_of(row),
                      "" if p is None else f"{p:.2g}", winner))  # fmt: skip
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
    for (a, b, attack), group in ordered.groupby(["a", "b", "attack"], sort=False):
        is_asked = reference in (a, b) or (MIXUP in (a, b) and is_masking(b if a == MIXUP else a))
        if not (is_asked and attack in main) and not _is_significant(group):
            continue
        found = group.set_index("metric").to_dict("index")
        row: list[Cell] = [_pair(a, b), attack_label(attack)]
        for metric in _WORDS:
            known = found.get(metric)
            row += (
                [None, ""] if known is None else [estimate_of({**known, "unit": "fraction"}), f"{known['p_holm']:.2g}"]
            )
        cells.append((*row, _who_wins(a, b, found)))
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


def _is_significant(group: Table) -> bool:
    return group["p_holm"].min() < SIGNIFICANT and not group["note"].map(is_one_run).any()


def _who_wins(a: str, b: str, found: dict[str, dict]) -> str:
    """The side that is ahead in each reading that decides; "undecided" where none does, or where a side had one run."""
    if any(is_one_run(row["note"]) for row in found.values()):
        return ONE_RUN
    said = {
        _WORDS[metric]: label_of(a if row["value"] > 0 else b)
        for metric, row in found.items()
        if row["p_holm"] < SIGNIFICANT
    }
    if len(said) == 2 and len(set(said.values())) == 1:
        return next(iter(said.values()))
    return ", ".join(f"{winner} ({reading})" for reading, winner in said.items()) or "undecided"


def _pair(a: str, b: str) -> str:
    return f"{label_of(a)} \N{MINUS SIGN} {label_of(b)}"
