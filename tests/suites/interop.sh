#!/usr/bin/env bash
# What R and Python share, read in R, in Python and with the tool.
set -uo pipefail
output=$(timeout 600 "${ONECOPY_PYTHON:-python3}" -m pytest -q -p no:cacheprovider tests/interop 2>&1)
printf '%s\n' "$output"
count() { grep -oE "[0-9]+ $1" <<<"$(tail -n 1 <<<"$output")" | grep -oE '[0-9]+' || echo 0; }
passed=$(count passed) failed=$(($(count failed) + $(count error))) skipped=$(count skipped)
if [ "$passed" -eq 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ]
