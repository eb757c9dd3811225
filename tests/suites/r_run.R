# Runs the tests of the R package against the installed package, counts, and says why a test was skipped.
# Arguments: nothing; or a pattern of the files to run (test-lazy.R is `lazy`); or `not` and a pattern of those to leave out.
suppressMessages({
  library(testthat)
  library(onecopy)
})
Sys.setenv(NOT_CRAN = "true")
given <- commandArgs(TRUE)
pattern <- if (length(given) == 2L) sprintf("^(?!%s)", given[2L]) else if (length(given)) given
results <- test_dir("r/tests/testthat", filter = pattern, perl = TRUE, package = "onecopy", load_package = "installed",
                    reporter = "summary", stop_on_failure = FALSE)
passed <- failed <- skipped <- 0L
for (test in results) {
  kinds <- vapply(test$results, function(r) class(r)[1L], "")
  bad <- kinds %in% c("expectation_failure", "expectation_error")
  skip <- kinds == "expectation_skip"
  if (any(bad)) failed <- failed + 1L
  else if (any(skip)) {
    skipped <- skipped + 1L
    cat("skipped:", test$test, "-", conditionMessage(test$results[[which(skip)[1L]]]), "\n")
  } else passed <- passed + 1L
}
cat(sprintf("%d passed, %d failed, %d skipped\n", passed, failed, skipped))
quit(status = if (failed) 1L else 0L)
