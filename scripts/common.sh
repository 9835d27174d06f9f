# Sourced by the other scripts: where things are, and how they speak. Words go to stderr.
# shellcheck shell=bash disable=SC2034

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
export HOME
# Outside the tree, so that a fresh clone finds it; cmake/LibTorch.cmake looks in the same place.
libtorch_dir=${ADDER_LIBTORCH_DIR:-${ADDER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/adder}/libtorch-2.11.0}

say() { printf '%s\n' "$*" >&2; }

# die WHAT [NEXT]: what went wrong, and what to do about it.
die() {
  say "error: $1"
  [ $# -lt 2 ] || say "  next: $2"
  exit 1
}

# A source file that sees LibTorch may take 2.5 GB to compile.
build_jobs() {
  local cores memory_kb by_memory
  cores=$(nproc)
  memory_kb=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
  by_memory=$((memory_kb / 2500000))
  [ "$by_memory" -ge 1 ] || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}
