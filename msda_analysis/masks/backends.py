"""The ways in which masks can be made, where a family has several."""

import torch

from msda_analysis.checks import check_choice
from msda_analysis.masks.draws import has_triton

BACKENDS = ("auto", "numpy", "torch", "triton")


def choose_backend(backend: str, device: torch.device) -> str:
    """The way that a request stands for: "numpy", "torch" or "triton".

    "numpy": blocks that fit the cache, on as many threads as torch may use; a CPU only, and draws of its own. "torch":
    torch operations with draws by counter, on any device; the definition that the kernels are held against. "triton":
    one kernel for the whole mask where it is small, on CUDA; draws the same random words as "torch". "auto": "numpy" on
    a CPU, "triton" on a CUDA device where it is installed, else "torch".

    Raises:
        ValueError: an unknown name, or a way that cannot run here.
    """
    check_choice("backend", backend, BACKENDS)
    if backend == "auto":
        if device.type == "cpu":
            return "numpy"
        return "triton" if device.type == "cuda" and has_triton() else "torch"
    if backend == "numpy" and device.type != "cpu":
        raise ValueError(f'backend: "numpy" makes masks on a CPU, got {device}; use "auto" or "torch"')
    if backend == "triton":
        _check_triton(device)
    return backend


def _check_triton(device: torch.device) -> None:
    if not has_triton():
        raise ValueError('backend: "triton" was asked for, but Triton is not installed; use "auto" or "torch"')
    if device.type == "cuda":
        return
    from msda_analysis.masks import fourier_triton  # only where it is used: importing Triton takes a second

    if not fourier_triton.IS_INTERPRETED:
        raise ValueError(f'backend: "triton" needs a CUDA device, got {device}; use "auto" or "torch"')
