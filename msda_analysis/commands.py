"""From words of the command line to a plan and how to run it. Imports nothing heavy."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from msda_analysis.settings import unchecked
from msda_analysis.studies.plan import Plan

#: Short names of settings, for the plans that have them.
SHORT = {
    "--seeds": "--n-seeds", "--seed": "--first-seed", "--family": "--families",
    "--dataset": "--data.name", "--root": "--data.root", "--train-size": "--data.train-size",
    "--test-size": "--data.test-size", "--resize": "--data.resize",
    "--vae-epochs": "--vae.epochs", "--vae-batch-size": "--vae.batch-size", "--vae-precision": "--vae.precision",
    "--classifier": "--classifier.model", "--classifier-epochs": "--classifier.epochs",
    "--classifier-augment": "--classifier.augment",
    "--attacks": "--attack.attacks", "--epsilons": "--attack.epsilons", "--norm": "--attack.norm",
    "--mode": "--attack.mode", "--attack-images": "--attack.n-images", "--likeness-images": "--attack.likeness-images",
}  # fmt: skip

#: A flag and the words that follow it; words before the first flag have none.
Flag = tuple[str, list[str]]
Change = Callable[[Any], Plan]
_PARTS = ("vae", "classifier", "attack", "attribution")


@dataclass(frozen=True)
class Running:
    """How a plan is run; it changes no number.

    Attributes:
        out: output folder. A run that was interrupted goes on where it stopped.
        threads: CPU threads, of all workers together; 0 takes as many as there are cores.
        workers: processes that share the work, the threads and the GPUs, each with its own copy of the data; 0 takes one a
            core (or a GPU) where training is shared, as far as there is work and memory, and one otherwise.
        shard: i/n: run the i-th of n parts, on machines that share the folder; a last run without it completes the report.
        dry_run: list what would run and how long it may take, and write nothing.
        engine: "local" runs cells in processes of this machine; "ray" as tasks of Ray (extra: cluster), on nodes that share
            the folder and are like this machine.
        address: of a running Ray cluster, or auto; without it Ray is started on this machine alone.
        cell_cpus: with ray: CPUs, and threads, of one cell.
        cell_gpus: with ray: GPUs of one cell, where it runs on one; 0.5 puts two on each.
    """

    out: Path
    threads: int = 0
    workers: int = 0
    shard: str = "1/1"
    dry_run: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    engine: Literal["local", "ray"] = "local"
    address: str = ""
    cell_cpus: float = 1.0
    cell_gpus: float = 1.0


@dataclass(frozen=True)
class Door:
    """A command or an experiment script: a plan, and the words that change it as a whole before single settings do.

    Attributes:
        plan: makes the plan that everything else changes.
        out: default output folder.
        switches: flag -> what it does to the plan, in order; the first line of its docstring is the help.
        choices: flag -> value -> what that does to the plan, before the switches; the first value is the default.
        short: short names of settings that only this door has.
        announce: lines to print before the plan runs, where it is known which device is used.
        guesses: flag -> from all flags and their words, the value of `choices` that its first one, "auto", stands for.
    """

    plan: Callable[[], Plan]
    out: str
    switches: Mapping[str, Change] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, Change]] = field(default_factory=dict)
    short: Mapping[str, str] = field(default_factory=dict)
    announce: Callable[[Any], list[str]] = lambda plan: []
    guesses: Mapping[str, Callable[[Mapping[str, list[str]]], str]] = field(default_factory=dict)


def read(door: Door, arguments: Sequence[str], *, prog: str, description: str) -> tuple[Plan, Running]:
    """The plan, not yet checked (see settings.make_again), and how to run it.

    Help and words that cannot be read end the process, as in argparse.
    """
    with unchecked():
        plan, flags = door.plan(), _split(arguments)
        short = _short_names(plan) | dict(door.short)
        flags = [(short.get(name, name), words) for name, words in flags]
        plan, flags = _leave_out(_change(door, plan, dict(flags)), flags)
        form = _form(door, plan)
        made = tyro.cli(
            type(form), default=form, args=[word for name, words in flags for word in (name, *words) if word], prog=prog,
            description=f"{description.strip()}\n\n{_describe(short)}", config=(tyro.conf.AvoidSubcommands,),
        )  # fmt: skip
    return made.plan, made.running


def _split(arguments: Sequence[str]) -> list[Flag]:
    flags: list[Flag] = [("", [])]
    for word in arguments:
        if word.startswith("--"):
            name, is_given, value = word.partition("=")
            flags.append((name.replace("_", "-"), [value] if is_given else []))
        else:
            flags[-1][1].append(word)
    return flags


def _change(door: Door, plan: Plan, given: Mapping[str, list[str]]) -> Plan:
    for name, changes in door.choices.items():
        value = next(iter(given.get(name, [])), next(iter(changes)))
        if name in door.guesses and value == next(iter(changes)):
            value = door.guesses[name](given)
        plan = changes.get(value, lambda plan: plan)(plan)  # a value that is none is refused when the words are read
    for name, change in door.switches.items():
        plan = change(plan) if name in given else plan
    return plan


def _short_names(plan: Plan) -> dict[str, str]:
    own = {f"--{each.name.replace('_', '-')}" for each in fields(plan)}  # type: ignore[arg-type]
    return {name: long for name, long in SHORT.items() if long.partition(".")[0] in own}


def _leave_out(plan: Plan, flags: list[Flag]) -> tuple[Plan, list[Flag]]:
    """Without the parts that get no epochs, or a --no- before their name; nothing else that is said of them counts."""
    last = dict(flags)
    for part in [each.name for each in fields(plan) if each.name in _PARTS]:  # type: ignore[arg-type]
        if last.get(f"--{part}.epochs") == ["0"] or f"--no-{part}" in last:
            plan = replace(plan, **{part: None})  # type: ignore[type-var]
            flags = [each for each in flags if not each[0].startswith((f"--{part}.", f"--no-{part}"))]
    return plan, flags


def _form(door: Door, plan: Plan) -> Any:
    """What tyro reads: the settings of the plan and how to run it, side by side, and the door's own words."""
    flat, running = tyro.conf.arg(name=""), Running(Path(door.out))
    own: list[tuple[str, Any, Any]] = []
    for name, changes in door.choices.items():
        listed = "; ".join(f"{value}: {_first_line(change)}" for value, change in changes.items())
        choice = Annotated[Literal[tuple(changes)], tyro.conf.arg(help=listed)]  # type: ignore[valid-type]
        own.append((_field_name(name), choice, next(iter(changes))))
    for name, change in door.switches.items():
        switch = Annotated[bool, tyro.conf.FlagCreatePairsOff, tyro.conf.arg(help=_first_line(change))]
        own.append((_field_name(name), switch, False))
    parts = [("plan", Annotated[type(plan), flat], plan), ("running", Annotated[Running, flat], running)]
    return make_dataclass("Command", [*parts, *own], frozen=True)()


def _field_name(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")


def _first_line(change: Change) -> str:
    return (change.__doc__ or "").strip().splitlines()[0]


def _describe(short: Mapping[str, str]) -> str:
    return "Short names: " + ", ".join(f"{name} for {long}" for name, long in short.items()) + "." if short else ""
