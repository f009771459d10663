"""One command from a study folder to figures, tables and a report.html that needs nothing else."""

import html
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from joblib import Parallel, cpu_count, delayed
from tqdm import tqdm

from msda_analysis.files import replace_file
from msda_analysis.report.files import StudyFolder, open_study, save_figure
from msda_analysis.report.section import FigureItem, Section, SectionMaker
from msda_analysis.report.select import setting_of
from msda_analysis.report.style import label_of, law_of, order_augmentations
from msda_analysis.report.tables import ResultTable, text_table
from msda_analysis.report.words import Table, metric_of

if TYPE_CHECKING:
    from markupsafe import Markup

_STUDIED = {
    "rate": "mutual information of VAEs",
    "accuracy": "clean accuracy",
    "robust_accuracy": "accuracy under attack",
    "perimeter": "shape of the masks",
    "radial_power": "spectrum of the masks",
}
_FEW_SEEDS = {
    1: "Some augmentations have a single training run: its numbers have no interval over seeds and decide nothing.",
    2: "Two training seeds are too few for an interval between them (it would be 12.7 standard errors wide on each side): "
    "intervals are over the test images alone and say nothing of other runs, and nothing is decided. Three or more seeds are needed.",
}
_SEEDS_LIMIT = (
    "Intervals over seeds speak of repeating the training on this data; they say nothing about other data sets or models. "
    "Each interval of a difference or mean stands alone; what decides are p values corrected by Holm's method over all "
    "comparisons of a section, and for the paper's claims intervals that hold together."
)
_THREADS = (
    "The last digits of sums on a CPU, and so the weights that a training finds there, depend on the number of threads, which "
    "was {} for each cell (its timing.json): the same bytes are expected only with as many, and with any number of workers."
)
_HOW_TO_READ = (
    "Brackets hold 95 % intervals of single differences: Student's over the seeds that both have, paired by seed; under attack "
    "over images and seeds. p is corrected by Holm's method over all comparisons of a section, under attack over all that the "
    "study tested. A direction is claimed only where p is below 0.05, and never from a single training run. Points are percentage "
    "points."
)
_SHORT_TABLE = 9  # rows: longer tables are folded
_PATH, _COORDINATE = re.compile(r' d="[^"]*"'), re.compile(r"(\d\.\d)\d+")
_INDENT = re.compile(r"\n\s*")
_PROVENANCE = re.compile(r"<metadata>.*?</metadata>", re.DOTALL)  # the files beside the page have it
_SAFE = " /:;,=+-_.!*()'@$?[]{}|~\n"  # what need not be escaped in an image's address
_ROWS_PER_PROCESS = 1000  # of a table, for a process more that draws
_LONG_LIST = 20  # longer ones (class names) are cut in the page
_PIXELS_PER_INCH = 118  # shows 8 pt print as about 10 pt on a screen


def write_page(
    folder: Path, sections: Sequence[SectionMaker], damage: Sequence[str] = (), left_out: Sequence[str] = ()
) -> Path:
    """Make figures/, tables/ and report.html of a study from its results.csv, manifest.json and pictures.

    Sections without rows are left out; what is missing or failed is listed. A section whose rows contradict each
    other is replaced by its error message, so that one bad cell does not hide the rest.

    Args:
        folder: a study's output folder.
        sections: functions (table, folder) -> Section | None, in order.
        damage: what is known to be wrong with the folder, one line each.
        left_out: cells whose rows are not shown.

    Returns:
        Path of report.html.

    Raises:
        FileNotFoundError: the folder has no results.csv.
        ValueError: results.csv or manifest.json cannot be read.
        OSError: the disk is full or the folder cannot be written; the old report is kept.
    """
    study, shown, problems = open_study(folder, left_out), [], list(damage)
    drawn = Parallel(_suited_processes(study.table), return_as="generator")(
        delayed(_draw_section)(maker, study) for maker in sections
    )
    for part in tqdm(drawn, "Writing report", len(sections), disable=None):
        if isinstance(part, str):
            problems.append(part)
        elif part is not None:
            shown.append(part)
    page = _render(study, shown, problems)
    with replace_file(study.path / "report.html") as file:
        file.write(page)
    return study.path / "report.html"


