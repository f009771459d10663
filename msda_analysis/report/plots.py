"""Single panels: each function takes the long table (or rows of it) and an Axes, draws, labels units, returns the Axes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from msda_analysis.report.select import mean_rows, select_rows, summarize
from msda_analysis.report.style import label_of, looks_for, order_augmentations, styled
from msda_analysis.report.words import Table, attack_label, axis_label, norm_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Room of the linear part of an epsilon axis, in decades of its logarithmic part.
_LINEAR_DECADES = 0.4
#: From this many seeds on a curve gets a band; with fewer, Student's interval is wider than most panels.
SEEDS_FOR_BAND = 3


@styled
def plot_dots(table: Table, ax: "Axes", metric: str, *, order: Sequence[str] | None = None, **equal: Any) -> "Axes":
    """One metric by augmentation: small open points are seeds, the large point and thick bar their mean and interval.

    Thin bars are 95 % intervals over images (or masks) of one seed; thick bars Student's 95 % interval over seeds.

    Args:
        table: the long table.
        ax: where to draw.
        metric: which rows.
        order: augmentations from top to bottom, so that panels side by side agree; None takes those of the rows.
        equal: further columns to fix, for example attack="pgd".

    Raises:
        ValueError: no such rows, or two rows for one seed.
    """
    rows = select_rows(table, metric, **equal)
    summary = summarize(rows, ("metric", "augmentation"))
    looks = looks_for(summary["augmentation"] if order is None else order)
    for position, (name, look) in enumerate(looks.items()):
        group = summary[summary["augmentation"] == name]
        seeds, mean = group[group["level"] == "seed"], group[group["level"] == "mean"]
        heights = _spread(len(seeds), position + (0.2 if len(mean) else 0.0))
        _draw_bars(ax, seeds, heights, color=look.color, linewidth=0.7, alpha=0.8)
        ax.plot(
            seeds["value"],
            heights,
            look.marker,
            color=look.color,
            markerfacecolor="white",
            markersize=3.2,
            markeredgewidth=0.8,
            linestyle="none",
            label=f"seeds: {label_of(name)}",
            clip_on=False,
        )
        _draw_bars(ax, mean, [position - 0.16] * len(mean), color=look.color, linewidth=2.6, alpha=0.75)
        ax.plot(
            mean["value"],
            [position - 0.16] * len(mean),
            look.marker,
            color=look.color,
            markersize=5.5,
            markeredgecolor="white",
            markeredgewidth=0.5,
            linestyle="none",
            label=f"mean: {label_of(name)}",
        )
    ax.set_yticks(range(len(looks)), [label_of(name) for name in looks])
    ax.set_ylim(len(looks) - 0.5, -0.5)
    ax.grid(visible=False, axis="y")
    ax.xaxis.set_major_locator(MaxNLocator(_ticks_that_fit(*ax.get_xlim()), steps=[1, 2, 5, 10]))
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(axis_label(metric, str(rows["unit"].iloc[0])))
    return ax


@styled
def plot_by_attack(table: Table, ax: "Axes", metric: str) -> "Axes":
    """One metric by attack down the side, one symbol per augmentation: means over seeds, bars Student's 95 % interval.

    Raises:
        ValueError: no such rows, or two rows for one seed.
    """
    rows = select_rows(table, metric)
    names = map(attack_label, rows["attack"], rows["norm"], rows["reference"])
    rows, by = rows.assign(attack=list(names)), ("metric", "attack", "augmentation")
    means = mean_rows(summarize(rows, by), by)
    attacks, looks = list(dict.fromkeys(rows["attack"])), looks_for(rows["augmentation"])
    for (name, look), shift in zip(looks.items(), _spread(len(looks), 0.0), strict=True):
        group = means[means["augmentation"] == name]
        heights = [attacks.index(attack) + shift for attack in group["attack"]]
        _draw_bars(ax, group, heights, color=look.color, linewidth=1.0, alpha=0.7)
        ax.plot(
            group["value"],
            heights,
            look.marker,
            color=look.color,
            markersize=3.2,
            linestyle="none",
            label=label_of(name),
        )
    ax.set_yticks(range(len(attacks)), attacks)
    ax.set_ylim(len(attacks) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(axis_label(metric, str(rows["unit"].iloc[0])))
    return ax


@styled
def plot_accuracy_curve(
    table: Table, ax: "Axes", attack: str, norm: str | None = None, *, metric: str = "robust_accuracy"
) -> "Axes":
    """Accuracy against epsilon for one attack, one line per augmentation.

    Epsilon is drawn linearly from 0 to its smallest positive value and logarithmically above, so that the clean
    accuracy at 0 is a point like the others.

    Args:
        table: the long table with rows of the metric.
        ax: where to draw.
        attack: which attack.
        norm: which norm, where the rows have several.
        metric: "robust_accuracy", or "survival", the same from minimum norms on a fine row of budgets.

    Raises:
        ValueError: no rows of this attack and norm, or rows without an epsilon.
    """
    rows = select_rows(table, metric, attack=attack)
    rows = rows if norm is None else select_rows(rows, metric, norm=norm)
    if rows["epsilon"].isna().any():
        raise ValueError(f"epsilon: expected a number in every row of attack {attack!r}, got empty ones")
    summary = summarize(rows, ("metric", "augmentation", "epsilon"))
    draw_curves(ax, summary, "epsilon")
    epsilons = sorted(set(rows["epsilon"]))
    _scale_epsilon(ax, epsilons)
    if metric == "survival":
        ax.set_xlim(right=_last_alive(rows, epsilons))
    ax.set_ylim(0, 1)
    shown = norm_label(str(rows["norm"].iloc[0]))
    ax.set_xlabel(f"$\\epsilon$ ({shown}, pixels in [0, 1])" if shown else "$\\epsilon$ (pixels in [0, 1])")
    ax.set_ylabel("accuracy (fraction)" if metric == "robust_accuracy" else "share above $\\epsilon$")
    ax.set_title(attack_label(attack))
    return ax


@styled
def plot_curve(table: Table, ax: "Axes", metric: str, *, log: str = "", x_label: str = "x") -> "Axes":
    """One metric against the column x, one line per augmentation.

    Args:
        table: the long table.
        ax: where to draw.
        metric: which rows.
        log: axes with a logarithmic scale: "", "x", "y" or "xy"; points at or below zero are then not drawn.
        x_label: text of the x axis, with its unit.

    Raises:
        ValueError: no such rows, or rows without an x.
    """
    rows = select_rows(table, metric)
    if rows["x"].isna().any():
        raise ValueError(f"x: expected a number in every row of metric {metric!r}, got empty ones")
    rows = drawable(rows, log)
    draw_curves(ax, summarize(rows, ("metric", "augmentation", "x")), "x")
    _scale_log(ax, log)
    ax.set_xlabel(x_label)
    ax.set_ylabel(axis_label(metric, str(rows["unit"].iloc[0]) if len(rows) else ""))
    return ax


@styled
def plot_histogram(table: Table, ax: "Axes", augmentation: str, metric: str = "kept_fraction_histogram") -> "Axes":
    """Share per bin for one augmentation: filled steps are the mean over seeds, thin lines single seeds.

    Raises:
        ValueError: no such rows.
    """
    rows = select_rows(table, metric, augmentation=augmentation).sort_values("x")
    look = looks_for([augmentation])[augmentation]
    mean = rows.groupby("x")["value"].mean()
    ax.stairs(mean.to_numpy(), _edges(mean.index.to_numpy()), fill=True, color=look.color, alpha=0.35)
    for seed, part in rows.groupby("seed", dropna=False):
        ax.stairs(
            part["value"].to_numpy(),
            _edges(part["x"].to_numpy()),
            color=look.color,
            linewidth=0.6,
            label=f"seed {seed}",
        )
    ax.set_ylim(0, max(1.05 * float(rows["value"].max()), ax.get_ylim()[1]))  # axes may be shared: never lower the top
    ax.set_title(label_of(augmentation))
    return ax


def draw_curves(ax: "Axes", summary: Table, x: str) -> None:
    """Draw summarized rows as lines: a band over seeds from three seeds on, thin seed lines below that."""
    looks = looks_for(summary["augmentation"])
    for name, look in looks.items():
        group = summary[summary["augmentation"] == name]
        seeds, mean = group[group["level"] == "seed"], group[group["level"] == "mean"]
        n_seeds = seeds["seed"].nunique(dropna=False)
        center = mean if len(mean) else seeds
        every = max(1, len(center) // 12)  # markers are the second cue, not the data: a dozen is enough
        ax.plot(
            center[x],
            center["value"],
            color=look.color,
            linestyle=look.line,
            marker=look.marker,
            markevery=every,
            markersize=3.2,
            markeredgecolor="white",
            markeredgewidth=0.3,
            label=label_of(name),
        )
        if n_seeds >= SEEDS_FOR_BAND:
            ax.fill_between(
                mean[x],
                mean["low"].astype(float),
                mean["high"].astype(float),
                color=look.color,
                alpha=0.18,
                linewidth=0,
            )
        elif n_seeds > 1:
            for _, line in seeds.groupby("seed", dropna=False):
                ax.plot(line[x], line["value"], color=look.color, linewidth=0.5, alpha=0.7)
        else:
            ax.vlines(
                seeds[x], seeds["low"].astype(float), seeds["high"].astype(float), color=look.color, linewidth=0.7
            )


def drawable(rows: Table, log: str) -> Table:
    """The rows that a plot with these logarithmic axes can show: those above zero."""
    rows = rows[rows["x"] > 0] if "x" in log else rows
    return rows[rows["value"] > 0] if "y" in log else rows


def attacks_of(rows: Table) -> list[tuple[str, str]]:
    """(attack, norm) pairs in the order of the table, each a panel."""
    return list(dict.fromkeys(zip(rows["attack"], rows["norm"], strict=True)))


def augmentations_of(rows: Table) -> list[str]:
    """Augmentations of some rows in figure order."""
    return order_augmentations(rows["augmentation"])


def _draw_bars(ax: "Axes", lines: Table, heights: Sequence[float], **look: Any) -> None:
    if len(lines):
        ax.hlines(heights, lines["low"].astype(float), lines["high"].astype(float), **look)


def _spread(count: int, center: float) -> list[float]:
    """Heights of single seeds: side by side around the row's center, so that equal values stay visible."""
    step = min(0.12, 0.36 / max(count - 1, 1))
    return [center + (i - (count - 1) / 2) * step for i in range(count)]


