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

# refuse_sudo: `sudo SCRIPT` in a user's tree would leave files of root's that the user cannot build with again.
refuse_sudo() {
  [ "$(id -u)" != 0 ] || [ -z "${SUDO_USER:-}" ] || [ "$(stat -c %u "$root")" = 0 ] ||
    die "this was started with sudo" "run it without sudo: it asks for sudo itself where it needs it"
}

# own_cgroups: the folders of this process's control group and those above it, where there are any.
own_cgroups() {
  local group
  group=$(sed -n 's/^0:://p' /proc/self/cgroup 2>/dev/null) || true
  while :; do
    group=${group%/}
    [ ! -d "/sys/fs/cgroup$group" ] || echo "/sys/fs/cgroup$group"
    [ -n "$group" ] || return 0
    group=${group%/*}
  done
}

# A source file that sees LibTorch may take 2.5 GB to compile. A container may grant less of cores and
# memory than the machine has.
build_jobs() {
  local jobs memory_kb group quota period limit used spare free_kb by_memory
  jobs=$(nproc)
  memory_kb=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
  while read -r group; do
    if read -r quota period <"$group/cpu.max" && [ "$quota" != max ]; then
      quota=$(((quota + period - 1) / period))
      jobs=$((jobs < quota ? jobs : quota))
    fi
    if read -r limit <"$group/memory.max" && [ "$limit" != max ] &&
      read -r used <"$group/memory.current"; then
      spare=$(awk '$1 == "inactive_file" {print $2}' "$group/memory.stat" || true) # cache, given up on demand
      free_kb=$(((limit - used + ${spare:-0}) / 1024))
      memory_kb=$((memory_kb < free_kb ? memory_kb : free_kb))
    fi
  done 2>/dev/null < <(own_cgroups)
  by_memory=$((memory_kb / 2500000))
  [ "$by_memory" -ge 1 ] || by_memory=1
  echo $((jobs < by_memory ? jobs : by_memory))
}
