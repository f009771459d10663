"""The Triton kernels against the reference: through Triton's interpreter in a process of its own, on CUDA where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="triton is not installed")
CASES = Path(__file__).with_name("triton_cases.py")


def test_kernels_agree_with_the_reference_in_the_interpreter():
    # the variable must be set before the kernels are defined, hence the process
    environment = {**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-x", str(CASES)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    assert "skipped" not in run.stdout and "passed" in run.stdout


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: compiled kernels cannot run here")
def test_compiled_kernels_agree_with_the_reference():
    assert pytest.main(["-q", "-x", str(CASES)]) == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device: nothing to capture in a CUDA graph")
@pytest.mark.parametrize("spectrum", ["isotropic", "released"])
def test_the_pure_part_can_be_captured_in_a_cuda_graph(spectrum):
    from msda_analysis.masks import fourier

    device, size = torch.device("cuda"), (32, 32)
    noise = torch.randn(8, *fourier.noise_shape(size, spectrum), device=device)
    lam = torch.rand(8, dtype=torch.float64, device=device)

    def masks_of():
        return fourier.binarize(fourier.grey_images(noise, size, 3.0, spectrum), lam)

    expected = masks_of()  # also makes the tables and the FFT plan, which a capture may not
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        masks = masks_of()
    graph.replay()
    assert torch.equal(masks, expected)
    noise.normal_()
    graph.replay()
    assert torch.equal(masks, masks_of()) and not torch.equal(masks, expected)
