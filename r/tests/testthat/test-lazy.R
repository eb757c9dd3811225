# Lazy vectors: filled by a function, a sequence, a file; errors; writing; travelling.
fresh <- function() {
  doctor <- tryCatch(lazySequence(1, 1, 10)[1], error = conditionMessage)
  skip_if(is.character(doctor), paste("no lazy vectors here:", doctor))
}

test_that("a function fills what is touched and nothing else", {
  fresh()
  x <- lazyVector("numeric", 1e8, function(start, end) (start:end)^2)
  expect_identical(length(x), 100000000L)
  expect_equal(lazyStatus(x)[["fills"]], 0)
  expect_identical(x[5], 25)
  expect_equal(lazyStatus(x)[["fills"]], 1)
  expect_identical(x[[8192]], 8192^2)
  expect_equal(lazyStatus(x)[["fills"]], 1)
  expect_identical(x[c(3, NA, 5e7)], c(9, NA, 25e14))
  expect_equal(lazyStatus(x)[["fills"]], 2)
  lazyRelease(x)
  expect_equal(lazyStatus(x)[["resident"]], 0)
  expect_identical(x[5], 25)
  expect_true(is.lazy(x))
  expect_false(is.lazy(1:3))
})

test_that("all modes hold what the function returned", {
  fresh()
  values <- list(logical = c(TRUE, NA, FALSE), integer = c(1L, NA, -3L), numeric = c(1.5, NA, Inf),
                 complex = c(1i, NA, 2 + 3i), raw = as.raw(c(1, 2, 255)))
  for (mode in names(values)) {
    x <- lazyVector(mode, 3, function(start, end) v[start:end], globals = list(v = values[[mode]]))
    expect_identical(as.vector(x), values[[mode]], info = mode)
    expect_identical(typeof(x), typeof(values[[mode]]), info = mode)
  }
  expect_identical(as.vector(lazyVector("numeric", 3, function(start, end) 1:3)), c(1, 2, 3))
  expect_identical(length(lazyVector("numeric", 0, function(start, end) stop())), 0L)
})

test_that("what goes wrong is an error at the touch, and can be tried again", {
  fresh()
  touch <- function(f, i = 5e4, mode = "integer", deadline = 30, ...) {
    x <- lazyVector(mode, 1e5, f, deadline = deadline, ...)
    tryCatch(x[i], error = conditionMessage)
  }
  expect_match(touch(function(start, end) stop("no data today")), "populate\\(49153, 65536\\): no data today")
  expect_match(touch(function(start, end) 1L), "returned 1 elements, and 16384 are needed")
  expect_match(touch(function(start, end) letters), "returned a character")
  expect_match(touch(function(start, end) 0.5), "returned a double")
  expect_match(touch(function(start, end) Sys.sleep(600), deadline = 1), "didn't return within 1")
  expect_match(touch(function(start, end) tools::pskill(Sys.getpid(), 9)), "signal 9")
  expect_match(touch(function(start, end) quit("no", 3)), "fill elements .* exit|ended|closed|status")
  expect_match(touch(function(start, end) stop("why"), description = "prices"), "prices: .*why")

  flag <- tempfile()
  x <- lazyVector("integer", 1e5, function(start, end) {
    if (!file.exists(flag)) stop("no file yet")
    start:end
  }, globals = list(flag = flag))
  expect_error(sum(x), "no file yet")
  expect_error(x[1:3], "no file yet")
  file.create(flag)
  expect_identical(x[1:3], 1:3)
  expect_error(lazyVector("list", 3, function(start, end) "a"), "no lazy vectors of mode")
  expect_error(lazyVector("integer", -1, function(start, end) 1L), "length")
  expect_error(lazyVector("integer", 1, function(start, end) 1L, chunk = 1000), "chunk")
  expect_error(lazyVector("integer", 1, sum), "closure")
  expect_error(lazySequence(1L, 1L, 3e9), "range|integer|fit")
  expect_error(lazyFill(lazySequence(1, 1, 10), 5, 11), "not within")
})

test_that("assignment is private, or for all when it was made so", {
  fresh()
  x <- lazySequence(1, 1, 1e6)
  y <- x
  y[3] <- -1
  expect_identical(y[2:4], c(2, -1, 4))
  expect_identical(x[3], 3)
  z <- unserialize(serialize(y, NULL))
  expect_identical(z[2:4], c(2, -1, 4))
  expect_error(sharedHandle(y), "changed")

  path <- tempfile()
  on.exit(unlink(path))
  writeBin(as.double(1:1e5), path)
  w <- lazyBinary(path, write = TRUE)
  w[10] <- -3
  expect_identical(attachShared(sharedHandle(w))[10], -3)
  lazyFlush(w)
  expect_identical(readBin(path, "double", 10)[10], -3)
})

test_that("what compiled code writes into a private copy is noticed, whatever pointer it asked for", {
  for (how in 0:2) {
    m <- lazyVector("numeric", 50, function(start, end) as.numeric(start:end))
    dim(m) <- c(5, 10)  # a longer vector would be wrapped by R, and copied no sooner than it has to be
    expect_match(sharedHandle(m), "^onecopy:1:")
    poke_first(m, how)
    expect_identical(m[1], 99)
    expect_error(sharedHandle(m), "changed")
    expect_identical(unserialize(serialize(m, NULL))[1:2], c(99, 2))
  }
})

