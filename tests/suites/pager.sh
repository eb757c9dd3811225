#!/usr/bin/env bash
# Lazy objects: filling, eviction, writing back, killed pagers, forks, runners; as this user and as an ordinary one.
set -uo pipefail
source tests/support/suite.sh

# The cases of one GoogleTest program, each counted.
run_program() {  # run_program NAME
  local program=$ONECOPY_BUILD/tests/$1 log ok bad skip status=0
  if [ ! -x "$program" ]; then
    failed=$((failed + 1))
    echo "FAILED  $program is not built"
    return
  fi
  log=$(mktemp)
  timeout 280 "$program" >"$log" 2>&1 </dev/null || status=$?
  ok=$(grep -c '^\[       OK \]' "$log")
  bad=$(grep '^\[  FAILED  \]' "$log" | grep -c ' ms)$')
  skip=$(grep '^\[  SKIPPED \]' "$log" | grep -c ' ms)$')
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then bad=1; fi
  [ "$bad" -eq 0 ] || tail -n 60 "$log"
  grep -A1 'Skipped$' "$log" || true
  echo "$1: $ok passed, $bad failed, $skip skipped"
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
  rm -f "$log"
}

for name in unit_pager process_pager_fill process_pager_write process_pager_runner process_pager_survive; do
  run_program "$name"
done
finish
