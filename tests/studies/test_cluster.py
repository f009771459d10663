"""The engine ray: one plan gives the table that the local engine gives, also when a node is lost half way."""

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_workers import PLAN, ROOT, table

from msda_analysis.cli import main, run_door
from msda_analysis.commands import Door
from msda_analysis.studies import Store, cells_of, run, run_study
from msda_analysis.studies.cluster import Cluster

#: Masks of the user's: half way, on the node that will be lost, they take forever, and say that they have begun.
FAMILY = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
import torch
from msda_analysis import MaskFamily

def is_doomed():
    ray = sys.modules.get("ray")
    if not ray or not ray.is_initialized() or len(list(Path("ray").glob("cells/*/done.json"))) < 4:
        return False
    return ray.get_runtime_context().get_node_id() == Path("doomed").read_text()

@dataclass(frozen=True)
class Stuck(MaskFamily):
    number: int = 0
    def sample(self, lam, size, *, key, device):
        if is_doomed():
            Path("begun").touch()
            time.sleep(600)
        return lam.float().reshape(-1, 1, *[1] * len(size)).expand(-1, 1, *size).contiguous()
"""

#: A cluster of two nodes with one CPU each; the second is lost while it runs a cell.
TWO_NODES = """
import sys, threading, time
from dataclasses import replace
from pathlib import Path
from ray.cluster_utils import Cluster as Nodes
from msda_analysis.studies import run_study
from msda_analysis.studies.cluster import Cluster
from test_cluster import free_ports, stuck_plan

small = {"num_cpus": 1, "object_store_memory": 100 << 20}
nodes = Nodes(initialize_head=True, head_node_args={**small, "include_dashboard": False, **free_ports()})
other = nodes.add_node(**small, **free_ports())
Path("doomed").write_text(other.node_id)
print("started", flush=True)

def lose():
    while not Path("begun").exists():
        time.sleep(0.05)
    done = len(list(Path("ray").glob("cells/*/done.json")))
    nodes.remove_node(other, allow_graceful=False)
    print(f"lost a node with {done} cells done", flush=True)

threading.Thread(target=lose, daemon=True).start()
start = time.monotonic()
summary = run_study(stuck_plan(), Path("ray"), cluster=Cluster(nodes.address), progress=False)
print(summary.n_done, summary.n_cells, summary.n_failed, dict(summary.missing), f"{time.monotonic() - start:.1f} s", flush=True)
nodes.shutdown()
"""


def stuck_plan():
    return replace(PLAN, augmentations=tuple(f"stuck_masks:Stuck(number={i})" for i in range(3)))


def free_ports() -> dict[str, int]:
    """For a node, which then does not wait for its agents to find some: on a busy machine longer than Ray allows."""
    names = ("metrics_agent_port", "runtime_env_agent_port", "dashboard_agent_listen_port", "metrics_export_port")
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in names]
        for each in found:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, found, strict=True)}


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Current folder, which holds the family."""
    (tmp_path / "stuck_masks.py").write_text(FAMILY)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("msda_analysis.report.write_report", lambda folder, *_: folder / "report.html")
    return tmp_path


@pytest.mark.slow
def test_a_node_lost_half_way_changes_no_byte(place):
    pytest.importorskip("ray")
    here = Path(__file__).parent
    end = subprocess.run(
        [sys.executable, "-c", TWO_NODES], capture_output=True, text=True, timeout=900,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{here}:{place}", "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"},
    )  # fmt: skip
    print(end.stdout)
    assert end.returncode == 0, end.stderr
    n = len(cells_of(stuck_plan()))
    assert "lost a node with" in end.stdout and f"\n{n} {n} 0 {{}} " in end.stdout
    assert run_study(stuck_plan(), place / "local", progress=False).n_failed == 0
    assert table(place / "local") == table(place / "ray")


class Ref:
    """What a task gives: its function, the name of its cell, and the tasks that it waits for."""

    def __init__(self, function, arguments):
        self.run, self.name, self.needs = lambda: function(*arguments), arguments[1][2][0], arguments[4:]


class Tasks:
    """Stands for ray where it is not installed: runs a task when it is waited for, and loses what it is told to."""

    def __init__(self, lost: str = ""):
        self.lost, self.ran, self.options = lost, [], {}
        self.exceptions = SimpleNamespace(RayError=KeyError)
        self.init = lambda **how: self.options.update(how)
        self.shutdown = lambda: self.ran.append("shutdown")

    def remote(self, function):
        def options(**more):
            self.options.update(more)
            return SimpleNamespace(remote=lambda *arguments: Ref(function, arguments))

        return SimpleNamespace(options=options)

    def wait(self, refs):
        return refs[:1], refs[1:]

    def get(self, ref):
        lost = [each for each in (ref, *ref.needs) if self.lost and each.name.startswith(self.lost)]
        if lost:
            raise KeyError("lost again and again")
        assert all(need.name in self.ran for need in ref.needs), "after those it needs"
        self.ran.append(ref.name)
        return ref.run()


