"""What a study consists of: cells, each a small piece of work with a name made from its content."""

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msda_analysis.attacks.perturbation import Norm
from msda_analysis.checks import check_choice, check_count
from msda_analysis.masks import Alternate, MaskFamily, family_from_text, family_settings, family_to_text
from msda_analysis.results import to_settings
from msda_analysis.robustness import MODES, NORMS, PAPER_EPSILONS, list_attacks
from msda_analysis.robustness.evaluate import Mode
from msda_analysis.studies import published
from msda_analysis.training import ClassifierFit, VaeFit

#: Raise when a change makes old finished cells wrong.
FORMAT = 2
#: The same for cells that attack classifiers, so that trained models stay valid.
ATTACK_FORMAT = 3
#: The same for cells that measure VAEs and layers.
INFORMATION_FORMAT = 3
_LONGEST_LABEL = 60  # of a family in a folder's name; the digest tells longer ones apart
PAPER_ATTACKS = ("fgsm", "bim", "pgd", "uniform_noise", "deepfool")


@dataclass(frozen=True)
class DataSpec:
    """Which images; see data.load_dataset.

    Attributes:
        name: dataset name.
        root: where its files are; not part of a cell's identity.
        train_size: class-balanced part of the training split; None for all.
        test_size: class-balanced part of the test split; None for all.
    """

    name: str = "digits"
    root: Path | None = field(default=None, compare=False)
    train_size: int | None = None
    test_size: int | None = None

    def __post_init__(self) -> None:
        for name, size in (("train_size", self.train_size), ("test_size", self.test_size)):
            if size is not None:
                check_count(name, size)


@dataclass(frozen=True)
class AttackSpec:
    """How classifiers are attacked; see robustness.evaluate.

    Attributes:
        n_images: test images attacked, a class-balanced part; None for all.
        mode: "cascade", the definition of robust accuracy, or "independent", the released curves.
        released: replay the released experiment with foolbox alone, its defaults and its seeding; then `mode` is
            "independent", and there are no minimum norms and no trust checks.
        likeness_images: images on which perturbations are compared with MixUp directions; 0 leaves that out.
    """

    attacks: tuple[str, ...] = PAPER_ATTACKS
    epsilons: tuple[float, ...] = PAPER_EPSILONS
    norm: Norm = "linf"
    n_images: int | None = None
    mode: Mode = "cascade"
    released: bool = False
    likeness_images: int = 0

    def __post_init__(self) -> None:
        check_choice("norm", self.norm, NORMS)
        check_choice("mode", self.mode, MODES)
        check_count("likeness_images", self.likeness_images, minimum=0)
        if self.n_images is not None:
            check_count("n_images", self.n_images)
        for name in self.attacks:
            check_choice("attacks", name, list_attacks(self.norm))
        if not self.epsilons or not all(epsilon >= 0 for epsilon in self.epsilons):
            raise ValueError(f"epsilons: expected at least one number, each >= 0, got {self.epsilons!r}")
        # 0 and 0.0 are one budget, and a cell is known by its settings as they are written
        object.__setattr__(self, "epsilons", tuple(map(float, self.epsilons)))


@dataclass(frozen=True)
class Cell:
    """One piece of work.

    Attributes:
        kind: what is done, a key of cells.RUNNERS.
        settings: all that decides its numbers, as plain JSON values.
        needs: cells that must be done before.
    """

    kind: str
    augmentation: str
    seed: int
    settings: dict[str, Any]
    needs: tuple["Cell", ...] = ()

    @property
    def name(self) -> str:
        """Folder name: readable, and a digest of everything that decides the result, needs included."""
        content = [FORMAT, self.kind, self.augmentation, self.seed, self.settings, [need.name for need in self.needs]]
        digest = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=6).hexdigest()
        label = re.sub(r"[^A-Za-z0-9_-]+", "-", self.augmentation.replace("+", "-and-"))[:_LONGEST_LABEL].strip("-")
        return f"{self.kind}-{label}-{self.seed}-{digest}"

    def describe(self) -> dict[str, Any]:
        """What a checkpoint that the cell writes says of where it comes from."""
        return {"cell": self.name, "augmentation": self.augmentation, "seed": self.seed, "settings": self.settings}


