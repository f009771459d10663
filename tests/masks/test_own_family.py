"""A family of one's own: ten lines in a file of one's own, and it works wherever a family does."""

import importlib
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from scipy import stats

from msda_analysis import Alternate, CutMix, FMix, MaskFamily, MixTransform, MixUp, mix, sample_masks
from msda_analysis.masks import family_from_text, family_settings, family_to_text
from msda_analysis.rng import stream
from msda_analysis.studies import AttackSpec, DataSpec, StudyPlan, cells_of

SOURCE = (Path(__file__).parent / "own_masks.py").read_text(encoding="utf-8")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write my_masks.py into a current directory that is not on the path, and read Stripes from it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source: str = SOURCE, text: str = "my_masks:Stripes") -> MaskFamily:
        (tmp_path / "my_masks.py").write_text(source, encoding="utf-8")
        sys.modules.pop("my_masks", None)
        importlib.invalidate_caches()
        for cached in tmp_path.rglob("*.pyc"):
            cached.unlink()  # two edits within a second look alike to the import system
        found = family_from_text(text)
        assert isinstance(found, MaskFamily)
        return found

    yield write
    sys.modules.pop("my_masks", None)


def draw(family, n=50, size=(6, 8), seed=0, **more):
    return sample_masks(family, n, size, generator=stream(seed, "own"), **more)


