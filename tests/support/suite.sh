# For tests/suites/*.sh written in bash: count checks, print each, end with the line that scripts/test.sh reads.
#
#     source tests/support/suite.sh
#     check "what must hold" command arguments...
#     gtests --filter='-Slow*' -- PROGRAM...
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

# Runs GoogleTest programs (the arguments are those of run_gtest.py) and counts each case.
gtests() {
  local output
  output=$(python3 tests/support/run_gtest.py "$@" 2>&1)
  count_gtests "$output"
}

# Prints what run_gtest.py has said, and counts it.
count_gtests() {
  local output=$1
  printf '%s\n' "$output"
  if [[ $(tail -n 1 <<<"$output") =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
    passed=$((passed + BASH_REMATCH[1])) failed=$((failed + BASH_REMATCH[2])) skipped=$((skipped + BASH_REMATCH[3]))
  else
    failed=$((failed + 1))
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
