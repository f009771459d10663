"""The commands end to end, and their exit codes: 0 all well, 1 some cells failed or no space, 2 bad arguments."""

import errno
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from replaced import replace_work

from msda_analysis.cli import DOORS, FOLDER_COMMANDS, main, run_door
from msda_analysis.commands import Door, read
from msda_analysis.data import load_dataset
from msda_analysis.report.sections.information import information_section
from msda_analysis.report.sections.robustness import robustness_section
from msda_analysis.results import COLUMNS, read_rows, read_table, write_table
from msda_analysis.robustness import RELEASED_ATTACKS
from msda_analysis.settings import make_again
from msda_analysis.studies import AttackSpec, DataSpec, StudyPlan, run
from msda_analysis.studies.steps import STEPS
from msda_analysis.training import PAPER_VAE_FIT, ClassifierFit, VaeFit

COMMANDS = [*DOORS, *FOLDER_COMMANDS]


def study_arguments(folder: Path, out: Path, *more: str) -> list[str]:
    words = (
        f"study --dataset folder:{folder} --root {out.parent / 'cache'} --out {out} --augmentations baseline fmix --seeds 1 "
        "--vae-epochs 1 --vae-batch-size 8 --classifier-epochs 1 --classifier-augment flip --attacks fgsm uniform_noise "
        "--epsilons 0 0.1 --attack-images 6 --likeness-images 6 --n-masks 20 --device cpu --name trial"
    )
    return [*words.split(), *more]


@pytest.fixture(scope="module")
def finished(tmp_path_factory, write_image_folder) -> tuple[Path, Path]:
    """A folder of pictures and a whole study on it."""
    root = tmp_path_factory.mktemp("commands")
    pictures = write_image_folder(root / "pictures", n_train=16, n_test=48)
    assert main(study_arguments(pictures, root / "out")) == 0
    return pictures, root / "out"


def test_a_study_leaves_the_promised_files(finished):
    _, out = finished
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {"report.html", "results.csv", "manifest.json", "study.json"} <= files
    for suffix in (".pdf", ".png", ".csv"):
        assert [name for name in files if name.startswith("figures/") and name.endswith(suffix)], suffix
    assert [name for name in files if name.startswith("tables/") and name.endswith(".tex")]
    assert not [name for name in files if Path(name).name.startswith(".")], "no temporary is left"


def test_the_table_of_a_study_is_whole(finished):
    table = read_table(finished[1] / "results.csv")
    assert tuple(table.columns) == COLUMNS and set(table["status"]) == {"ok"} and set(table["study"]) == {"trial"}
    assert {"rate", "mse", "accuracy", "robust_accuracy", "kept_fraction", "train_loss"} <= set(table["metric"])
    assert set(table.loc[table["metric"] == "rate", "augmentation"]) == {"baseline", "fmix"}
    assert (table["unit"] != "").all() and table["value"].notna().all()
    bounded = table.dropna(subset=["low", "high"])
    assert (bounded["low"] <= bounded["high"]).all()
    for text in table["settings"].unique():
        assert isinstance(json.loads(text), dict)


def test_the_report_is_one_self_contained_page(finished):
    page = (finished[1] / "report.html").read_text(encoding="utf-8")
    assert "<html" in page and "trial" in page and "FMix" in page
    for outside in ('src="http', 'href="http', "src='http", '<link rel="stylesheet"', "<script src"):
        assert outside not in page


def test_the_manifest_says_what_ran(finished):
    manifest = json.loads((finished[1] / "manifest.json").read_text())
    assert manifest["cells"]["failed"] == 0 and manifest["cells"]["done"] == manifest["cells"]["total"]
    assert manifest["dataset"]["image_shape"] == [3, 32, 32] and manifest["dataset"]["n_train"] == 16
    assert manifest["environment"]["torch"] and manifest["environment"]["device"] == "cpu"