@pytest.mark.parametrize("size", [(8,), (6, 8), (3, 4, 8)], ids=str)
def test_it_is_sampled(own, size):
    family = own()
    batch = draw(family, size=size)
    assert batch.masks.shape == (50, 1, *size) and set(batch.masks.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(batch.lam, batch.masks.flatten(1).mean(1)), "the label weighs what the mask keeps"
    assert float((batch.lam - batch.drawn_lam).abs().max()) <= 0.25 + 1e-6, "one of four pixels"
    assert torch.equal(draw(family, 20, size).masks, batch.masks[:20]) and torch.equal(
        draw(family, size=size).masks, batch.masks
    )
    assert not torch.equal(draw(family, size=size, seed=1).masks, batch.masks)


def test_the_settings_that_all_share_work(own):
    family = own(text="my_masks:Stripes(period=3, alpha=0.4)")
    assert stats.kstest(draw(family, 4000, (3,)).drawn_lam.double().numpy(), stats.beta(0.4, 0.4).cdf).pvalue > 1e-4
    nominal = draw(replace(family, lam_policy="nominal"))
    assert torch.equal(nominal.lam, nominal.drawn_lam) and torch.equal(nominal.masks, draw(family).masks)
    shared = draw(replace(family, per_batch=True))
    assert torch.equal(shared.masks, shared.masks[:1].expand_as(shared.masks)) and len(shared.lam.unique()) == 1
    with pytest.raises(ValueError, match=r"alpha: expected a finite number > 0, got -1.0"):
        replace(family, alpha=-1.0)


@dataclass(frozen=True)
class Lopsided(MaskFamily):
    """Keeps lambda squared, always at the left: a law whose complement is another law."""

    def sample(self, lam, size, *, key, device):
        place = (torch.arange(size[-1], device=device) + 0.5) / size[-1]
        return (place < lam[:, None] ** 2).to(torch.float32)[:, None]


@pytest.mark.parametrize("policy", ["mask_mean", "nominal"])
def test_reformulated_it_has_the_same_loss_in_expectation(policy):
    """The mean over pairs in both orders of weight x mask, which a loss that is linear in the labels depends on."""
    n, size = 40_000, (5,)
    plain = draw(Lopsided(lam_policy=policy), n, size)
    single = draw(Lopsided(lam_policy=policy, reformulate=True), n, size, seed=1)
    assert torch.equal(single.lam, torch.ones(n))
    masks, weights = plain.masks[:, 0], plain.lam[:, None]
    expected = weights * masks + (1 - weights) * (1 - masks)
    found = single.masks[:, 0]
    error = ((expected.var(0) + found.var(0)) / n).sqrt().clamp(min=1e-6)
    assert float(((found.mean(0) - expected.mean(0)) / error).abs().max()) < 5
    assert float((found.mean(0) - masks.mean(0)).abs().max()) > 0.05, "the masks alone have another law"


def test_it_mixes_batches_and_alternates(own):
    family = own()
    images, labels = torch.rand(10, 3, 6, 8, generator=stream(0, "images")), torch.arange(10)
    mixed = mix(images, labels, family, generator=stream(0, "mix"))
    masks = sample_masks(family, 10, (6, 8), generator=_after_the_pairs()).masks
    torch.testing.assert_close(mixed.images, masks * images + (1 - masks) * images[mixed.permutation])
    _, soft = MixTransform(family, 10)(images, labels)
    torch.testing.assert_close(soft.sum(1), torch.ones(10))
    turn = Alternate(family, MixUp())
    assert set(draw(turn, step=0).masks.unique().tolist()) == {0.0, 1.0} and len(draw(turn, step=1).masks.unique()) > 2
    assert family_to_text(turn) == "my_masks:Stripes+mixup" and family_from_text("my_masks:Stripes+mixup") == turn
    transform = MixTransform(turn, 10)
    assert all(transform(images, labels)[0].shape == images.shape for _ in range(2))


def _after_the_pairs() -> torch.Generator:
    generator = stream(0, "mix")
    torch.randint(2**62, (), generator=generator)  # mix() takes a key for the pairs first
    return generator


def test_texts_of_it(own):
    family = own(text=" my_masks:Stripes( period = 8, lam_policy='nominal' )")
    text = "my_masks:Stripes(lam_policy='nominal', period=8)"
    assert family_to_text(family) == text and family_from_text(text) == family
    assert family_to_text(replace(family, period=4, lam_policy="mask_mean")) == "my_masks:Stripes"
    shared = family_from_text(text, per_batch=True)
    assert shared == replace(family, per_batch=True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "my_masks:Dots",
            r"cannot find my_masks:Dots of .*has no attribute 'Dots'\); check the names, and run from the",
        ),
        ("no_masks:Stripes", r"cannot find no_masks:Stripes of .*No module named 'no_masks'.*folder of no_masks.py"),
        ("my_masks:Unrelated", r"expected my_masks:Unrelated to be a subclass of MaskFamily, got <class 'my_masks.Unr"),
        ("my_masks:phases", r"expected my_masks:phases to be a subclass of MaskFamily, got <function"),
        ("my_masks:MaskFamily", r"abstract class MaskFamily.*sample.*; in augmentation 'my_masks:MaskFamily'"),
        ("my_masks:Stripes(width=3)", r"'my_masks:Stripes\(width=3\)' has no setting 'width', only .*alpha, period"),
    ],
)
def test_what_is_no_family_of_ones_own(own, text, words):
    own()
    with pytest.raises(ValueError, match=f"augmentation: {words}" if "abstract" not in words else words):
        family_from_text(text)


def test_a_file_that_fails_says_so(own):
    with pytest.raises(ValueError, match=r"cannot find my_masks:Stripes .*invalid syntax"):
        own("class Stripes(:\n")
    with pytest.raises(ValueError, match=r"cannot find my_masks:Stripes .*No module named 'no_such_package'"):
        own("import no_such_package\n")