@dataclass(frozen=True)
class StudyPlan:
    """A whole study: augmentations x seeds, VAEs and classifiers, measured and described.

    Attributes:
        name: short name that the rows carry.
        title: heading of the report.
        data: which images.
        augmentations: names, or other texts that masks.family_from_text reads; each is kept in its shortest form.
            "baseline" is no mixing.
        n_seeds, first_seed: seeds first_seed .. first_seed + n_seeds - 1.
        vae: None leaves the VAEs out.
        classifier: None leaves the classifiers out.
        attack: None leaves the attacks out.
        per_batch: train with one lambda and one mask per batch, as the paper's runs did.
        between: also estimate the information that each VAE shares with a baseline VAE of another seed.
        layer_methods: critics for the information by depth; needs the classifier "vgg11_bn". Empty leaves it out.
        weights: folder of published state dicts to measure instead of training classifiers (see studies.published).
        n_masks: masks described per family.
        more_masks: families to describe beside those trained with, as texts too.
        device: "cpu", "cuda", ...

    Raises:
        ValueError: an unknown augmentation, no augmentation, one named twice, or no seed.
    """

    name: str
    title: str
    data: DataSpec
    augmentations: tuple[str, ...] = ("baseline", "mixup", "cutmix", "fmix")
    n_seeds: int = 2
    first_seed: int = 0
    vae: VaeFit | None = field(default_factory=VaeFit)
    classifier: ClassifierFit | None = field(default_factory=ClassifierFit)
    attack: AttackSpec | None = field(default_factory=AttackSpec)
    per_batch: bool = False
    between: bool = False
    layer_methods: tuple[str, ...] = ()
    weights: Path | None = None
    n_masks: int = 2000
    more_masks: tuple[str, ...] = ("fmix_released",)
    device: str = "cpu"

    def __post_init__(self) -> None:
        check_count("seeds", self.n_seeds)
        check_count("n_masks", self.n_masks, minimum=0)
        if self.layer_methods and (self.classifier is None or self.classifier.model != "vgg11_bn"):
            raise ValueError(
                "layer_methods: information by depth needs the classifier vgg11_bn, which exposes its layers"
            )
        if not self.augmentations:
            raise ValueError("augmentations: expected at least one name, got none")
        for listed in ("augmentations", "more_masks"):  # one spelling for each, by which rows are known
            texts = tuple(family_to_text(family_from_text(text)) for text in getattr(self, listed))
            object.__setattr__(self, listed, texts)
        for name in self.augmentations:
            if self.augmentations.count(name) > 1:
                raise ValueError(f"augmentations: expected each name once, got {name!r} twice")

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.first_seed, self.first_seed + self.n_seeds))

    def family_of(self, augmentation: str) -> MaskFamily | Alternate | None:
        """The family that is trained with under this name."""
        return family_from_text(augmentation, per_batch=self.per_batch or None)

    def cells(self) -> list[Cell]:
        """All cells, each after those it needs."""
        return [*self._picture_cells(), *self._vae_cells(), *self._classifier_cells()]

    def identity(self) -> dict[str, Any]:
        """Plain JSON values that two runs of the same study share."""
        return json.loads(json.dumps(to_settings(replace(self, data=replace(self.data, root=None))), default=str))

    def _data(self) -> dict[str, Any]:
        return to_settings(replace(self.data, root=None))

    def _cell(self, kind: str, name: str, seed: int, settings: dict[str, Any], *needs: Cell) -> Cell:
        """A cell about one augmentation, whose family's settings are among what decides its numbers."""
        family = describable(name) if kind == "masks" else self.family_of(name)
        return Cell(kind, name, seed, settings | {"family": family_settings(family)}, needs)

    def _picture_cells(self) -> list[Cell]:
        mixing = {name: describable(name) for name in (*self.augmentations, *self.more_masks) if name != "baseline"}
        families = {name: family_settings(family) for name, family in mixing.items()}
        pictures = Cell("pictures", "all", self.first_seed, {"families": families})
        # an Alternate has no law of its own: its parts are described where they are listed
        described = [name for name in mixing if not isinstance(mixing[name], Alternate)] if self.n_masks else []
        settings = {"data": {"name": self.data.name}, "n_masks": self.n_masks}
        return [pictures, *(self._cell("masks", name, self.first_seed, settings) for name in described)]

    def _vae_cells(self) -> list[Cell]:
        if self.vae is None:
            return []
        shared = {"data": self._data(), "fit": to_settings(self.vae)}
        trained = {
            (name, seed): self._cell("train_vae", name, seed, shared)
            for seed in self.seeds
            for name in self.augmentations
        }
        settings = shared | {"information_format": INFORMATION_FORMAT}
        measured = [
            self._cell(
                "measure_vae", name, seed, settings | {"between": self.between and not self._repeats_pair(name, seed)},
                *self._with_other_baseline(trained, name, seed),
            )
            for name, seed in trained
        ]  # fmt: skip
        return [*trained.values(), *measured]

    def _repeats_pair(self, name: str, seed: int) -> bool:
        """Whether the VAE and its other baseline are a pair that was met before, the other way round."""
        return name == "baseline" and self.n_seeds == 2 and seed != self.first_seed

    def _with_other_baseline(self, trained: dict[tuple[str, int], Cell], name: str, seed: int) -> tuple[Cell, ...]:
        """The VAE to measure and the baseline VAE of the next seed, through which the paper's second figure goes."""
        place = self.seeds.index(seed)
        other = ("baseline", self.seeds[(place + 1) % self.n_seeds])
        if other not in trained or other == (name, seed):
            return (trained[name, seed],)
        return trained[name, seed], trained[other]

    def _classifier_cells(self) -> list[Cell]:
        if self.classifier is None:
            return []
        shared = {"data": self._data(), "fit": to_settings(self.classifier)}
        trained = [self._classifier_cell(name, seed, shared) for seed in self.seeds for name in self.augmentations]
        attacked = shared | {"attack": to_settings(self.attack), "attack_format": ATTACK_FORMAT}
        measured = [self._cell("measure_classifier", cell.augmentation, cell.seed, attacked, cell) for cell in trained]
        layers = shared | {"methods": list(self.layer_methods), "information_format": INFORMATION_FORMAT}
        by_depth = [self._cell("measure_layers", cell.augmentation, cell.seed, layers, cell) for cell in trained]
        return [
            *trained, *measured, *self._likeness_cells(trained, attacked), *self._comparison_cells(measured),
            *(by_depth if self.layer_methods else []),
        ]  # fmt: skip

    def _classifier_cell(self, name: str, seed: int, shared: dict[str, Any]) -> Cell:
        if self.weights is None:
            return self._cell("train_classifier", name, seed, shared)
        settings = {"data": self._data(), "weights": published.describe(self.weights, name, seed)}
        return Cell("import_classifier", name, seed, settings)

    def _likeness_cells(self, trained: list[Cell], attacked: dict[str, Any]) -> list[Cell]:
        if self.attack is None or not self.attack.likeness_images:
            return []
        return [self._cell("measure_likeness", cell.augmentation, cell.seed, attacked, cell) for cell in trained]

    def _comparison_cells(self, measured: list[Cell]) -> list[Cell]:
        if self.attack is None or len(self.augmentations) < 2:
            return []
        return [Cell("compare_classifiers", "all", self.first_seed, {}, tuple(measured))]


def describable(augmentation: str) -> MaskFamily | Alternate | None:
    """The family under this name with a mask for each image: statistics and pictures are of independent masks."""
    return family_from_text(augmentation, per_batch=False)
