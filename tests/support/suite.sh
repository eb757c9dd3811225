# For tests/suites/*.sh written in bash: count checks, print each, end with the line that scripts/test.sh reads.
#
#     source tests/support/suite.sh
#     check "what must hold" command arguments...
#     skip "what was not tried" "why"
#     finish
passed=0 failed=0 skipped=0

# Runs the command; its output is shown only when it fails. A command may be a function of the script.
check() {
  local what=$1 output status
  shift
  output=$("$@" 2>&1) && status=0 || status=$?
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
    printf 'ok      %s\n' "$what"
  else
    failed=$((failed + 1))
    printf 'FAILED  %s (status %s)\n' "$what" "$status"
    printf '%s\n' "$output" | tail -n 60 | sed 's/^/        /'
  fi
}

skip() {
  skipped=$((skipped + 1))
  printf 'skipped %s: %s\n' "$1" "$2"
}

finish() {
  printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
  [ "$failed" -eq 0 ]
}
