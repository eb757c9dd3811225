# Every type: shared, serialized, attached by handle and made ordinary again, it is the same object.

expect_travels <- function(v, shared = TRUE) {
  s <- share(v)
  expect_true(identical(s, v))
  expect_identical(is.shared(s), shared)
  expect_true(identical(unserialize(serialize(s, NULL)), v))
  if (shared) {
    expect_true(identical(attachShared(sharedHandle(s)), v))
    plain <- unshare(s)
    expect_true(identical(plain, v))
    expect_false(is.shared(plain))
  }
  invisible(s)
}

test_that("vectors of all basic types", {
  expect_travels(c(TRUE, NA, FALSE))
  expect_travels(c(1L, NA, -3L))
  expect_travels(c(1, NA, NaN, Inf, -Inf, -0))
  expect_travels(complex(real = 1:3, imaginary = c(NA, 1, 2)))
  expect_travels(as.raw(0:255))
  expect_travels(c("a", NA, "\u00fc", "", "a"))
  expect_travels(paste0("k", 1:1000))
  expect_travels(sample(letters, 1000, TRUE))
  expect_travels(c(NA_character_, NA, NA))
})

test_that("NA and NaN stay apart", {
  s <- share(c(NA, NaN, 1))
  expect_identical(is.nan(s), c(FALSE, TRUE, FALSE))
  expect_identical(is.nan(attachShared(sharedHandle(s))), c(FALSE, TRUE, FALSE))
})

test_that("encodings", {
  latin1 <- c("fa\xE7ile", "b", "c")
  Encoding(latin1) <- "latin1"
  expect_travels(latin1)
  bytes <- c("fa\xE7ile", "b", "c")
  Encoding(bytes) <- "bytes"
  s <- expect_travels(bytes)
  expect_identical(Encoding(s), Encoding(bytes))
})

test_that("short vectors are not shared, unless they have a name", {
  for (v in list(1, 1:2, "a", NULL, character(), integer())) {
    expect_identical(share(v), v)
    expect_false(is.shared(share(v)))
  }
  expect_true(is.shared(share(1:2, minLength = 1)))
  s <- share(5L, name = "one-number")
  expect_identical(attachShared(name = "one-number"), 5L)
})

test_that("attributes", {
  expect_travels(c(a = 1, b = 2, c = 3))
  expect_travels(structure(1:5, note = "x", more = list(1:3, "y")))
  expect_travels(matrix(1:6, 2, dimnames = list(c("a", "b"), NULL)))
  expect_travels(array(as.numeric(1:24), 2:4))
  expect_travels(array(1:5, 5))
  expect_travels(array(1:3, 3, dimnames = list(c("a", "b", "c"))))
  expect_travels(matrix(letters[1:6], 2))
  expect_travels(matrix(list(1, 2, 3:6, 4), 2))
  expect_travels(setNames(1:1000, paste0("n", 1:1000)))
  expect_travels(table(iris$Species, iris$Sepal.Length > 5))
  expect_travels(ts(1:20, start = 2000, frequency = 12))
  expect_travels(I(c(1, 2, 3)))
})

test_that("attributes that are not shared stay the object's own", {
  v <- setNames(runif(1000), paste0("n", 1:1000))
  s <- share(v, sharedAttributes = FALSE)
  expect_true(identical(s, v))
  expect_false(is.shared(names(s)))
  expect_true(is.shared(names(share(v))))
  expect_true(identical(unserialize(serialize(s, NULL)), v))
})

test_that("factors, dates and times", {
  expect_travels(factor(c("x", "y", NA, "x")))
  expect_travels(factor(c("x", "y", NA, "x"), ordered = TRUE, levels = c("y", "x", "unused")))
  expect_travels(structure(factor(c("a", "b", "a")), class = c("mine", "factor")))
  expect_travels(as.Date("2024-01-01") + c(0, NA, 2, 3))
  expect_travels(structure(c(19000:19005, NA), class = "Date"))
  expect_travels(as.POSIXct("2024-01-01 12:00:00", tz = "America/New_York") + 0:3)
  expect_travels(as.POSIXct("2024-01-01 12:00:00") + 0:3)
  expect_travels(as.POSIXlt(as.POSIXct("2024-01-01 12:00:00", tz = "UTC") + 0:3))
  for (unit in c("secs", "mins", "hours", "days", "weeks")) expect_travels(as.difftime(c(1, NA, 3), units = unit))
})

