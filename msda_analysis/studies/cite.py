"""What a study should cite: the methods that its table holds numbers of, as BibTeX."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from msda_analysis.environment import package_version
from msda_analysis.results import read_rows

_FILE = Path(__file__).with_name("references.bib")
#: Column -> value, or in texts of augmentations a word -> keys of references.bib.
REFERENCES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "augmentation": {
        "mixup": ("zhang2018mixup",), "cutmix": ("yun2019cutmix",), "fmix": ("harris2020fmix",),
        "resizemix": ("qin2020resizemix",), "saliencymix": ("uddin2021saliencymix",), "sage": ("ma2022sage",), "timm": ("wightman2019timm",),
        "kornia": ("riba2020kornia",), "torchvision": ("torchvision2016",),
    },
    "attack": {
        "fgsm": ("goodfellow2015explaining",), "bim": ("kurakin2017adversarial",), "pgd": ("madry2018towards",),
        "deepfool": ("moosavi2016deepfool",), "foolbox_deepfool": ("moosavi2016deepfool",), "fmn": ("pintor2021fast",),
        "ddn": ("rony2019decoupling",), "apgd_ce": ("croce2020reliable",), "apgd_dlr": ("croce2020reliable",),
        "square": ("andriushchenko2020square",),
    },
    "model": {
        "vae": ("kingma2014auto",), "preact_resnet18": ("he2016identity",), "wide_resnet28_10": ("zagoruyko2016wide",),
        "densenet190": ("huang2017densely",), "pyramidnet272": ("han2017deep", "yamada2018shakedrop"),
        "vgg11_bn": ("simonyan2015very",), "timm": ("wightman2019timm",), "torchvision": ("torchvision2016",),
        "info_nce": ("oord2018representation",), "js": ("poole2019variational",), "nwj": ("nguyen2010estimating",),
        "mine": ("belghazi2018mine",), "smile": ("song2020understanding",), "ksg1": ("kraskov2004estimating",),
        "ksg2": ("kraskov2004estimating",), "flow": ("dinh2017density",), "difference": ("mcallester2020formal",),
    },
    "metric": {
        "rate": ("alemi2018fixing",), "info_nce": ("oord2018representation",), "leave_one_out": ("poole2019variational",),
        "flow": ("dinh2017density",), "between_lower": ("barber2003im",), "between_difference": ("mcallester2020formal",),
        "between_info_nce": ("oord2018representation",), "known_samples": ("czyz2023beyond",),
        "flag": ("carlini2019evaluating", "athalye2018obfuscated"),
        "attribution_zero": ("selvaraju2017grad", "kokhlikyan2020captum"), "attribution_area": ("hyndman1996computing",),
        "attribution_on_part": ("wang2020score",), "attribution_agreement": ("adebayo2018sanity",),
    },
    "dataset": {
        "cifar10": ("krizhevsky2009learning",), "cifar100": ("krizhevsky2009learning",),
        "fashion_mnist": ("xiao2017fashion",), "digits": ("pedregosa2011scikit",),
    },
}  # fmt: skip
_LIBRARIES = ("torchvision", "timm", "kornia")


def cite(folder: Path) -> tuple[list[str], list[str]]:
    """BibTeX entries of this package and of the methods that a study's results.csv names, and what has none.

    What the table does not name, such as optimizers, is not cited; nor are data and methods of the user's own.

    Returns:
        Entries, and the networks, augmentations and data from outside for which no reference is known here.

    Raises:
        FileNotFoundError: the folder has no results.csv.
    """
    path = Path(folder) / "results.csv"
    if not path.is_file():
        raise FileNotFoundError(f"{folder}: expected a study's folder with results.csv in it")
    rows = [row for row in read_rows(path) if row["status"] == "ok"]
    keys: dict[str, None] = {"harris2020fmix": None}
    unknown: dict[str, None] = {}
    for column in REFERENCES:
        for value in dict.fromkeys(row.get(column, "") for row in rows):
            found = list(_find(column, value))
            keys |= dict.fromkeys(found)
            if ":" in value and not found:  # from outside; what has no colon is our own
                unknown[f"{column} {value}"] = None
    if _uses_foolbox({row["attack"] for row in rows}):
        keys["rauber2020foolbox"] = None
    if any(row.get("p_value") not in (None, "", "nan") for row in rows):
        keys["holm1979simple"] = None
    return [_own_entry(), *(_entries()[key] for key in keys)], list(unknown)


def _find(column: str, value: str) -> Iterator[str]:
    table = REFERENCES[column]
    if column == "augmentation":
        for part in _parts(value):
            for word, keys in table.items():
                if re.search(rf"(?<![a-z]){word}(?![a-z])", part):
                    yield from keys
    elif column == "model" and value.partition(":")[0] in _LIBRARIES:
        yield from table[value.partition(":")[0]]
    else:
        yield from table.get(re.sub(r"\(.*\)", "", value), ())


def _parts(augmentation: str) -> list[str]:
    """Names in a text, without settings and without classes of the user's own, which only their author can name."""
    parts = re.sub(r"\([^()]*\)", "", augmentation.lower()).split("+")
    return [part for part in parts if ":" not in part or part.partition(":")[0] in _LIBRARIES]


def _uses_foolbox(names: set[str]) -> bool:
    from msda_analysis.attacks.registry import ATTACKS

    plain = {re.sub(r"_worst_of_\d+$", "", name) for name in names}
    return any(name in plain and kind.foolbox for name, kind in ATTACKS.items())


def _own_entry() -> str:
    return (
        "@software{msda_analysis, title = {msda\\_analysis: analysing mixed-sample data augmentation}, "
        f"author = {{{{The msda\\_analysis authors}}}}, version = {{{package_version()}}}}}"
    )


@cache
def _entries() -> dict[str, str]:
    """Entries of references.bib by key."""
    texts = [text.strip() for text in _FILE.read_text(encoding="utf-8").split("\n\n") if text.strip()]
    return {text[text.index("{") + 1 : text.index(",")]: text for text in texts}
