"""Each kernel compiles to machine code for compute capability 9.0: no GPU is needed, and the interpreter does not show it."""

import pytest

triton = pytest.importorskip("triton", reason="triton is not installed")

from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

from msda_analysis.masks import blend_triton, draws_triton, fourier_triton  # noqa: E402

FLOATS, KEYS, NUMBER = "*fp32", "*i64", "i32"
TILE = {"H": 16, "W": 16}
KERNELS = {
    fourier_triton._philox_normals_kernel: ({"normals": FLOATS, "key": KEYS, "count": NUMBER}, {"BLOCK": 64}),
    draws_triton._philox_uniforms_kernel: (
        {"out": "*fp64", "key": KEYS, "count": NUMBER, "n_values": NUMBER}, {"BLOCK": 256},
    ),
    fourier_triton._keep_brightest_kernel: (
        {"fields": FLOATS, "counts": KEYS, "masks": FLOATS, "n_cells": NUMBER}, {"BLOCK": 256},
    ),
    fourier_triton._product_kernel: (
        {"out": FLOATS, "counts": KEYS, "key": KEYS, "scale": FLOATS, "waves_height": FLOATS, "waves_width": FLOATS,
         "height": NUMBER, "width": NUMBER},
        {**TILE, "THRESHOLDS": True},
    ),
    fourier_triton._released_kernel: (
        {"out": FLOATS, "counts": KEYS, "key": KEYS, "along": FLOATS, "across": FLOATS, "height": NUMBER,
         "width": NUMBER},
        {**TILE, "K": 16, "THRESHOLDS": True},
    ),
    blend_triton._blend_kernel: (
        {"images": FLOATS, "permutation": KEYS, "masks": FLOATS, "out": FLOATS, "channels": NUMBER, "cells": NUMBER,
         "mask_step": NUMBER, "cell_step": NUMBER},
        {"BLOCK": 1024, "WIDE": triton.language.float32},
    ),
}  # fmt: skip


def test_no_kernel_is_left_out():
    found = {
        kernel
        for module in (fourier_triton, blend_triton, draws_triton)
        for name, kernel in vars(module).items()
        if name.endswith("_kernel")
    }
    assert found == set(KERNELS) and len(found) == 6


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:TRITON_DEFAULT_FP_FUSION is unset")
@pytest.mark.parametrize("tile", [16, 32, 64])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda kernel: kernel.__name__.strip("_"))
def test_a_kernel_compiles_for_a_gpu(kernel, tile, tmp_path, monkeypatch):
    if fourier_triton.IS_INTERPRETED:
        pytest.skip("kernels are interpreted in this process")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    arguments, constants = KERNELS[kernel]
    if "H" not in constants and tile > TILE["H"]:
        pytest.skip("no tile")
    constants = {name: tile if name in TILE else value for name, value in constants.items()}
    signature = {**arguments, **dict.fromkeys(constants, "constexpr")}
    compiled = triton.compile(ASTSource(kernel, signature, constexprs=constants), target=GPUTarget("cuda", 90, 32))
    assert ".target sm_90" in compiled.asm["ptx"] and len(compiled.asm["cubin"]) > 1000
