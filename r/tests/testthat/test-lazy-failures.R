# What goes wrong outside of R: files, runners, the pager. Each is an error at the touch, never a hang and never zeros.
touch <- function(x, i = 1) tryCatch(x[i], error = conditionMessage)

# The pager of this store, by its environment.
pager_process <- function() {
  for (pid in list.files("/proc", "^[0-9]+$")) {
    name <- suppressWarnings(tryCatch(readLines(file.path("/proc", pid, "comm")), error = function(e) ""))
    if (!identical(name, "onecopy-pager")) next
    environment <- suppressWarnings(tryCatch(readBin(file.path("/proc", pid, "environ"), "raw", 1e5), error = function(e) raw()))
    environment[environment == as.raw(0)] <- as.raw(10)
    if (paste0("ONECOPY_DIR=", Sys.getenv("ONECOPY_DIR")) %in% strsplit(rawToChar(environment), "\n")[[1L]]) return(as.integer(pid))
  }
  NULL
}

test_that("a binary file that is mapped in place, cut short, removed and replaced", {
  path <- tempfile()
  on.exit(unlink(path))
  writeBin(as.double(1:50000), path)
  before <- lazyUsage()
  x <- lazyBinary(path)
  status <- function(x) lazyStatus(x)[["inPlace"]]
  expect_equal(status(x), 1)
  expect_identical(as.vector(x), as.double(1:50000))
  expect_identical(sum(x > 25000), 25000L)
  expect_identical(lazyUsage()[c("resident", "fills")], before[c("resident", "fills")])
  expect_identical(callr::r(function(x) c(x[50000], onecopy::lazyStatus(x)[["inPlace"]]), list(x)), c(50000, 1))
  y <- x
  y[3] <- -1
  expect_identical(c(x[3], y[3], readBin(path, "double", 3)[3]), c(3, -1, 3))
  lazyPin(x, 1, 1000)
  lazyUnpin(x, 1, 1000)
  lazyRelease(x)
  system2("truncate", c("-s", "8000", path))
  expect_match(touch(x, 50000), "the file has only 8000")
  expect_match(tryCatch(sum(x), error = conditionMessage), "the file has only 8000")
  expect_match(touch(x, 40000:50000), "the file has only 8000")
  seen <- tryCatch(crossprod(unclass(x)), error = conditionMessage)
  expect_true(is.nan(seen) || is.character(seen))
  expect_match(touch(x, 50000), "the file has only 8000")
  expect_identical(x[5], 5)
  whole <- tempfile()
  writeBin(as.double(1:50000), whole)
  system2("dd", c(paste0("if=", whole), paste0("of=", path), "conv=notrunc", "status=none"))
  expect_identical(x[50000], 50000)
  unlink(path)
  expect_identical(x[50000], 50000)  # still there for those who have it mapped
  writeBin(as.double(1:50000), path)
  expect_equal(status(lazyBinary(path, inPlace = FALSE)), 0)
  expect_equal(status(lazyBinary(path, write = TRUE)), 0)
  expect_equal(status(lazyBinary(path, endian = setdiff(c("big", "little"), .Platform$endian))), 0)
  expect_equal(status(lazyBinary(path, stride = 16)), 0)
  expect_equal(status(lazyBinary(path, offset = 4)), 0)
  expect_equal(status(lazyBinary(path, "complex", offset = 8)), 1)
})

test_that("a binary file that is missing, cut short or no file", {
  path <- tempfile()
  writeBin(as.double(1:50000), path)
  kept <- tempfile()
  file.copy(path, kept)
  x <- lazyBinary(path, inPlace = FALSE)
  unlink(path)
  expect_match(touch(x, 50000), "[Nn]o such file")
  writeBin(as.double(1:10), path)
  expect_match(touch(x, 50000), "the file has only 80\\.")
  unlink(path)
  dir.create(path)
  expect_match(touch(x, 50000), "directory|regular")
  unlink(path, recursive = TRUE)
  file.copy(kept, path)
  expect_identical(x[50000], 50000)
  lazyRelease(x)
  system2("truncate", c("-s", "800", path))
  expect_match(touch(x, 50000), "the file has only 800\\.")
})