def test_the_pictures_are_of_the_studys_own_test_images(finished):
    pictures, out = finished
    test = load_dataset(f"folder:{pictures}", "test", out.parent / "cache").unit_images().numpy()
    with np.load(out / "pictures" / "mixed.npz", allow_pickle=False) as mixed:
        shown = np.concatenate([mixed["image_a"], mixed["image_b"]])
        assert mixed["fmix"].shape == mixed["image_a"].shape == (8, *test.shape[1:])
    places = [np.flatnonzero((test == image).all((1, 2, 3))) for image in shown]
    assert all(len(found) for found in places) and len({int(found[0]) for found in places}) == 16


def test_the_same_command_again_is_quick_and_well(finished, capsys, monkeypatch):
    pictures, out = finished
    before = (out / "results.csv").read_bytes()
    replace_work(monkeypatch, dict.fromkeys(STEPS, None))  # nothing may run
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    assert main(study_arguments(pictures, out)) == 0
    assert (out / "results.csv").read_bytes() == before
    assert "0 failed" in capsys.readouterr().out


def test_report_draws_again_from_the_table_alone(finished, tmp_path, capsys):
    copy = tmp_path / "copy"
    copy.mkdir()
    rows = [row for row in read_rows(finished[1] / "results.csv") if row["metric"] in ("rate", "mse")]  # few figures
    write_table(rows, copy / "results.csv")
    assert main(["report", str(copy)]) == 0
    assert str(copy / "report.html") in capsys.readouterr().out and (copy / "report.html").stat().st_size > 10_000


def test_another_study_in_the_folder_exits_with_2(finished, capsys):
    pictures, out = finished
    before = (out / "study.json").read_bytes()
    assert main(study_arguments(pictures, out, "--classifier-augment", "none")) == 2
    words = "already holds another study, which differs in classifier.augment ('flip', now 'none')"
    assert words in capsys.readouterr().err
    assert (out / "study.json").read_bytes() == before


@pytest.mark.parametrize("command, kind", [("information", "train_vae"), ("robustness", "train_classifier")])
def test_no_checkpoint_exits_with_2(tmp_path, capsys, command, kind):
    assert main([command, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 2
    words = f"checkpoints: expected at least one file, such as STUDY/cells/{kind}-*/model.safetensors; got none"
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command, kind, section, metric",
    [
        ("information", "train_vae", information_section, "rate"),
        ("robustness", "train_classifier", robustness_section, "robust_accuracy"),
    ],
)
def test_measured_checkpoints_fill_a_report(finished, tmp_path, command, kind, section, metric, sketched):
    """Augmentation and seed are those of the training, as the checkpoints tell them."""
    pictures, out = finished
    models = sorted(str(path) for path in out.glob(f"cells/{kind}-*/model.safetensors"))
    words = [command, *models, "--dataset", f"folder:{pictures}", "--root", str(out.parent / "cache"), "--seed", "7"]
    attacks = ["--attacks", "fgsm", "uniform_noise", "--epsilons", "0", "0.1"] if command == "robustness" else []
    size = ["--test-size", "12"] if command == "robustness" else []
    assert main([*words, *attacks, *size, "--out", str(tmp_path), "--device", "cpu"]) == 0
    table = read_table(tmp_path / "results.csv")
    assert set(table["augmentation"]) == {"baseline", "fmix"} and set(table["seed"]) == {0}
    settings = json.loads(table.loc[table["augmentation"] == "fmix", "settings"].iloc[0])
    assert settings["trained"]["family"]["kind"] == "FMix" and 7 in {part.get("seed") for part in settings.values()}
    made = section(table, tmp_path)
    assert made is not None and made.figures
    assert set(made.figures[0].numbers["augmentation"]) == {"baseline", "fmix"}


@pytest.mark.parametrize("command", ["masks", "information", "robustness"])
def test_other_commands_do_not_overwrite_a_study(finished, capsys, command):
    out = finished[1]
    before = (out / "results.csv").read_bytes()
    kind = {"information": "train_vae", "robustness": "train_classifier"}.get(command, "")
    models = [] if command == "masks" else map(str, sorted(out.glob(f"cells/{kind}-*/model.safetensors"))[:1])
    words = [command, *models, "--out", str(out), "--device", "cpu"]
    assert main(words) == 2
    assert f"out: {out} already holds another study, which differs in" in capsys.readouterr().err
    assert (out / "results.csv").read_bytes() == before


def test_failed_cells_exit_with_1(shared_image_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")

    def diverge(*_):
        raise RuntimeError("the loss is nan at epoch 0, step 1")

    arguments = study_arguments(shared_image_folder, tmp_path / "out", "--vae-epochs", "0", "--classifier-epochs", "0")
    with monkeypatch.context() as patch:
        replace_work(patch, {"masks": diverge})
        assert main(arguments) == 1
    assert "1 of 3 cells done, 2 failed" in capsys.readouterr().out
    assert set(read_table(tmp_path / "out" / "results.csv")["status"]) == {"failed"}
    assert main(arguments) == 0
    assert "3 of 3 cells done, 0 failed" in capsys.readouterr().out


@pytest.mark.parametrize(
    "error, code, words",
    [
        (OSError(errno.EROFS, "Read-only file system"), 1, "Read-only file system; what was finished is kept"),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to go on where it stopped"),
        (FileNotFoundError("weights: gone"), 2, "error: weights: gone"),
    ],
)
def test_what_stops_a_run_says_so(shared_image_folder, tmp_path, capsys, monkeypatch, error, code, words):
    def stop(*_):
        raise error

    replace_work(monkeypatch, {"masks": stop})
    assert main(study_arguments(shared_image_folder, tmp_path / "out", "--vae-epochs", "0")) == code
    assert words in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("cells/*/rows.csv"))) == 1, "the pictures were finished before"