CHANGES = {
    "the method": ("% 1 < lam", "% 1 <= lam"),
    "a default": ("period: int = 4", "period: int = 5"),
    "a helper in the file": ("key, n, 1, device)", "key + 1, n, 1, device)"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_code_is_another_family(own, change):
    plan = StudyPlan("own", "Own", DataSpec("digits"), augmentations=("my_masks:Stripes(period=8)",))
    own()
    before, names = family_settings(own()), {cell.name for cell in cells_of(plan)}
    assert before == family_settings(own()) and names == {cell.name for cell in cells_of(plan)}
    assert before["kind"] == "Stripes" and before["period"] == 4
    assert before["class"]["module"] == "my_masks" and before["class"]["name"] == "Stripes"
    old, new = CHANGES[change]
    assert SOURCE.count(old) == 1
    after = family_settings(own(SOURCE.replace(old, new)))
    assert after["class"]["code"] != before["class"]["code"]
    changed = {cell.name for cell in cells_of(plan) if "Stripes" in cell.augmentation}
    assert changed and not changed & names


@pytest.fixture(autouse=True)
def _own_module_for_plans(own):
    own()


@pytest.mark.parametrize(
    ("old", "new"), [("    period = 4\n", "    period = 5\n"), ("class Unrelated", "# Words.\n\n\nclass Unrelated")]
)
def test_what_it_does_not_use_changes_nothing(own, old, new):
    before = family_settings(own())
    assert SOURCE.count(old) == 1 and family_settings(own(SOURCE.replace(old, new))) == before


def test_a_changed_file_beside_it_is_another_family(own, tmp_path):
    source = "from own_phases import phases\n" + SOURCE.replace("def phases", "def _unused")
    digests = []
    for offset in ("0", "0  # a comment", "1"):
        (tmp_path / "own_phases.py").write_text(
            f"import torch\nfrom msda_analysis.rng import philox_uniforms\n\n\n"
            f"def phases(key, n, device):\n    return philox_uniforms(key, n, 1, device) + {offset}\n",
            encoding="utf-8",
        )
        sys.modules.pop("own_phases", None)
        settings = family_settings(own(source))
        assert settings is not None
        digests.append(settings["class"]["code"])
    sys.modules.pop("own_phases", None)
    assert digests[0] == digests[1] != digests[2], "a helper in another file of the folder decides numbers, too"


def test_a_file_edited_while_it_runs_keeps_its_name(own, tmp_path):
    family = own()
    before = family_settings(family)
    (tmp_path / "my_masks.py").write_text(SOURCE.replace("% 1 < lam", "% 1 <= lam"), encoding="utf-8")
    assert family_settings(family) == before, "what runs is the code that was imported"


def test_settings_without_plain_values_are_refused(own):
    family = own(SOURCE.replace("period: int = 4", "period: object = object"))
    with pytest.raises(TypeError, match=r"Stripes: expected numbers, names, or tuples of them as settings"):
        family_settings(family)
    with pytest.raises(ValueError, match=r"period: expected a number, a name, or a tuple of such, to write it as text"):
        family_to_text(replace(family, period=print))


def test_a_class_without_a_file_is_refused(monkeypatch):
    made: dict = {"__name__": "nowhere"}
    exec(SOURCE, made)  # as a class typed into a prompt
    with pytest.raises(
        ValueError, match=r"Stripes: expected a class whose source can be read.*put the class in a file"
    ):
        family_settings(made["Stripes"]())


def test_a_class_inside_a_function_has_no_text():
    @dataclass(frozen=True)
    class Inner(MixUp):
        pass

    with pytest.raises(ValueError, match=r"no text can name .*Inner, a class inside a function; move it to the top"):
        family_to_text(Inner())


def test_a_plan_takes_it(own, tmp_path):
    own()
    texts = ("baseline", "my_masks:Stripes(period=8)", "my_masks:Stripes+mixup", "fmix( decay_power = 1.5 )")
    plan = StudyPlan("own", "Own", DataSpec("digits"), texts, n_seeds=1, attack=AttackSpec(likeness_images=5))
    assert plan.augmentations[-1] == "fmix(decay_power=1.5)", "one spelling for each"
    cells = cells_of(plan)
    names = [cell.name for cell in cells]
    assert len(set(names)) == len(names)
    for name in names:
        (tmp_path / name).mkdir()
        assert all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name) and len(name) < 150
    assert any(name.startswith("train_vae-my_masks-Stripes-period-8-0-") for name in names)
    described = [cell.augmentation for cell in cells if cell.kind == "masks"]
    assert described == ["my_masks:Stripes(period=8)", "fmix(decay_power=1.5)", "fmix_released"]
    for cell in cells:
        if cell.kind == "train_vae" and cell.augmentation == texts[1]:
            assert cell.settings["family"] == family_settings(family_from_text(texts[1]))
    with pytest.raises(ValueError, match=r"augmentations: expected each name once, got 'my_masks:Stripes' twice"):
        replace(plan, augmentations=("my_masks:Stripes", "my_masks:Stripes(period=4)"))


@dataclass(frozen=True)
class Returns(MaskFamily):
    """Returns what its setting asks for."""

    what: str = "double"

    def sample(self, lam, size, *, key, device):
        masks = torch.full((len(lam), 1, *size), 0.5)
        return {
            "double": masks.double(), "no channel": masks[:, 0], "one": masks[:1], "list": masks.tolist(), "above": masks + 1,
            "below": masks - 1, "nan": masks * float("nan"), "elsewhere": masks.to("meta"),
        }[self.what]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "error", "words"),
    [
        (
            "double",
            ValueError,
            r"float32 tensor of shape \(3, 1, 4, 5\) on cpu, got torch.float64 of shape \(3, 1, 4, 5\)",
        ),
        (
            "no channel",
            ValueError,
            r"tensor of shape \(3, 1, 4, 5\) on cpu, got torch.float32 of shape \(3, 4, 5\) on cpu",
        ),
        ("one", ValueError, r"tensor of shape \(3, 1, 4, 5\) on cpu, got torch.float32 of shape \(1, 1, 4, 5\) on cpu"),
        ("elsewhere", ValueError, r"on cpu, got torch.float32 of shape \(3, 1, 4, 5\) on meta"),
        ("list", TypeError, r"expected a torch.float32 tensor of shape \(3, 1, 4, 5\) on cpu, got list"),
        ("above", ValueError, r"expected values in \[0, 1\], .*; got \[1.5, 1.5\]"),
        ("below", ValueError, r"expected values in \[0, 1\], .*; got \[-0.5, -0.5\]"),
        ("nan", ValueError, r"expected values in \[0, 1\], .*; got \[nan, nan\]"),
    ],
)
def test_what_the_method_returns_is_looked_at(what, error, words):
    with pytest.raises(error, match=f"Returns.sample: .*{words}"):
        draw(Returns(what=what), 3, (4, 5))


