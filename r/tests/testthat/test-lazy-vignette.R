# The code of the vignette about lazy vectors runs, and what it shows as an error is one.
test_that("the vignette's code runs", {
  path <- file.path("..", "..", "vignettes", "lazy.Rmd")
  skip_if_not(file.exists(path), "the vignettes are not beside these tests")
  skip_if_not_installed("data.table")
  lines <- readLines(path)
  begins <- grep("^```\\{r", lines)
  ends <- vapply(begins, function(from) from + which(lines[-seq_len(from)] == "```")[1L], 1)
  expect_gt(length(begins), 6)
  place <- new.env(parent = globalenv())
  for (k in seq_along(begins)) {
    if (grepl("include = FALSE", lines[begins[k]])) next
    code <- parse(text = lines[(begins[k] + 1):(ends[k] - 1)], keep.source = FALSE)
    wanted <- grepl("error = TRUE", lines[begins[k]])
    failed <- NULL
    output <- capture.output(failed <- tryCatch({
      for (line in code) print(eval(line, place))
      NULL
    }, error = conditionMessage))
    if (wanted) expect_match(failed, "no data before noon") else expect_null(failed, info = lines[begins[k]])
  }
  expect_true(all(place$y[624975001:624975002]))
  expect_true(is.lazy(place$column))
  expect_identical(readRDS(place$kept)[7], 1)
})