@pytest.mark.parametrize(
    "more, words",
    [
        (["--augmentations", "mixpu"], "augmentation: expected one of baseline, mixup, cutmix"),
        (["--classifier", "resnet"], "model: expected one of 'preact_resnet18'"),
        (["--attacks", "gremlin"], "attacks: expected one of "),
        (["--dataset", "svhn"], "dataset: expected one of digits, cifar10"),
        (["--dataset", "folder:/nowhere"], "expected a folder /nowhere/train"),
        (["--train-size", "0"], "train_size: expected an integer >= 1, got 0"),
        (["--test-size", "5000"], "test_size: expected at most 12"),
        (["--seeds", "0"], "seeds: expected an integer >= 1, got 0"),
        (["--vae-epochs", "-1"], "epochs: expected an integer >= 1, got -1"),
        (["--vae-batch-size", "1"], "batch_size: expected an integer >= 2, got 1"),
        (["--classifier-augment", "spin"], "augment: expected one of 'none'"),
        (["--epsilons", "-0.5"], "epsilons: expected at least one finite number, each >= 0"),
        (["--epsilons", "nan"], "epsilons: expected at least one finite number, each >= 0"),
        (["--epsilons", "0", "8:255"], "epsilons: expected a number such as 0.03, or a fraction such as 8/255, got '8:255'"),
        (["--shard", "3/2"], "shard: expected i/n with 1 <= i <= n, such as 1/4; got '3/2'"),
        (["--shard", "half"], "shard: expected i/n"),
        (["--device", "abacus"], "device: 'abacus' cannot be used on this machine; try cpu or auto"),
        (["--device", "cuda:99"], "device: 'cuda:99' cannot be used on this machine"),
        (["--threads", "-1"], "threads: expected an integer >= 0, got -1"),
    ],
)  # fmt: skip
def test_bad_arguments_exit_with_2_and_leave_no_folder(shared_image_folder, tmp_path, capsys, more, words):
    assert main(study_arguments(shared_image_folder, tmp_path / "out", *more)) == 2
    err = capsys.readouterr().err
    assert err.startswith("msda-analysis: error: ") and words in err and "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [["nonsense"], ["study", "--colour", "red"], ["study", "--seeds", "two"], ["masks", "--n"], ["report"]]
)
def test_what_cannot_be_parsed_exits_with_2(words, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2


def test_the_commands_are_there():
    assert {
        "quickstart",
        "study",
        "masks",
        "information",
        "robustness",
        "report",
        "bench",
        "status",
        "verify",
        "compare",
    } <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    text = capsys.readouterr().out
    assert end.value.code == 0
    promised = ["--out", "--seed", "--device", "--workers", "--dry-run"] if command in DOORS else ["folder"]
    assert all(option in text for option in promised)


@pytest.mark.parametrize(
    "family, size", [("fmix", (16, 12)), ("cutmix", (9,)), ("mixup", (4, 5, 6)), ("fmix_released", (8, 8))]
)
def test_masks_are_written_with_their_statistics(tmp_path, capsys, family, size):
    words = [
        "masks",
        "--out",
        str(tmp_path),
        "--family",
        family,
        "--size",
        *map(str, size),
        "--n",
        "30",
        "--device",
        "cpu",
    ]
    assert main(words) == 0
    with np.load(tmp_path / "masks.npz", allow_pickle=False) as arrays:
        masks, lam = arrays["masks"], arrays["lam"]
    assert masks.shape == (30, 1, *size) and lam.shape == (30,)
    np.testing.assert_allclose(masks.reshape(30, -1).mean(1), lam, atol=1e-5)
    statistics = pd.read_csv(tmp_path / "statistics.csv")
    assert len(statistics) == 30 and list(statistics["mask"]) == list(range(30))
    np.testing.assert_allclose(statistics["kept_fraction"], lam, atol=1e-5)
    table = read_table(tmp_path / "results.csv")
    assert set(table["augmentation"]) == {family}
    settings = json.loads(table.loc[0, "settings"])
    assert settings["size"] == list(size) and settings["family"]["name"] == family
    name = {1: "masks_1d", 2: "masks", 3: "masks_3d"}[len(size)]
    assert all((tmp_path / "figures" / f"{name}.{kind}").exists() for kind in ("png", "pdf"))
    assert (tmp_path / "report.html").is_file()


def test_masks_depend_on_the_seed_alone(tmp_path, undrawn):
    def masks(name, seed):
        assert (
            main(
                ["masks", "--out", str(tmp_path / name), "--size", "9", "--n", "20", "--seed", seed, "--device", "cpu"]
            )
            == 0
        )
        return np.load(tmp_path / name / "masks.npz")["masks"]

    first = masks("a", "3")
    assert np.array_equal(first, masks("b", "3")) and not np.array_equal(first, masks("c", "4"))


@pytest.mark.parametrize(
    "more, words",
    [
        (["--family", "puzzlemix"], "augmentation: expected one of baseline, mixup"),
        (["--family", "baseline"], "family: expected a single family that has masks, got 'baseline'"),
        (["--family", "fmix+mixup"], "family: expected a single family"),
        (
            ["--family", "cutmix", "--max-soft", "0.1"],
            "max_soft: 'cutmix' has no such setting, only alpha, geometry",
        ),
        (["--alpha", "0"], "alpha: expected a finite number > 0, got 0"),
        (["--alpha", "nan"], "alpha: expected a finite number > 0, got nan"),
        (["--decay-power", "-1"], "decay_power: expected a finite number > 0"),
        (["--max-soft", "0.7"], r"max_soft: expected a number in [0.0, 0.5], got 0.7"),
        (["--n", "0"], "n: expected an integer >= 1, got 0"),
        (["--size", "4", "4", "4", "4"], "size: expected 1, 2 or 3 lengths"),
        (["--size", "0", "4"], "expected an integer >= 1, got 0"),
    ],
)
def test_bad_masks_exit_with_2_and_write_nothing(tmp_path, capsys, more, words):
    assert main(["masks", "--out", str(tmp_path / "out"), "--device", "cpu", *more]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_report_of_nothing_exits_with_2(tmp_path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    (tmp_path / "results.csv").write_text("a,b\n1,2\n")
    assert main(["report", str(tmp_path)]) == 2
    assert "results.csv: expected a results table" in capsys.readouterr().err


def test_quickstart_smoke_is_small_and_the_real_one_is_not(tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(
        "msda_analysis.studies.run_study", lambda plan, *_, **__: plans.append(plan) or run.Summary(1, 1, 0, None)
    )
    assert (
        main(["quickstart", "--smoke", "--out", str(tmp_path)])
        == main(["quickstart", "--out", str(tmp_path), "--seed", "3"])
        == 0
    )
    smoke, real = plans
    assert smoke.name != real.name and smoke.vae.epochs == 1 < real.vae.epochs and smoke.data.train_size == 200
    assert (
        real.data.name == smoke.data.name == "digits(side=16)" and real.data.train_size is None and real.first_seed == 3
    )
    assert len(real.augmentations) * real.n_seeds >= 8


def test_scripts_have_the_same_exit_codes(tmp_path, capsys):
    door = Door(lambda: StudyPlan(augmentations=()), "out")
    assert run_door(door, ["--out", str(tmp_path)], prog="script", description="") == 2
    assert "augmentations: expected at least one name" in capsys.readouterr().err


def plan_of(*words: str):
    door, _ = DOORS["study"]
    return make_again(read(door, words, prog="", description="")[0])


def test_the_papers_preset_keeps_its_epochs_unless_told():
    assert plan_of("--vae-preset", "paper").vae == PAPER_VAE_FIT
    assert plan_of("--vae-preset", "paper", "--vae-epochs", "7").vae == replace(PAPER_VAE_FIT, epochs=7)
    assert plan_of().vae.epochs == 15
    assert plan_of("--vae-epochs", "0", "--vae-batch-size", "8").vae is None


@pytest.mark.parametrize(
    "words, name, value",
    [
        ("--dataset cifar10 --train-size=50", "data", DataSpec("cifar10", train_size=50)),
        ("--data.name cifar10", "data", DataSpec("cifar10")),
        ("--seeds 3", "n_seeds", 3),
        ("--seed 4", "first_seed", 4),
        ("--per-batch", "per_batch", True),
        ("--layer_methods mine smile --classifier vgg11_bn", "layer_methods", ("mine", "smile")),
        ("--no-attack --attack-images 5", "attack", None),
        ("--classifier-epochs 0", "classifier", None),
        ("--classifier-epochs 3 --classifier.lr 0.3", "classifier", ClassifierFit(epochs=3, lr=0.3)),
        ("--vae.drops 4 8 --vae.schedule steps", "vae", VaeFit(drops=(4, 8), schedule="steps")),
        (
            "--attack.epsilons 0 2/255 8/255 0.1", "attack",
            AttackSpec(epsilons=(0.0, 2 / 255, 8 / 255, 0.1), n_images=500, likeness_images=200),
        ),
        ("--norm l2 --attacks fgsm", "attack", AttackSpec(("fgsm",), norm="l2", n_images=500, likeness_images=200)),
        (
            "--released-attacks", "attack",
            AttackSpec(RELEASED_ATTACKS, n_images=500, mode="independent", released=True, likeness_images=200),
        ),
    ],
)  # fmt: skip
def test_everything_a_plan_can_do_is_reached(words, name, value):
    assert getattr(plan_of(*words.split()), name) == value


def test_weights_are_of_the_published_network(tmp_path):
    plan = plan_of("--weights", str(tmp_path))
    assert plan.weights == tmp_path and plan.classifier.model == "preact_resnet18"


def test_help_needs_no_torch():
    code = (
        "import sys\nfrom msda_analysis.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'pandas', 'scipy', 'matplotlib'} & set(sys.modules)), file=sys.stderr)"
    )
    for words in (["--help"], *([name, "--help"] for name in DOORS)):
        end = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60)
        assert end.stderr.strip() == "[]" and "usage: msda-analysis" in end.stdout, (words, end.stderr[-500:])


def test_a_thread_count_is_set(monkeypatch, tmp_path):
    import torch

    seen = []
    monkeypatch.setattr(torch, "set_num_threads", seen.append)
    assert main(["masks", "--out", str(tmp_path), "--size", "4", "--n", "3", "--threads", "2", "--device", "cpu"]) == 0
    assert seen[0] == 2  # sampling sets one for a moment later


def test_the_manifest_records_the_command_line(monkeypatch, tmp_path):
    seen = {}
    monkeypatch.setattr(sys, "argv", ["/somewhere/bin/msda-analysis", "quickstart", "--out", str(tmp_path)])
    monkeypatch.setattr(
        "msda_analysis.studies.run_study", lambda *_, **more: seen.update(more) or run.Summary(1, 1, 0, None)
    )
    assert main() == 0
    assert seen["command"] == f"msda-analysis quickstart --out {tmp_path}"