def test_a_class_needs_its_method_and_its_decorator():
    class Bare(MaskFamily):
        pass

    class Undecorated(Lopsided):
        period: int = 4

    with pytest.raises(TypeError, match=r"abstract class Bare .*sample"):
        Bare()  # type: ignore[abstract]
    with pytest.raises(TypeError, match=r"Undecorated: expected a dataclass; put @dataclass\(frozen=True\) before the"):
        Undecorated()


@dataclass(frozen=True)
class Upside(FMix):
    """A method of its own on top of a family of the package."""

    def sample(self, lam, size, *, key, device):
        return 1 - super().sample(1 - lam**2, size, key=key, device=device)


@dataclass(frozen=True)
class Renamed(CutMix):
    """Nothing of its own."""


def test_a_method_of_ones_own_is_not_passed_over_by_a_fast_way_of_the_base():
    batch = draw(Upside(), 200, (8, 8))
    torch.testing.assert_close(
        batch.masks.mean((1, 2, 3)).double(), batch.drawn_lam.double() ** 2, rtol=0, atol=0.51 / 64
    )
    assert FMix.is_symmetric and not Upside.is_symmetric, "nothing is known of the law of another method"
    assert torch.equal(draw(Renamed()).masks, draw(CutMix()).masks) and not Renamed.shares_mask