test_that("reading through a pointer: the next use says so, and nothing is zero", {
  flag <- tempfile()
  x <- lazyVector("numeric", 5000, function(start, end) {
    if (!file.exists(flag)) stop("not yet")
    as.numeric(start:end)
  }, globals = list(flag = flag))
  seen <- tryCatch(crossprod(as.matrix(unclass(x))), error = conditionMessage)
  expect_true(is.nan(seen) || is.character(seen))
  expect_match(touch(x), "not yet")
  file.create(flag)
  expect_identical(x[5000], 5000)
  expect_equal(as.vector(crossprod(as.matrix(unclass(x)))), sum((1:5000)^2))
})

test_that("a loop is stopped by the first element that can't be had", {
  for (mode in c("integer", "raw", "logical", "numeric")) {
    bad <- -1L
    x <- lazyVector(mode, 40000, function(start, end) {
      if (end > 20000) stop("half of it")
      as.vector(rep(c(1L, bad), length.out = end - start + 1), if (mode == "raw") "integer" else mode)
    }, globals = list(mode = mode, bad = if (mode == "raw") 1L else bad), chunk = 4096)
    if (mode == "raw")
      x <- lazyVector("raw", 40000, function(start, end) {
        if (end > 20000) stop("half of it")
        as.raw(rep(c(1L, 255L), length.out = end - start + 1))
      }, chunk = 4096)
    read <- 0
    failed <- tryCatch(for (v in x) read <- read + 1, error = conditionMessage)
    expect_match(failed, "half of it", info = mode)
    expect_gt(read, 10000)
    expect_lt(read, 20001)
    read <- 0
    bare <- unclass(x)
    failed <- tryCatch(for (i in seq_along(bare)) read <- read + (bare[[i]] == bare[1]), error = conditionMessage)
    expect_match(failed, "half of it", info = mode)
    expect_gt(read, 5000)
  }
})

test_that("a runner that is killed again and again", {
  x <- lazyVector("numeric", 1e5, function(start, end) {
    if (stats::runif(1) < 0.5) tools::pskill(Sys.getpid(), 9)
    as.numeric(start:end)
  }, chunk = 65536)
  got <- NULL
  for (try in 1:200) {
    got <- touch(x, 9e4)
    if (is.numeric(got)) break
    expect_match(got, "signal 9")
  }
  expect_identical(got, 9e4)
})

test_that("a function that hangs is ended by its deadline; others are not held up", {
  x <- lazyVector("numeric", 10, function(start, end) repeat Sys.sleep(1), deadline = 1.5, description = "the slow one")
  y <- lazySequence(1, 1, 1e5)
  begun <- Sys.time()
  expect_match(touch(x), "the slow one.*didn't return within 1.5")
  expect_lt(as.numeric(difftime(Sys.time(), begun, units = "secs")), 30)
  expect_identical(y[5], 5)
})

test_that("the pager is killed in the middle: R goes on with right values", {
  x <- lazyVector("numeric", 2e5, function(start, end) {
    Sys.sleep(0.02)
    as.numeric(start:end)
  }, chunk = 16384)
  expect_identical(x[1], 1)
  skip_if(is.null(pager_process()), "the pager's environment can't be read here")
  killed <- 0
  for (block in 1:10) {
    if (block %% 3 == 0 && !is.null(pid <- pager_process())) {
      tools::pskill(pid, 9)
      killed <- killed + 1
    }
    at <- ((block - 1) * 2e4 + 1):(block * 2e4)
    expect_identical(x[at], as.numeric(at))
  }
  expect_gt(killed, 1)
  expect_identical(sum(x), sum(1:2e5))
})

test_that("a database or a file that comes back is used again", {
  path <- tempfile()
  writeLines(as.character(1:2000), path)
  x <- lazyText(path)
  away <- tempfile()
  file.rename(path, away)
  expect_match(touch(x), "is gone")
  file.rename(away, path)
  expect_identical(x[2000], "2000")
})