def _suited_processes(table: Table) -> int:
    """Processes for drawing, each of which takes seconds to start: one for a small table, else up to one per core."""
    return min(cpu_count(), 1 + len(table) // _ROWS_PER_PROCESS)


def _draw_section(maker: SectionMaker, study: StudyFolder) -> dict[str, Any] | str | None:
    """What the page shows of a section, its files written; None without rows, what is wrong with it as text."""
    name = maker.__name__.removesuffix("_section").replace("_", " ")
    try:
        section = maker(study.table, study.path)
        return None if section is None else _write_section(section, study)
    except ValueError as error:  # contradicting rows or an unreadable picture file; all else is our own mistake
        return f"Section {name!r} could not be made: {error}"


def _write_section(section: Section, study: StudyFolder) -> dict[str, Any]:
    """Write a section's files and return what the page shows of it, which can travel between processes."""
    figures = [_write_figure(item, study) for item in section.figures]
    for table in section.tables:
        table.write(study.path / "tables", study.provenance)
    shown = [figure for figure in figures if not figure["is_folded"]]
    for figure in shown[1:]:  # a section opens with one figure, or one short table; the rest comes when asked
        figure["is_folded"] = True
    tables = [_show_table(table, is_first=i == 0 and not shown) for i, table in enumerate(section.tables)]
    return {"section": replace(section, figures=(), tables=()), "figures": figures, "tables": tables}


def _write_figure(item: FigureItem, study: StudyFolder) -> dict[str, Any]:
    figure = item.figure()
    from markupsafe import Markup

    svg = save_figure(figure, item.numbers, study.path / "figures" / item.name, study.provenance)
    return {
        "name": item.name,
        # quote() leaves nothing that ends an attribute in double quotes; escaping apostrophes again costs a sixth of the page
        "uri": Markup("data:image/svg+xml," + quote(_shorten(svg), safe=_SAFE)),
        "width": round(figure.get_figwidth() * _PIXELS_PER_INCH),
        "height": round(figure.get_figheight() * _PIXELS_PER_INCH),
        "caption": item.caption,
        "brief": item.brief or item.caption,
        "alt": item.alt,
        "has_numbers": item.numbers is not None,
        "is_folded": item.is_folded,
    }


def _shorten(svg: str) -> str:
    """The picture alone, its paths to tenths of a point: enough on a screen, and the PDF has all."""
    svg = _PROVENANCE.sub("", svg[svg.index("<svg") :])
    svg = _INDENT.sub(" ", svg)
    svg = _PATH.sub(lambda path: _COORDINATE.sub(r"\1", path[0]), svg)
    return svg if "'" in svg else svg.replace('"', "'")  # which need no escape in an address


def _show_table(table: ResultTable, *, is_first: bool = False) -> dict[str, Any]:
    """What the page shows of a table: at once where it is the first and short, else when asked; a flat one is turned, as in print."""
    table = table.upright()
    return {
        "is_folded": table.is_folded or not is_first or len(table.rows) > _SHORT_TABLE,
        "name": table.name,
        "caption": table.caption,
        "headers": table.titles,
        "rows": table.texts(),
        "is_number": table.is_number,
    }


def _render(study: StudyFolder, shown: list[dict[str, Any]], problems: list[str]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["math"] = mark_math
    manifest, table = study.manifest, study.table
    made = [part["section"] for part in shown]
    return environment.get_template("report.html.j2").render(
        title=manifest.get("title") or f"Study {study.provenance.study}",
        provenance=study.provenance,
        head=[part for part in shown if part["section"].is_headline and part["section"].findings] or shown,
        has_head=any(section.is_headline and section.findings for section in made),
        sections=shown,
        ran=_describe_briefly(table),
        how_to_read=_HOW_TO_READ,
        created=describe_time(study.provenance.created),
        runs=_describe_runs(table, is_published=_has_weights(manifest.get("settings", {}))),
        dataset=flatten(manifest.get("dataset", {})),
        units=describe_units(manifest.get("dataset", {})) if (table["model"] == "vae").any() else "",
        settings=flatten(manifest.get("settings", {})),
        environment=flatten(manifest.get("environment", {})),
        cells=manifest.get("cells", {}),
        duration=describe_duration(manifest.get("cells_s")),
        has_manifest=bool(manifest),
        definitions=_definitions(made),
        limits=[*_limits(table, made), *_limits_of_threads(manifest.get("environment", {}))],
        absent=find_absent(table),
        missing=[*problems, *find_missing(table)],
        failures=_failures(table),
        n_rows=len(table),
    )


def mark_math(text: str) -> "Markup":
    """Escape text for HTML and typeset the few formulas it may hold: I(Z_A; X), I(Z_A; X-hat), epsilon = 0.01."""
    from markupsafe import Markup

    safe = html.escape(str(text))
    safe = re.sub(r"I\((Z_A|X|Z_X); (X-hat|Z_X|X|Z)\)", r"<i>I</i>(<i>\1</i>; <i>\2</i>)", safe)
    safe = safe.replace("Z_A", "Z<sub>A</sub>").replace("Z_X", "Z<sub>X</sub>").replace("X-hat", "X\u0302")
    safe = re.sub(r"\bepsilon =\s", "<i>\u03b5</i>\u00a0=\u00a0", safe)
    safe = re.sub(r"(?<![\w.])-(?=\d)", "\N{MINUS SIGN}", safe)
    return Markup(re.sub(r"\bepsilon\b(?=,| is)", "<i>\u03b5</i>", safe).replace("95 %", "95\u202f%"))


def flatten(node: Any, prefix: str = "") -> list[tuple[str, str]]:
    """Nested settings as (dotted name, text) pairs in their own order."""
    if isinstance(node, Mapping):
        return [
            pair for key, value in node.items() for pair in flatten(value, f"{prefix}.{key}" if prefix else str(key))
        ]
    if isinstance(node, (list, tuple)) and len(node) > _LONG_LIST:
        return [(prefix, f"{', '.join(map(str, node[:_LONG_LIST]))}, ... ({len(node)} in all)")]
    if isinstance(node, (list, tuple)):
        return [(prefix, ", ".join(map(str, node)))]
    return [(prefix, node if isinstance(node, str) else json.dumps(node))]


def describe_time(created: str) -> str:
    """A time stamp as a reader takes it in; text of another kind stays.

    >>> describe_time("2026-01-31T07:05:59+00:00")
    '2026-01-31 07:05 UTC'
    """
    try:
        at = datetime.fromisoformat(created)
    except ValueError:
        return created
    return at.strftime("%Y-%m-%d %H:%M") if at.tzinfo is None else at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def describe_duration(seconds: Any) -> str:
    """Seconds in words; "" when unknown."""
    if not isinstance(seconds, (int, float)):
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def describe_units(dataset: Mapping[str, Any]) -> str:
    """In which units VAEs see images, which their rates and errors depend on; "" when unknown."""
    mean, std = dataset.get("mean"), dataset.get("std")
    if not mean or not std:
        return ""
    words = (", ".join(f"{value:.4g}" for value in values) for values in (mean, std))
    return (
        "VAEs see pixels normalized per channel as (x - mean) / std, x in [0, 1], with mean {} and std {}: rates, bounds "
        "and squared errors are in these units, and under another normalization they are other numbers. Budgets of "
        "attacks are in [0, 1] pixel units."
    ).format(*words)


def find_absent(table: Table) -> list[str]:
    """What a study of this package may measure and this one did not; nothing for tables of another kind."""
    measured = set(table[table["status"] == "ok"]["metric"])
    absent = [words for metric, words in _STUDIED.items() if metric not in measured]
    return absent if len(absent) < len(_STUDIED) else []  # a table with none of them, such as an audit's, is no study


def find_missing(table: Table) -> list[str]:
    """What should be there and is not: rows at all, seeds of single augmentations, numbers that are NaN."""
    done = table[table["status"] == "ok"]
    missing = ["Nothing was measured yet."] if done.empty else []
    for (model, metric), rows in done[done["metric"].isin(_STUDIED)].groupby(["model", "metric"]):
        seeds = {name: set(part["seed"].dropna()) for name, part in rows.groupby("augmentation")}
        every = set().union(*seeds.values())
        for name, found in seeds.items():
            if found != every:
                gone = ", ".join(str(seed) for seed in sorted(every - found))
                missing.append(
                    f"{metric_of(str(metric)).label}{f' ({model})' if model else ''}: {label_of(str(name))} lacks seed {gone}."
                )
    # statistics of a constant mask are undefined by nature, and say so in the table of masks
    not_numbers = done[done["value"].isna() & (done["model"] != "")]
    if len(not_numbers):
        missing.append(
            f"{len(not_numbers)} finished rows hold NaN and are not drawn: metrics {', '.join(sorted(set(not_numbers['metric'])))}."
        )
    return missing


def _describe_briefly(table: Table) -> list[str]:
    """What was trained and measured, a line a model: data set, augmentations, seeds."""
    done = table[
        (table["status"] == "ok") & (table["reference"] == "") & (table["model"] != "") & (table["augmentation"] != "")
    ]
    lines = []
    for (dataset, model), rows in done.groupby(["dataset", "model"], sort=True):
        names = ", ".join(map(label_of, order_augmentations(rows["augmentation"])))
        n_seeds = sorted(set(rows.groupby("augmentation")["seed"].nunique()))
        count = f"{n_seeds[0]} to {n_seeds[-1]}" if len(n_seeds) > 1 else f"{n_seeds[0]}"
        what = "VAEs" if model == "vae" else f"Classifiers ({model})"
        lines.append(f"{what} on {dataset}: {names}; {count} training seed{'' if count == '1' else 's'} each.")
    return lines


def _describe_runs(table: Table, *, is_published: bool = False) -> list[tuple[str, str, str, str]]:
    """(what, augmentation, mask law, seeds that finished) for each model and augmentation.

    The law that published classifiers were trained with is not known.
    """
    runs = []
    done = table[(table["status"] == "ok") & (table["reference"] == "")]  # a comparison is no run of its own
    for (dataset, model), rows in done.groupby(["dataset", "model"], sort=True):
        for name in order_augmentations(name for name in rows["augmentation"] if name):
            part = rows[rows["augmentation"] == name]
            laws = {str(law) for text in set(part["settings"]) for law in setting_of(text, "spectrum")} or law_of(name)
            laws = {"not known"} if laws and is_published and model else laws
            seeds = ", ".join(str(seed) for seed in sorted(set(part["seed"].dropna())))
            what = ", ".join(word for word in (model or "masks", dataset) if word)
            runs.append((what, label_of(name), " and ".join(sorted(laws)), seeds))
    return runs


def _has_weights(settings: Mapping[str, Any]) -> bool:
    """Whether classifiers of the study, or of one of the studies on the page, were published ones."""
    return any(each.get("weights") for each in (settings, *settings.values()) if isinstance(each, Mapping))


def _definitions(made: Iterable[Section]) -> list[tuple[str, str]]:
    names = dict.fromkeys(metric for section in made for metric in section.metrics)
    return [(metric_of(name).label, metric_of(name).definition) for name in names if metric_of(name).definition]


def _limits(table: Table, made: Iterable[Section]) -> list[str]:
    limits = [limit for section in made for limit in section.limits]
    if not table["augmentation"].any():
        return limits  # nothing was trained, and the limits below speak of training seeds
    # masks are not trained, and a comparison of two augmentations is no run of its own
    is_run = (table["status"] == "ok") & (table["model"] != "") & (table["reference"] == "")
    counts = table[is_run].groupby(["model", "augmentation"])["seed"].nunique()
    fewest = int(counts.min()) if len(counts) else 0
    return [*limits, *([_FEW_SEEDS[fewest]] if fewest in _FEW_SEEDS else []), _SEEDS_LIMIT]


def _limits_of_threads(environment: Mapping[str, Any]) -> list[str]:
    noted = environment.get("threads")
    return [_THREADS.format(noted)] if noted else []


def _failures(table: Table) -> dict[str, Any] | None:
    rows = table[table["status"] == "failed"]
    if rows.empty:
        return None
    columns = ("cell", "dataset", "model", "augmentation", "seed", "note")
    caption = f"{len(rows)} failed: these numbers are missing from every mean on this page."
    return _show_table(text_table(rows, columns, name="failed", caption=caption))
