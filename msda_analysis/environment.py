"""Where a number was made: versions, commit, device; each found once a process."""

import platform
import subprocess
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

_MODULES = {"scikit-learn": "sklearn"}  # packages whose module has another name


def describe_environment(
    device: str, packages: Sequence[str] = ("torch", "torchvision", "numpy", "scipy", "foolbox", "scikit-learn")
) -> dict[str, str]:
    """Versions of what ran, commit and device; packages that are not installed are left out."""
    packages = [name for name in packages if find_spec(_MODULES.get(name, name))]
    return {
        "msda-analysis": package_version(), "commit": current_commit(), "device": device_name(device),
        "python": platform.python_version(), **{name: version(name) for name in packages},
    }  # fmt: skip


@cache
def current_commit() -> str:
    """Commit of the source tree the package runs from ("+changes" when files differ), or "" outside a git checkout."""
    folder = Path(__file__).resolve().parent
    try:
        head = _git(folder, "rev-parse", "--short=12", "HEAD")
        tracked = _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return head + ("+changes" if changes else "") if tracked else ""


@cache
def package_version() -> str:
    """Installed version of msda-analysis."""
    try:
        return version("msda-analysis")
    except PackageNotFoundError:
        return "unknown"


def cpu_threads() -> int:
    """Threads that torch uses on the CPU; the last digits of its sums depend on them."""
    import torch

    return torch.get_num_threads()


def device_name(device: str) -> str:
    """The device as results name it: "cpu", or the GPU's product name."""
    import torch

    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def usable_device(device: str) -> str:
    """The device to use: "auto" is a GPU if there is one.

    Raises:
        ValueError: it cannot be used on this machine.
    """
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # a torch without CUDA asserts
        raise ValueError(f"device: {device!r} cannot be used on this machine; try cpu or auto") from error
    return device


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True, timeout=10
    ).stdout.strip()
