# For suites that are pytest: source it, then  pytest_suite tests/cli
# Prints pytest's own output, why each skipped test was skipped, and the line that scripts/test.sh reads.
pytest_suite() {
  local log status=0 summary count
  log=$(mktemp)
  "${ONECOPY_PYTHON:-python3}" -m pytest -q -rs -p no:cacheprovider --color=no "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  summary=$(grep -E '^[0-9]+ (passed|failed|skipped|error|xfailed|deselected|warning)' "$log" | tail -n 1)
  rm -f "$log"
  count() { grep -oE "[0-9]+ $1" <<<"$summary" | grep -oE '[0-9]+' || echo 0; }
  local failed
  failed=$(($(count failed) + $(count 'errors?')))
  if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  printf '%d passed, %d failed, %d skipped\n' "$(count passed)" "$failed" "$(count skipped)"
  [ "$failed" -eq 0 ]
}
