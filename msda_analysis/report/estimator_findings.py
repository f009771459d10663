"""Sentences of the estimators' page."""

from msda_analysis.estimate import wilson_interval
from msda_analysis.report.answers import NEAR_MISS, SILENT, SMALL, label_of_method
from msda_analysis.report.words import Table

_GOAL = 0.8


def sample_findings(answers: Table) -> tuple[str, ...]:
    """The default on samples: its goal, its large errors, and the best single method."""
    default = answers[answers["method"] == "auto"]
    small = default[default["truth"] < SMALL]
    if small.empty:
        return ()
    good, n = int(small["good"].sum()), len(small)
    met = "met" if good >= _GOAL * n else "missed"
    low, high = wilson_interval(good, n)
    far = default[default["error"].abs() > SILENT]
    silent = list(far[~far["warned"]]["case"])
    beyond = (
        f"each time with a warning: {', '.join(far['case'])}"
        if not silent
        else f"without a warning on {', '.join(silent)}"
    )
    others = answers[(answers["truth"] < SMALL) & (answers["method"] != "auto")].groupby("method", sort=False)["good"]
    shares = others.mean()[others.size() == n]  # methods that were measured on all of them
    lines = [
        f"The default estimator is within 0.1 nats or 10 % of the truth on {good} of {n} cases below 2 nats "
        f"({good / n:.0%}, 95 % interval {low:.0%} to {high:.0%}) from {int(small['n'].max())} samples; the goal of 80 % is {met}.",
        f"The default is off by more than 0.5 nats on {len(far)} of {len(default)} cases{', ' + beyond if len(far) else ''}.",
    ]
    gaussian = small[small["gaussian"]]
    if 0 < len(gaussian) < n:
        other = small[~small["gaussian"]]
        lines[0] += (
            f" Of the {len(gaussian)} with a Gaussian copula by construction it is on {int(gaussian['good'].sum())}, of the "
            f"{len(other)} others on {int(other['good'].sum())}; its 95 % interval holds the truth on "
            f"{int(other['covered'].sum())} of those."
        )
    if len(shares):
        best = shares.idxmax()
        lines.append(
            f"The best single method by this measure, {label_of_method(str(best))}, is within it on {shares[best]:.0%}."
        )
    return tuple(lines)


def scored_findings(answers: Table) -> tuple[str, ...]:
    """The default on the scoring list: its goal and its silent errors."""
    default = answers[answers["method"] == "auto"]
    if default.empty:
        return ()
    good, n = int(default["good"].sum()), len(default)
    low, high = wilson_interval(good, n)
    met = "met" if good >= _GOAL * n else "missed"
    silent = default[(default["error"].abs() > NEAR_MISS) & ~default["warned"]]
    listed = f": {', '.join(silent['case'])}" if len(silent) else ""
    return (
        f"On the scoring list the default is within 0.1 nats or 10 % of the truth on {good} of {n} cases ({good / n:.0%}, 95 % "
        f"interval {low:.0%} to {high:.0%}); the goal of 80 % is {met}. Its 95 % interval holds the truth on "
        f"{int(default['covered'].sum())} of {n}.",
        f"It is off by more than 0.2 nats without a warning on {len(silent)} cases{listed}.",
    )


def encoder_findings(answers: Table) -> tuple[str, ...]:
    """How near each bound of one encoder comes."""
    lines = []
    for method, words in (("fitted", "the fitted marginal"), ("flow", "the flow")):
        # each kind by itself: a linear encoder's marginal is in the fitted family, the others' is not
        for kind, mine in answers[answers["method"] == method].groupby("shaped"):
            low, high = mine["error"].min(), mine["error"].max()
            lines.append(
                f"One encoder: {words} is within 2 % or 0.3 nats of the truth on {int(mine['good'].sum())} of "
                f"{len(mine)} {'encoders whose code is not normal' if kind else 'linear encoders'} "
                f"({_signed(low)} to {_signed(high)} nats)."
            )
    others = answers[answers["method"].isin(("rate", "leave_one_out", "info_nce"))]
    far = [mine.loc[mine["error"].abs().idxmax()] for _, mine in others.groupby("method", sort=False)]
    if far:
        listed = ", ".join(
            f"{label_of_method(row['method'])} {_signed(row['error'])} nats at {row['truth']:g}" for row in far
        )
        lines.append(f"One encoder, the largest distance of the others from the truth: {listed}.")
    return tuple(lines)


def between_findings(answers: Table) -> tuple[str, ...]:
    """Whether bounds between two encoders lie on their side of the truth, and whether the estimate follows it."""
    above, below = (answers[answers["bound"] == bound] for bound in ("upper", "lower"))
    broken = int((above["high"] < above["truth"]).sum() + (below["low"] > below["truth"]).sum())
    wrong = int((above["error"] < 0).sum() + (below["error"] > 0).sum())
    n = len(above) + len(below)
    follow = answers[answers["method"] == "between_difference"]
    return (
        f"Between two encoders, {n - wrong} of {n} bounds lie on their side of the truth by value, {n - broken} within their "
        f"interval; the estimate is within 0.1 nats or 10 % on {int(follow['good'].sum())} of {len(follow)} pairs.",
    )


def _signed(nats: float) -> str:
    return f"{nats:+.3g}".replace("-", "\N{MINUS SIGN}")
