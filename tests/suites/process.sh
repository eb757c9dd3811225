#!/usr/bin/env bash
# Real processes: killed, in crowds, forked, and with too little of everything.
set -uo pipefail
# Those of lazy objects have a suite of their own, pager.sh.
programs=()
for program in "${ONECOPY_BUILD:-build/release}"/tests/process_*; do
  [[ $program == */process_pager_* ]] || programs+=("$program")
done
output=$(python3 tests/support/run_gtest.py --seconds 400 -- "${programs[@]}")
printf '%s\n' "$output"
read -r passed failed skipped < <(tail -n 1 <<<"$output" | sed -nE 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p')
if [ -z "${passed:-}" ]; then passed=0 failed=1 skipped=0; fi

# The example of many processes: fails unless every font was whole, evictions freed memory, and nothing was left over.
if timeout 120 "${ONECOPY_BUILD:-build/release}"/examples/font_cache/font_cache 3 4; then
  passed=$((passed + 1))
  echo "ok      examples/font_cache"
else
  failed=$((failed + 1))
  echo "FAILED  examples/font_cache"
fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
