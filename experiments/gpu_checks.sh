#!/usr/bin/env bash
# Everything that needs a CUDA device, in one command: parity tests, one headline row, benchmarks, then as much of the paper preset as
# time allows. Writes rows under OUT (default experiments/results/gpu); commit them with the device's name.
#
#   OUT=experiments/results/gpu SECONDS_LEFT=540 DATA=folder:PATH ROOT=PATH bash experiments/gpu_checks.sh
#
# DATA is the data set of the paper preset and of the accuracy benchmark, ROOT the folder that holds FashionMNIST/raw (else it is downloaded there).
# PYTHON names the interpreter. A run that is cut short keeps what it finished: the study goes on when started again.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONUNBUFFERED=1 PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
python=${PYTHON:-python3}
out=${OUT:-experiments/results/gpu}
left=${SECONDS_LEFT:-540}
data=${DATA:-cifar10}
root=${ROOT:-$HOME/.cache/msda_analysis}
started=$SECONDS
mkdir -p "$out"
failed=0

"$python" - <<'PY' || { echo "no CUDA device: nothing to check here"; exit 1; }
import torch
assert torch.cuda.is_available()
print(torch.cuda.get_device_name(), torch.__version__)
PY

echo "== parity on CUDA"
timeout 180 "$python" -m pytest -o addopts= -q -m gpu tests 2>&1 | tee "$out/gpu_tests.txt"
[ "${PIPESTATUS[0]}" -eq 0 ] || failed=1

echo "== one headline row: Fashion-MNIST, PreAct-ResNet18, released FMix, one seed (published: 3.64 % error)"
timeout 240 "$python" experiments/classification.py --preset fashion_preact_resnet18 --settings released --seeds 1 \
    --augmentations fmix_released --classifier.precision bfloat16 --root "$root" --device cuda --out "$out/fashion_preact_resnet18"
[ $? -eq 124 ] && echo "stopped by the clock; the same command goes on where it stopped"

echo "== masks and mixing"
timeout 120 "$python" -m msda_analysis.cli bench masks --device cuda --out "$out/bench_masks" || failed=1

echo "== training"
timeout 90 "$python" -m msda_analysis.cli bench training --device cuda --out "$out/bench_training" || failed=1

echo "== what mixing costs a training step"
timeout 90 "$python" -m msda_analysis.cli bench cost --device cuda --out "$out/bench_cost" || failed=1

echo "== robustness"
timeout 120 "$python" -m msda_analysis.cli bench robustness --device cuda --out "$out/bench_robustness" || failed=1

echo "== accuracy by training time"
timeout 150 "$python" -m msda_analysis.cli bench accuracy --dataset "$data" --root "$root" --limit-s 40 --device cuda \
    --out "$out/bench_accuracy" || failed=1

remaining=$((left - (SECONDS - started)))
echo "== paper preset, $remaining s"
if [ "$remaining" -gt 30 ]; then
    timeout "$remaining" "$python" experiments/vae_information.py --preset paper --dataset "$data" --seeds 5 \
        --precision bfloat16 --device cuda --out "$out/vae_information_paper"
    [ $? -eq 124 ] && echo "stopped by the clock; the same command goes on where it stopped"
fi
exit "$failed"