test_that("a matrix that R has read through pointers stays lazy, and a changed copy copies its changed pages only", {
  m <- lazyVector("numeric", 1e6, function(start, end) as.numeric(start:end))
  dim(m) <- c(1000, 1000)
  plain <- matrix(as.numeric(1:1e6), 1000)
  expect_equal(colMeans(m), colMeans(plain))
  expect_equal(m %*% plain[, 1], plain %*% plain[, 1])
  expect_true(is.lazy(m))
  expect_match(sharedHandle(m), "^onecopy:1:")
  expect_lt(length(serialize(m, NULL)), 1000)
  expect_true(is.lazy(m + 1))
  y <- m
  y[5] <- -1
  z <- y
  z[500000] <- -2
  expect_true(is.lazy(y) && is.lazy(z))
  expect_identical(c(m[5], y[5], z[5], y[500000], z[500000], z[6]), c(5, -1, -1, 5e5, -2, 6))
  expect_error(sharedHandle(z), "changed")
  expect_identical(as.vector(unserialize(serialize(z, NULL))), replace(as.vector(plain), c(5, 5e5), c(-1, -2)))
  expect_identical(as.vector(z + 1)[4:6], c(5, 0, 7))
  path <- tempfile()
  on.exit(unlink(path))
  writeBin(c(0, as.vector(plain)), path)  # mapped in place, and not at the beginning of a page
  x <- lazyBinary(path, offset = 8)
  y <- x
  y[1e6] <- -1
  z <- y
  z[1] <- -2
  expect_identical(c(x[c(1, 1e6)], y[c(1, 1e6)], z[c(1, 2, 999999, 1e6)]), c(1, 1e6, 1, -1, -2, 2, 999999, -1))
})

test_that("what is changed goes to the function that writes back", {
  fresh()
  folder <- tempfile()
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  for (mode in c("logical", "integer", "numeric", "complex", "raw")) {
    first <- as.vector(1, mode)
    x <- lazyVector(mode, 1e5, function(start, end) {
      kept <- file.path(folder, paste0(mode, "-", start))
      if (file.exists(kept)) readRDS(kept) else vector(mode, end - start + 1)
    }, writeback = function(start, end, values) {
      if (file.exists(file.path(folder, "full"))) stop("no room here")
      saveRDS(values, file.path(folder, paste0(mode, "-", start)))
    }, globals = list(folder = folder, mode = mode))
    x[1] <- first
    file.create(file.path(folder, "full"))
    expect_error(lazyFlush(x), "no room here", info = mode)
    expect_identical(x[1], first, info = mode)
    unlink(file.path(folder, "full"))
    lazyFlush(x)
    lazyRelease(x)
    expect_equal(lazyStatus(x)[["resident"]], 0, info = mode)
    expect_identical(x[1], first, info = mode)
  }
})

test_that("files: byte order, offset, stride, and files that are too short", {
  fresh()
  path <- tempfile()
  on.exit(unlink(path))
  writeBin(c(7L, 1:1000), path, endian = "big")
  x <- lazyBinary(path, "integer", offset = 4, endian = "big")
  expect_identical(x[c(1, 1000)], c(1L, 1000L))
  every <- lazyBinary(path, "integer", offset = 4, stride = 8, endian = "big")
  expect_identical(length(every), 500L)
  expect_identical(every[500], 999L)
  expect_error(lazyBinary(path, "integer", length = 5000)[2000], "ends at byte")
  expect_error(lazyBinary(tempfile()), "no such file")
})

test_that("handles and serialized vectors are the same memory in another process", {
  fresh()
  x <- lazyVector("numeric", 1e8, function(start, end) start:end)
  expect_lt(wire_size(x), 600)
  y <- attachShared(sharedHandle(x))
  expect_identical(y[10], 10)
  before <- lazyStatus(x)[["fills"]]
  other <- in_child(function(x, h) c(x[10], onecopy::attachShared(h)[10], sum(x[1:100] + 1)), list(x, sharedHandle(x)))
  expect_identical(other, c(10, 10, 5150))
  expect_equal(lazyStatus(x)[["fills"]], before)
  expression <- x + 1
  expect_identical(in_child(function(x) x[5], list(expression)), 6)
})

test_that("a vector that is gone arrives, and says so when it is used", {
  fresh()
  x <- lazySequence(1, 1, 1000)
  bytes <- serialize(x, NULL)
  old <- Sys.getenv("ONECOPY_DIR")
  gone <- in_child(function(bytes, other) {
    Sys.setenv(ONECOPY_DIR = other)
    on.exit(unlink(other, recursive = TRUE))
    library(onecopy)
    y <- unserialize(bytes)
    tryCatch(y[1], error = conditionMessage)
  }, list(bytes, tempfile("onecopy-other-", "/dev/shm")))
  expect_match(gone, "another store")
})