def _scale_epsilon(ax: "Axes", epsilons: list[float]) -> None:
    positive = [epsilon for epsilon in epsilons if epsilon > 0]
    if not positive:
        return
    ax.set_xscale("symlog", linthresh=positive[0], linscale=_LINEAR_DECADES)
    ax.set_xlim(min(epsilons[0], 0.0), positive[-1])
    decades = _decades_that_fit(positive[0], positive[-1])
    ax.set_xticks([0.0, *(decades or positive)])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.set_xticks([epsilon for epsilon in positive if epsilon not in decades], minor=True)
    ax.xaxis.set_minor_formatter(NullFormatter())


def _decades_that_fit(first: float, last: float) -> list[float]:
    """Powers of ten to label between two budgets: about four at most, and none so close to 0 that its label meets that one."""
    length = math.log10(last / first) + _LINEAR_DECADES
    powers = range(math.ceil(round(math.log10(first), 9)), math.floor(round(math.log10(last), 9)) + 1)
    every = math.ceil(length / 4.5)
    chosen = [k for k in powers if (powers[-1] - k) % every == 0]
    return [10.0**k for k in chosen if (k - math.log10(first) + _LINEAR_DECADES) / length > 0.12]


def _ticks_that_fit(low: float, high: float) -> int:
    """How many labels a third of a page holds: long numbers that differ late need room."""
    step = (high - low) / 5
    decimals = max(0, math.ceil(-math.log10(step))) if step > 0 else 0
    letters = len(f"{max(abs(low), abs(high)):.{decimals}f}")
    return 5 if letters <= 5 else 3 if letters <= 7 else 2


def _last_alive(rows: Table, epsilons: list[float]) -> float:
    """The budget from which on next to no image is left under any classifier: beyond it there is nothing to see."""
    highest = rows.groupby("epsilon")["value"].max()
    return next((epsilon for epsilon in epsilons if epsilon > epsilons[1] and highest[epsilon] < 0.01), epsilons[-1])


def _scale_log(ax: "Axes", log: str) -> None:
    """Logarithmic axes; along x with plain numbers at 1, 2 and 5, as a panel spans less than two decades there."""
    if "x" in log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    if "y" in log:
        ax.set_yscale("log")
        ax.yaxis.set_minor_formatter(NullFormatter())


def _edges(centers: Any) -> Any:
    """Edges of equal bins from their centers; a single bin gets width 1."""
    width = (centers[-1] - centers[0]) / (len(centers) - 1) if len(centers) > 1 else 1.0
    return [*(centers - width / 2), centers[-1] + width / 2]
