# What the vignettes show is run, and gives what they say.

test_that("the code of the vignettes runs from top to bottom", {
  skip_if_not_installed("knitr")
  folder <- test_path("..", "..", "vignettes")
  skip_if(!dir.exists(folder), "the vignettes are not beside the tests")
  for (file in list.files(folder, "[.]Rmd$", full.names = TRUE)) {
    # Errors end it, but in the blocks that are there to show one.
    ran <- in_child(function(file) {
      setwd(tempdir())
      knitr::opts_chunk$set(error = FALSE)
      knitr::knit(file, tempfile(fileext = ".md"), quiet = TRUE, envir = new.env(parent = globalenv()))
      "to the end"
    }, list(normalizePath(file)))
    expect_identical(ran, "to the end", info = basename(file))
  }
})

test_that("what the migration page gives for functions of bigmemory and mori", {
  m <- matrix(runif(20), 5)
  x <- share(m, copyOnWrite = FALSE)
  expect_identical(x[2, 3], m[2, 3])
  x[2, 3] <- 7
  expect_identical(attachShared(sharedHandle(x))[2, 3], 7)
  n <- 4
  k <- 3
  empty <- SharedObject("numeric", n * k, attrib = list(dim = c(n, k)), copyOnWrite = FALSE)
  expect_identical(dim(empty), c(4L, 3L))
  path <- file.path(tempdir(), "m.onecopy")
  share(m, path = path)
  expect_identical(attachShared(path = path)[], m)
  expect_true(is.shared(structure(share(as.numeric(1:1000)), note = "wrapped")))
  expect_type(collectSharedMemory()$objects, "double")
})
