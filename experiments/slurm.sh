#!/usr/bin/env bash
# A study on a Slurm cluster: an array of jobs that share one folder, each with its part of the cells. A job whose time is up
# saves the training that it is at, goes back into the queue, and goes on from there.
#
#   sbatch --array=1-8 experiments/slurm.sh --dataset cifar10 --seeds 5 --out runs/cifar10
#
# and when all are done once more without --array, for cells that need those of other parts, and for the report.
#
#SBATCH --job-name=msda
#SBATCH --time=04:00:00
#SBATCH --cpus-per-task=8
#SBATCH --gpus=1
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=USR1@300
# to what srun starts, 300 seconds before the end: more than a training step takes

part="${SLURM_ARRAY_TASK_ID:-1}/${SLURM_ARRAY_TASK_COUNT:-1}"
srun msda-analysis study "$@" --shard "$part" --threads "${SLURM_CPUS_PER_TASK:-0}" --device auto
code=$?
if [ "$code" -eq 99 ]; then  # SIGUSR1 came
    # of an array the one job: the id alone may stand for all
    scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
fi
exit "$code"
