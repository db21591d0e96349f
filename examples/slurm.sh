#!/bin/bash
# A Slurm job array that makes one baseline for each seed from one checkpoint. Submit it with `sbatch slurm.sh`.
# An existing baseline is only verified, so you can run a job again.
#SBATCH --job-name=baselines
#SBATCH --array=0-4
#SBATCH --cpus-per-task=4
#SBATCH --mem=2G
#SBATCH --time=00:30:00
set -euo pipefail

checkpoint=${CHECKPOINT:-net.safetensors}
recipe=${RECIPE:-recipe.toml}
seed=$SLURM_ARRAY_TASK_ID
output=baseline-$seed.safetensors

if [ ! -e "$output" ]; then
    initctl apply "$checkpoint" -o "$output" -f "$recipe" --seed "$seed" --threads "$SLURM_CPUS_PER_TASK" --quiet
fi
initctl verify "$output" -f "$recipe" --seed "$seed" --against "$checkpoint" --threads "$SLURM_CPUS_PER_TASK"
