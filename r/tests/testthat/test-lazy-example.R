# examples/bigger_than_memory, small.
main <- file.path("..", "..", "..", "examples", "bigger_than_memory", "main.R")

test_that("four processes stay within the budget, and the answers are right", {
  skip_if_not(file.exists(main), "the examples are not beside these tests")
  skip_if_not_installed("data.table")
  png <- tempfile(fileext = ".png")
  said <- suppressWarnings(system2(file.path(R.home("bin"), "Rscript"),
                                   c("--vanilla", main, "--budget", "8M", "--times", "3", "--png", png),
                                   stdout = TRUE, stderr = TRUE))
  expect_null(attr(said, "status"), info = paste(said, collapse = "\n"))
  expect_identical(sum(grepl("as expected", said)), 4L)
  expect_gte(length(unique(sub(".*in process ([0-9]+).*", "\\1", grep("in process", said, value = TRUE)))), 4)
  expect_gt(as.numeric(sub(".* ([0-9]+) given back.*", "\\1", grep("given back", said, value = TRUE))), 0)
  expect_identical(readBin(png, "raw", 4)[2:4], charToRaw("PNG"))
})

test_that("an argument that makes no sense is told", {
  skip_if_not(file.exists(main), "the examples are not beside these tests")
  ask <- function(...) suppressWarnings(system2(file.path(R.home("bin"), "Rscript"), c("--vanilla", main, ...),
                                                stdout = TRUE, stderr = TRUE))
  expect_match(paste(ask("--budget", "soon"), collapse = " "), "soon is no size")
  expect_match(paste(ask("--budget", "1K"), collapse = " "), "budget")
  expect_match(paste(ask("--help", "1"), collapse = " "), "usage")
})