test_that("a damaged factor is carried as it is", {
  broken <- structure(c(1L, 7L, 2L), levels = c("a", "b"), class = "factor")
  s <- share(broken)
  expect_identical(unclass(s)[], unclass(broken)[])
})

test_that("integer64", {
  skip_if_not_installed("bit64")
  v <- bit64::as.integer64(c("1", NA, "9007199254740993"))
  s <- expect_travels(v)
  expect_identical(as.character(s), as.character(v))
})

test_that("lists and data frames", {
  expect_travels(list(1:3, a = "x", b = list(c(1, 2, 3), NULL, list())))
  expect_travels(list(), shared = FALSE)
  expect_travels(list(1, 2, 3), shared = FALSE)
  expect_travels(as.pairlist(list(a = 1:3, b = "x", 2)))
  expect_travels(data.frame(a = 1:5, b = letters[1:5], c = factor(letters[1:5])))
  expect_travels(mtcars)
  expect_travels(iris)
  frame <- data.frame(a = 1:4)
  frame$m <- matrix(1:8, 4)
  expect_travels(frame)
  frame <- data.frame(a = 1:4)
  frame$l <- list(1, 2:3, 4, "a")
  expect_travels(frame)
  expect_travels(data.frame(a = integer(), b = character()), shared = FALSE)
  nested <- list(1:3)
  for (i in 1:100) nested <- list(nested)
  expect_travels(nested)
})

test_that("tibbles and data.tables", {
  skip_if_not_installed("tibble")
  skip_if_not_installed("data.table")
  expect_travels(tibble::as_tibble(iris))
  table <- data.table::as.data.table(iris)
  s <- share(table)
  expect_true(identical(s, table))
  # data.table's own syntax works where code is known to mean it: in the global environment.
  globally <- new.env(parent = globalenv())
  globally$s <- s
  globally$copy <- data.table::copy(s)
  means <- eval(quote(s[Species == "setosa", mean(Sepal.Length)]), globally)
  expect_identical(means, mean(iris$Sepal.Length[1:50]))
  eval(quote(copy[, `:=`(Sepal.Length, 0)]), globally)
  expect_identical(globally$copy$Sepal.Length[], rep(0, 150))
  expect_identical(s$Sepal.Length[], iris$Sepal.Length)
})

test_that("what cannot be shared is passed through", {
  f <- function(x) x
  x <- list(f = f, e = globalenv(), n = c(1, 2, 3), q = quote(a + b), g = y ~ x)
  s <- share(x)
  expect_true(identical(s, x))
  expect_identical(unlist(is.shared(s, depth = 1)), c(f = FALSE, e = FALSE, n = TRUE, q = FALSE, g = FALSE))
  for (odd in list(as.symbol("x"), f, sum, quote(a + b), globalenv(), expression(a))) {
    expect_identical(share(odd), odd)
    expect_error(share(odd, mustWork = TRUE), "cannot be shared", class = "onecopy_cannot_share")
  }
  a <- attachShared(sharedHandle(share(list(n = c(1, 2, 3), q = quote(a + b)))))
  expect_identical(a$q, quote(a + b))
})

test_that("environments are shared in place", {
  e <- new.env()
  e$x <- c(1, 2, 3)
  e$self <- e
  e$inner <- new.env()
  e$inner$y <- 1:10
  makeActiveBinding("now", function() stop("must not run"), e)
  lockBinding("x", e)
  expect_identical(share(e), e)
  expect_true(is.shared(e$x))
  expect_true(is.shared(e$inner$y))
  expect_true(bindingIsLocked("x", e))
  expect_true(is.shared(e))
  unshare(e)
  expect_false(is.shared(e))
  expect_identical(e$x, c(1, 2, 3))
})

