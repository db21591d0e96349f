#!/bin/bash
# Slurm jobs that write one result in parts: an array of PARTS tasks, then a job that puts the result in place.
# Run `bash slurm.sh` where you submit jobs. If a task fails, run it again: parts that are done return at once.
#SBATCH --job-name=initctl
#SBATCH --cpus-per-task=4
#SBATCH --mem=2G
#SBATCH --time=00:30:00
set -euo pipefail

export CHECKPOINT=${CHECKPOINT:-net.safetensors} RECIPE=${RECIPE:-recipe.toml} OUTPUT=${OUTPUT:-init.safetensors}
export PLAN=${PLAN:-plan.json} PARTS=${PARTS:-8}

case "${1:-submit}" in
submit)
    initctl plan "$CHECKPOINT" -f "$RECIPE" --save "$PLAN" --quiet
    array=$(sbatch --parsable --array="1-$PARTS" "$0" part)
    sbatch --parsable --dependency="afterok:$array" --kill-on-invalid-dep=yes "$0" commit
    ;;
part)
    initctl apply "$CHECKPOINT" --plan "$PLAN" -o "$OUTPUT" --threads "$SLURM_CPUS_PER_TASK" \
        --part "$SLURM_ARRAY_TASK_ID/$PARTS"
    ;;
commit)
    initctl apply "$CHECKPOINT" --plan "$PLAN" -o "$OUTPUT" --threads "$SLURM_CPUS_PER_TASK" --commit
    ;;
esac
