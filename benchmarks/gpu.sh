#!/usr/bin/env bash
# Fills the GPU's tables of benchmarks/README.md; for one NVIDIA GPU.
#
# On an H200 six minutes were not enough: see benchmarks/README.md. The limits are longer since.
#
#   benchmarks/gpu.sh PHOTOGRAPHS GROUND_TRUTH [FOLDER]
#
#   PHOTOGRAPHS   a folder of images of mixed sizes, 40 of about 1024 x 768 for instance
#   GROUND_TRUTH  gnd_roxford5k.pkl
#   FOLDER        for weights, caches and a database of 8 GB, which goes at the end
#   BUDGET        in the environment: seconds for all of it, 900 if it is not given
#
# Builds and downloads nothing; Python is $PYTHON, or else python3. Every part has its own limit of
# time, and one that fails does not stop the next. The most valuable parts come first; all rows
# stand together at the end. TINY=1 tries the script with a tiny network, on CPUs too.
set -u
cd "$(dirname "$0")/.." || exit 1
photographs=$1 ground_truth=$2
folder=${3:-$(mktemp -d)}
python=${PYTHON:-python3} budget=${BUDGET:-900}
export PYTHONUNBUFFERED=1 XLA_PYTHON_CLIENT_MEM_FRACTION=0.9 TF_CPP_MIN_LOG_LEVEL=2

model=r50 copies=8 rounds=2 rows=1000000 limit=1
training=(--batch=18 --steps=10 --rounds=3)
if [ "${TINY:-}" ]; then
  model=tiny copies=1 rounds=1 rows=6000 limit=20
  training=(--model=tiny --side_pixels=48 --classes=50 --batch=6 --steps=1 --rounds=1 --only_batch)
fi
log=$folder/gpu.log
mkdir -p "$folder" && : > "$log"

part() {  # SECONDS COMMAND...
  local seconds=$(($1 * limit)) left=$((budget * limit - SECONDS))
  shift
  echo "== $* (at $SECONDS s)"
  if [ "$left" -lt 10 ]; then
    echo "| SKIPPED, no time is left: $* |" | tee -a "$log"
    return
  fi
  [ "$seconds" -gt "$left" ] && seconds=$left
  timeout --kill-after=5 "$seconds" "$@" 2>&1 | tee -a "$log"
  local status=${PIPESTATUS[0]}
  [ "$status" = 0 ] || echo "| FAILED with $status: $* |" | tee -a "$log"
}

extraction() {  # SECONDS SIDE...
  part "$1" "$python" -m benchmarks.gpu_extraction --weights="$folder/$model" \
    --photographs="$photographs" --folder="$folder" --copies="$copies" --rounds="$rounds" \
    --side="${@:2}"
}

train() { part "$1" "$python" -m benchmarks.gpu_training --side="$2" "${training[@]}"; }

nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader | tee -a "$log"
nproc
JAX_PLATFORMS=cpu part 90 "$python" -m senet_jax convert "random:$model:0" "$folder/$model"
JAX_PLATFORMS=cpu extraction 70 theirs
extraction 180 bfloat16
extraction 180 tf32
train 300 ours
extraction 180 float32 --cold
JAX_PLATFORMS=cpu train 90 theirs
part 90 "$python" -m benchmarks.evaluation_at_scale --ground_truth="$ground_truth" \
  --rows="$rows" --argsort_rows=4993 --rounds=1 --folder="$folder"

echo "== all rows (at $SECONDS s)"
grep -a -e '^|' -e '^medians at' -e 'rows: mAP' "$log"
