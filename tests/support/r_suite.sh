# For tests/suites/r*.sh: the tests of the R package that tests/suites/r_run.R is asked for, and the line of totals.
#
#     source tests/support/r_suite.sh
#     r_suite '^lazy'

r_suite() {
  local output status totals
  output=$(mktemp)
  Rscript --vanilla tests/suites/r_run.R "$@" 2>&1 | tee "$output"
  status=${PIPESTATUS[0]}
  totals=$(grep -aE '^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$' "$output" | tail -n 1)
  rm -f "$output"
  # The package parallel grumbles at the end of R when children that the tests killed are gone already, and fails R with
  # it. But R that is killed by a signal after its last test has failed too.
  if [ "$status" -ge 128 ] && [[ $totals =~ \ 0\ failed, ]]; then totals="0 passed, 1 failed, 0 skipped"; fi
  printf '%s\n' "${totals:-0 passed, 1 failed, 0 skipped}"
  [[ $totals =~ \ 0\ failed, ]]
}
