# shellcheck shell=bash
#
# Runs commands in process groups of their own, so that each can be ended together
# with all that it has started.
#
# Sourced, never run, under `set -euo pipefail`.

# How long a group may take to end before it is killed.
GROUPS_END_SECONDS=10

# The group that `group_run` is waiting for, if any.
GROUP_RUNNING=""

# Starts `COMMAND…` in a group of its own, in the background, and leaves the group
# in GROUP_STARTED. The group has no terminal input, and Ctrl-C does not reach it.
group_start() {
  set -m
  "$@" </dev/null &
  GROUP_STARTED=$!
  set +m
}

# Runs `COMMAND…` and returns its status. Unlike a command in the foreground, a trap
# of this shell does not have to wait until it has ended.
group_run() {
  local status=0
  group_start "$@"
  GROUP_RUNNING=$GROUP_STARTED
  wait "$GROUP_RUNNING" || status=$?
  GROUP_RUNNING=""
  return "$status"
}

# Ends groups, politely at first, and fails if one is still there afterwards.
groups_end() {
  local group deadline=$((SECONDS + GROUPS_END_SECONDS)) status=0
  for group in "$@"; do
    group_signal TERM "$group"
  done
  for group in "$@"; do
    group_await_end "$group" "$deadline"
    if group_exists "$group"; then
      group_signal KILL "$group"
      group_await_end "$group" $((SECONDS + GROUPS_END_SECONDS))
    fi
    wait "$group" 2>/dev/null || true
    if group_exists "$group"; then
      printf 'error: process group %s did not end\n' "$group" >&2
      status=1
    fi
  done
  return "$status"
}

group_await_end() {
  local group=$1 deadline=$2
  while group_exists "$group" && ((SECONDS < deadline)); do
    sleep 0.05
  done
}

group_exists() { kill -0 -- "-$1" 2>/dev/null; }
group_signal() { kill "-$1" -- "-$2" 2>/dev/null || true; }
