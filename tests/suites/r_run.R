# Runs every test of the R package against the installed package, counts, and says why a test was skipped.
suppressMessages({
  library(testthat)
  library(onecopy)
})
Sys.setenv(NOT_CRAN = "true")
results <- test_dir("r/tests/testthat", package = "onecopy", load_package = "installed", reporter = "summary",
                    stop_on_failure = FALSE)
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