test_that("R6 objects", {
  skip_if_not_installed("R6")
  Person <- R6::R6Class("Person",
    public = list(d = NULL, initialize = function(d) self$d <- d, total = function() sum(self$d) + sum(private$p)),
    private = list(p = c(1, 2, 3)))
  p <- Person$new(c(4, 5, 6))
  expect_identical(share(p), p)
  expect_true(is.shared(p$d))
  expect_true(is.shared(p$.__enclos_env__$private$p))
  expect_identical(p$total(), 21)
  p$d[1] <- 5
  expect_identical(p$total(), 22)
})

test_that("S4 objects slot by slot", {
  setClass("OnecopyP", representation(name = "character", v = "numeric", n = "ANY"))
  setClass("OnecopyQ", contains = "numeric", representation(u = "character"))
  setClass("OnecopyL", contains = "list", representation(u = "character"))
  on.exit(for (cl in c("OnecopyP", "OnecopyQ", "OnecopyL")) removeClass(cl))
  s <- expect_travels(new("OnecopyP", name = "x", v = c(1, 2, 3), n = NULL))
  expect_true(isVirtualClass("OnecopyP") || validObject(s))
  expect_true(is.shared(s@v))
  expect_null(s@n)
  s <- expect_travels(new("OnecopyQ", c(1, 2, 3), u = "m"))
  expect_identical(s + 1, new("OnecopyQ", c(2, 3, 4), u = "m"))
  expect_travels(new("OnecopyL", list(c(1, 2, 3), 2), u = "m"))
})

test_that("sparse matrices", {
  skip_if_not_installed("Matrix")
  m <- Matrix::rsparsematrix(100, 50, 0.1)
  s <- expect_travels(m)
  expect_true(is.shared(s@x) && is.shared(s@i) && is.shared(s@p))
  expect_equal(Matrix::crossprod(s), Matrix::crossprod(m))
  expect_equal(s %*% rep(1, 50), m %*% rep(1, 50))
  expect_equal(Matrix::t(s)[1:5, 1:5], Matrix::t(m)[1:5, 1:5])
  expect_lt(wire_size(s), 1000)
})

test_that("Matrix computes with a shared sparse matrix as with any other, and leaves it shared", {
  skip_if_not_installed("Matrix")
  suppressMessages(requireNamespace("Matrix"))
  set.seed(1)
  m <- Matrix::rsparsematrix(2000, 300, 0.1)
  m <- as(m, "CsparseMatrix")
  s <- share(m)
  v <- runif(300)
  square <- Matrix::crossprod(m) + Matrix::Diagonal(300)
  shared_square <- share(square)
  same <- function(f) expect_identical(unshare(f(s)), f(m))
  same(function(x) x %*% v)
  same(function(x) Matrix::t(x) %*% x)
  same(function(x) Matrix::crossprod(x))
  same(function(x) Matrix::colSums(x))
  same(function(x) Matrix::rowMeans(x))
  same(function(x) x[c(1, 5, 7), ])
  same(function(x) x[, 2:9])
  same(function(x) x * 2 + x)
  same(function(x) x > 0.5)
  same(function(x) rbind(x, x))
  same(function(x) Matrix::summary(x)$x)
  same(function(x) as.matrix(x)[1:5, ])
  expect_identical(Matrix::solve(shared_square, v), Matrix::solve(square, v))
  for (slot in list(s@x, s@i, s@p)) expect_true(is.shared(slot))
  expect_lt(wire_size(s), 1000)
  y <- s
  y[1, 1] <- 99
  expect_identical(s[1, 1], m[1, 1])
  expect_identical(in_child(function(s) Matrix::colSums(s), list(s)), Matrix::colSums(m))
})

test_that("environments and R6 objects in another process", {
  skip_if_not_installed("R6")
  Person <- R6::R6Class("Person", public = list(d = NULL, initialize = function(d) self$d <- d,
                                                 total = function() sum(self$d)))
  p <- share(Person$new(as.numeric(1:1e5)))
  # The class itself travels with its objects, methods and all. The data is 800 KB.
  expect_lt(wire_size(p) - wire_size(Person$new(1)), 1e5)
  expect_identical(in_child(function(p) list(p$total(), onecopy::is.shared(p$d)), list(p)), list(sum(1:1e5) * 1.0, TRUE))
  e <- new.env()
  e$x <- as.numeric(1:1e5)
  e$inner <- list2env(list(y = letters))
  share(e)
  found <- in_child(function(e) {
    e$x[1] <- 0
    list(sum(e$x), e$inner$y[26])
  }, list(e))
  expect_identical(found, list(sum(1:1e5) - 1, "z"))
  expect_identical(e$x[1], 1)
})