@pytest.fixture
def make_ray(monkeypatch):
    """Puts the stand-in in the place of ray, installed or not."""

    def make(lost: str = "") -> Tasks:
        tasks = Tasks(lost)
        monkeypatch.setitem(sys.modules, "ray", tasks)  # type: ignore[arg-type]
        monkeypatch.setattr("msda_analysis.studies.cluster.find_spec", lambda name: name)
        return tasks

    return make


def test_cells_are_tasks_after_those_they_need(tmp_path, make_ray, ran, capsys):
    run_study(PLAN, tmp_path / "local", progress=False)
    ran.clear()
    ray, names = make_ray(), [cell.name for cell in cells_of(PLAN)]
    assert run_study(PLAN, tmp_path / "ray", cluster=Cluster(cpus=2.0)).n_failed == 0
    assert ray.ran == [*names, "shutdown"] and ran == names, "each once, and none again here"
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" finished in ")[0] for line in lines] == names
    assert (tmp_path / "local" / "results.csv").read_bytes() == (tmp_path / "ray" / "results.csv").read_bytes()
    assert ray.options["num_cpus"] == 2.0 and ray.options["num_gpus"] == 0 and ray.options["max_retries"] > 0
    assert ray.options["address"] == "local" and ray.options["include_dashboard"] is False


def test_a_running_cluster_is_joined_as_it_is(tmp_path, make_ray, ran):
    ray = make_ray()
    run_study(PLAN, tmp_path, cluster=Cluster("10.0.0.1:6379"), progress=False)
    assert ray.options["address"] == "10.0.0.1:6379" and "include_dashboard" not in ray.options


def test_a_cell_that_is_lost_again_and_again_fails_with_those_that_need_it(tmp_path, make_ray, ran):
    make_ray(lost="train_classifier-baseline")
    summary = run_study(PLAN, tmp_path, cluster=Cluster(), progress=False)
    lost = [cell for cell in cells_of(PLAN) if "baseline" in cell.name and "_classifier" in cell.name]
    assert len(lost) == 2 and summary.missing == {cell.name: "failed" for cell in lost}
    assert "lost again and again" in Store(tmp_path, PLAN).failure(lost[0])
    assert Store(tmp_path, PLAN).failure(lost[1]) == f"RuntimeError: needs {lost[0].name}, which did not finish"


def test_a_task_that_cannot_write_says_so_and_the_cell_is_done_here(tmp_path, make_ray, ran, capsys, monkeypatch):
    make_ray()
    work_beside, calls = run.work_beside, []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) == 1:
            raise OSError("no space left")
        work_beside(*arguments)

    monkeypatch.setattr(run, "work_beside", full)
    assert run_study(PLAN, tmp_path, cluster=Cluster(), progress=False).n_done == len(cells_of(PLAN)) == len(ran)
    assert "a task stops: no space left" in capsys.readouterr().err


def test_a_cluster_that_does_not_answer_is_named(tmp_path, make_ray, ran):
    def refuse(**_):
        raise RuntimeError("nobody there")

    make_ray().init = refuse
    with pytest.raises(ConnectionError, match=r"^engine: Ray could not be joined at 10\.0\.0\.1:6379: nobody there$"):
        run_study(PLAN, tmp_path, cluster=Cluster("10.0.0.1:6379"), progress=False)


def words(out: Path, *more: str) -> list[str]:
    return ["--out", str(out), "--engine", "ray", *more]


def test_without_ray_the_extra_is_named_and_nothing_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("msda_analysis.studies.cluster.find_spec", lambda name: None)
    assert run_door(Door(lambda: PLAN, "out"), words(tmp_path / "out"), prog="", description="") == 2
    err = capsys.readouterr().err
    assert "engine: 'ray' needs the package ray, which is not installed; install msda-analysis[cluster]" in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more, said", [
    (["--workers", "2"], "workers: Ray runs as many cells at a time"),
    (["--cell-cpus", "0"], "cell_cpus: expected a number > 0, got 0.0"),
    (["--cell-gpus", "-1"], "cell_gpus: expected a number > 0, got -1.0"),
    (["--engine", "local", "--address", "auto"], "address: the local engine joins no cluster; add --engine ray"),
])  # fmt: skip
def test_what_ray_cannot_do_is_refused(tmp_path, make_ray, capsys, more, said):
    make_ray()
    assert run_door(Door(lambda: PLAN, "out"), words(tmp_path / "out", *more), prog="", description="") == 2
    assert said in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_one_gpu_of_several_cannot_be_named(make_ray):
    make_ray()
    with pytest.raises(ValueError, match="device: Ray deals out the GPUs; expected cuda instead of 'cuda:1'"):
        Cluster().check("cuda:1")


def test_the_commands_offer_it(capsys):
    with pytest.raises(SystemExit):
        main(["study", "--help"])
    assert "--engine" in (text := capsys.readouterr().out) and "--address" in text and "--cell-gpus" in text


def test_ray_is_imported_only_when_asked():
    code = "import sys, msda_analysis.studies.run as run; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(ROOT)}, check=True, timeout=120)
