# A source written in C++ by another package: examples/r-lazy-source.
# Not `::`, for which R CMD check wants the package declared; nobody else can install it.
scaledFile <- function(...) getExportedValue("onecopyscaled", "scaledFile")(...)

test_that("a package that links to onecopy fills lazy vectors with its own C++", {
  skip_if_not_installed("onecopyscaled")
  file <- tempfile()
  numbers <- rep_len(c(-32768L, 0L, 7L, 32767L, 12L), 300000)
  writeBin(numbers, file, size = 2)
  x <- scaledFile(file, scale = 0.5, offset = 10)
  expect_true(is.lazy(x))
  expect_identical(length(x), 300000L)
  expect_identical(x[123456], numbers[123456] * 0.5 + 10)
  expect_identical(as.vector(x), numbers * 0.5 + 10)
  expect_identical(sum(x + 1 > 10), sum(numbers * 0.5 + 11 > 10))
  # Another process attaches to it.
  seen <- callr::r(function(x) x[c(1, 300000)], list(x))
  expect_identical(seen, numbers[c(1, 300000)] * 0.5 + 10)
})

test_that("it finds the pager of onecopy, in whichever library of R either is", {
  skip_if_not_installed("onecopyscaled")
  file <- tempfile()
  writeBin(1:1000, file, size = 2)
  store <- tempfile("store-", dirname(Sys.getenv("ONECOPY_DIR", "/dev/shm/x")))  # where no pager runs yet
  dir.create(store, mode = "0700")
  on.exit(remove_store(store))
  seen <- callr::r(function(file) getExportedValue("onecopyscaled", "scaledFile")(file)[1000], list(file),
                   libpath = .libPaths(), env = c(callr::rcmd_safe_env(), ONECOPY_DIR = store))
  expect_identical(seen, 1000)
})

test_that("what was changed goes back to its file, and what can't is an error", {
  skip_if_not_installed("onecopyscaled")
  file <- tempfile()
  writeBin(1:1000, file, size = 2)
  x <- scaledFile(file, scale = 0.25, writable = TRUE)
  x[10] <- 100
  lazyFlush(x)
  expect_identical(readBin(file, "integer", 1000, size = 2)[9:11], c(9L, 400L, 11L))
  x[11] <- 1e6
  handle <- sharedHandle(x)
  expect_error(suppressWarnings(lazyFlush(x)), "16 bits")
  x <- attachShared(handle)  # R 4.6 would copy: what an error interrupted counts as another name of x
  x[11] <- 0
  lazyFlush(x)
  expect_identical(readBin(file, "integer", 1000, size = 2)[11], 0L)
})

test_that("a file that becomes shorter is an error of the touch", {
  skip_if_not_installed("onecopyscaled")
  expect_error(scaledFile(tempfile()), "file_size|No such file")
  file <- tempfile()
  writeBin(rep(1L, 200000), file, size = 2)
  x <- scaledFile(file)
  writeBin(1L, file, size = 2)
  expect_error(x[150000], "became shorter")
  writeBin(rep(3L, 200000), file, size = 2)
  expect_identical(x[150000], 3)
})