test_that("sequences and other compact vectors are streamed, not made whole", {
  s <- share(1:1e6)
  expect_identical(s[c(1, 1e6)], c(1L, 1000000L))
  expect_identical(share(as.character(1:1000))[], as.character(1:1000))
  expect_identical(share(seq(0.5, by = 1, length.out = 10))[], seq(0.5, by = 1, length.out = 10))
  n <- 3e7
  before <- private_memory()
  s <- share(1:n)
  expect_lt(private_memory() - before, n)
  expect_identical(s[n], as.integer(n))
})

test_that("types that only other languages have", {
  example <- example_package()
  skip_if_not_installed("bit64")
  s <- example$shared_samples()
  expect_identical(s$int8[], c(-1L, 0L, 1L, 127L))
  expect_identical(s$int16[], c(-300L, 0L, 300L))
  expect_identical(s$uint8[], c(0L, 1L, 255L))
  expect_identical(s$uint16[], c(0L, 1L, 65535L))
  expect_identical(s$uint32[], c(0, 1, 4294967295))
  expect_identical(s$uint64[], c(0, 1, 2^53))
  expect_identical(as.character(s$int64), c("0", "-1", "4611686018427387904"))
  expect_identical(s$float32[], c(0.5, -1.5, 3.25))
  expect_equal(s$float16[], c(1, -2, 1 / 3), tolerance = 1e-3)
  expect_identical(s$bool[], c(TRUE, FALSE, TRUE))
  expect_identical(s$complex64[], c(1+2i, 3+4i, 5+6i))
  expect_identical(unshare(s$row_major), matrix(1:6, 2, byrow = TRUE))
  expect_identical(s$row_major[2, ], 4:6)
  expect_identical(s$row_major %*% t(s$row_major), matrix(1:6, 2, byrow = TRUE) %*% t(matrix(1:6, 2, byrow = TRUE)))
  expect_identical(s$missing[], c(1L, NA, 3L))
  expect_identical(s$missing_bool[], c(TRUE, NA, TRUE))
  expect_identical(s$missing_double[], c(1.5, NA, 3.5))
  expect_identical(unshare(s$date32), structure(c(0L, 19000L, -1L), class = "Date"))
  expect_identical(as.numeric(s$timestamp), c(0, 1.5, NA))
  expect_identical(as.character(s$months), c("1970-01-01", "1971-02-01", "1969-12-01"))
  expect_identical(format(s$timespan), c("1.5 secs", "2.5 secs", "3.5 secs"))
  expect_identical(unshare(s$category), factor(c("low", "high", NA, "low"), levels = c("low", "high"), ordered = TRUE))
  expect_identical(s$fixed, c("ab", "\u00fc", "xyz"))
  expect_identical(s$records$id, 1:3)
  expect_identical(s$records$position, matrix(c(0.5, 2.5, 4.5, 1.5, 3.5, 5.5), 3))
  expect_s3_class(s$foreign, "onecopy_opaque")
  back <- attachShared(sharedHandle(share(list(f = s$foreign, n = 1:3))))
  expect_identical(unshare(back$f), unshare(s$foreign))
  for (part in s[vapply(s, is.shared, NA)]) {
    expect_true(identical(unserialize(serialize(part, NULL)), part))
    y <- part
    y[1] <- y[2]
    expect_true(is.shared(part))
  }
})

test_that("the C++ interface: R's vectors read in C++, SharedObject's functions", {
  example <- example_package()
  expect_identical(example$shared_sum(share(c(1, 2, 3.5))), 6.5)
  expect_identical(example$memory_round_trip(42), 42)
  expect_error(example$shared_sum(share(1:3)), "float64")
})
