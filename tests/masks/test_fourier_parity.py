"""The Triton kernels against the reference: through Triton's interpreter in a process of its own, on CUDA where there is one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from msda_analysis import CutMix, FMix, MixUp
from msda_analysis.masks.sampling import masks_from_key

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
@pytest.mark.parametrize("size", [(32, 32), (96, 100)], ids=str)
@pytest.mark.parametrize(
    "family", [FMix(), FMix(spectrum="released"), FMix(max_soft=0.2), CutMix(), MixUp(reformulate=True)], ids=repr
)
@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_a_captured_sampler_makes_new_masks_at_each_replay(family, size, backend):
    key = torch.zeros((), dtype=torch.int64, device="cuda")

    def masks_of(key):
        batch = masks_from_key(family, 8, size, key, torch.device("cuda"), backend=backend)
        return batch.masks, batch.lam

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        masks_of(key)  # kernels, tables and the FFT plan, which a capture may not make
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = masks_of(key)
    seen = []
    for value in (5, 0x5DEECE66D1234567, 5):
        key.fill_(value)
        graph.replay()
        for found, expected in zip(captured, masks_of(value), strict=True):
            assert torch.equal(found, expected)
        seen.append(captured[0].clone())
    assert torch.equal(seen[0], seen[2]) and not torch.equal(seen[0], seen[1])


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
