# Every kind of subscript, against an ordinary vector of the same elements.
check <- function(x, v, ask) {
  want <- tryCatch(ask(v), error = function(e) "error")
  got <- tryCatch(ask(x), error = function(e) "error")
  if (is.lazy(got)) got <- structure(as.vector(got), dim = dim(got))
  expect_identical(got, want, info = deparse(body(ask)))
}
makers <- list(
  logical = function(n) rep_len(c(TRUE, NA, FALSE), n), integer = function(n) c(NA, seq_len(n - 1L)),
  numeric = function(n) seq_len(n) / 2, complex = function(n) complex(real = seq_len(n), imaginary = 1),
  raw = function(n) as.raw(seq_len(n) %% 256L), character = function(n) sprintf("s%d", seq_len(n)))
lazy_of <- function(v) lazyVector(if (is.double(v)) "numeric" else typeof(v), length(v), function(start, end) v[start:end],
                                  globals = list(v = v), width = 12)

test_that("vectors", {
  for (make in makers) {
    v <- make(3000L)
    x <- lazy_of(v)
    asks <- list(
      function(x) x[5], function(x) x[[5]], function(x) x[0], function(x) x[], function(x) x[c(1, 1, 2999, 3000)],
      function(x) x[3001], function(x) x[c(5, NA, 4000)], function(x) x[2.9], function(x) x[-1], function(x) x[-(2:2999)],
      function(x) x[c(-1, 0, -3000)], function(x) x[c(0, 5, 0)], function(x) x[c(-1, 2)], function(x) x[c(NA, -1)],
      function(x) x[c(TRUE, FALSE)], function(x) x[c(TRUE, NA, FALSE, FALSE)], function(x) x[TRUE], function(x) x[FALSE],
      function(x) x[rep(c(TRUE, FALSE), 1500)], function(x) x[rep(TRUE, 3002)], function(x) x[NA], function(x) x[NULL],
      function(x) x[integer()], function(x) x[factor(c("b", "a", "b"))], function(x) x["a"], function(x) x[list(1)],
      function(x) x[[3001]], function(x) x[[0]], function(x) x[1e15], function(x) x[seq(2, 3000, by = 2)],
      function(x) x[3000:1], function(x) x[as.raw(1)], function(x) head(x, 3), function(x) tail(x, 3),
      function(x) rev(x)[1:3], function(x) x[cbind(1:2, 2:3)])
    for (ask in asks) suppressWarnings(check(x, v, ask))
  }
})

test_that("long subsets are lazy, and are the same", {
  n <- 200000L
  v <- c(NA, seq_len(n - 1L))
  x <- lazyVector("integer", n, function(start, end) c(if (start == 1) NA, (max(start, 2):end) - 1L))
  asks <- list(
    function(x) x[-1], function(x) x[-c(5, 7, 7, 100000, 3e6)], function(x) x[-(1:50000)], function(x) x[c(TRUE, FALSE)],
    function(x) x[c(FALSE, TRUE, NA)], function(x) x[c(FALSE, FALSE, FALSE)], function(x) x[seq(1, n, 2)], function(x) x[n:1],
    function(x) x[rep(c(1, NA, n, n + 1), 30000)], function(x) rev(x), function(x) rev(x[-1])[-2],
    function(x) x[rep(TRUE, n + 5L)], function(x) x[x > 5], function(x) x[-c(1, NA)], function(x) x[c(-1, 1)])
  for (ask in asks) check(x, v, ask)
  expect_true(is.lazy(x[-1]))
  expect_true(is.lazy(x[c(TRUE, FALSE)]))
  expect_true(is.lazy(x[-1][-1][n:1]))
  huge <- lazySequence(1, 1, 1e10)
  expect_identical(huge[-1][c(1, 1e10 - 1)], c(2, 1e10))
  expect_identical(huge[c(FALSE, TRUE)][5e9], 1e10)
})

test_that("matrices and arrays", {
  for (make in makers) {
    v <- make(3000L)
    x <- lazy_of(v)
    dim(x) <- dim(v) <- c(50L, 60L)
    expect_true(is.lazy(x))
    asks <- list(
      function(x) x[2, 3], function(x) x[2, ], function(x) x[, 3], function(x) x[, ], function(x) x[1:3, c(60, 1)],
      function(x) x[-1, 2:3], function(x) x[2, 3, drop = FALSE], function(x) x[, 3, drop = FALSE], function(x) x[51, 1],
      function(x) x[c(TRUE, FALSE), 1], function(x) x[NA, 1], function(x) x[c(1, NA), 1:2], function(x) x[0, 1],
      function(x) x[0, ], function(x) x[cbind(c(1, 50), c(60, 1))], function(x) x[cbind(c(1, NA), 1)], function(x) x[77],
      function(x) x[cbind(51, 1)], function(x) x[[2, 3]], function(x) x[1, 2, 3], function(x) x[rep(TRUE, 51), 1],
      function(x) x["a", 1], function(x) dim(x), function(x) nrow(x), function(x) x[2:1, ][1, 5], function(x) x[1.9, 2.9],
      function(x) x[cbind(-1, 1)], function(x) x[cbind(0, 1)])
    for (ask in asks) check(x, v, ask)
  }
  v <- array(seq_len(24), 2:4)
  x <- lazy_of(as.vector(v))
  dim(x) <- 2:4
  for (ask in list(function(x) x[1, 2, 3], function(x) x[, 2, ], function(x) x[, , 4], function(x) x[2, 3, , drop = FALSE],
                   function(x) x[cbind(1, 2, 3)], function(x) x[-1, -1, -1])) check(x, v, ask)
})

test_that("a column of a large matrix is lazy", {
  x <- lazySequence(1, 1, 1e9)
  dim(x) <- c(1e6, 1e3)
  column <- x[, 7]
  expect_true(is.lazy(column))
  expect_identical(column[c(1, 1e6)], c(6e6 + 1, 7e6))
  rows <- x[c(5, 3), ]
  expect_identical(dim(rows), c(2L, 1000L))
  expect_identical(rows[2, 1000], 999e6 + 3)
  block <- x[1:1000, 1:500]
  expect_true(is.lazy(block))
  expect_identical(dim(block), c(1000L, 500L))
  expect_identical(block[1000, 500], 499e6 + 1000)
  expect_lt(lazyStatus(x)[["fills"]], 3000)
})

test_that("assignment to elements, rows and by conditions is as for ordinary vectors", {
  v <- seq_len(3000) / 2
  x <- lazy_of(v)
  dim(x) <- dim(v) <- c(50L, 60L)
  for (change in list(function(x) { x[3] <- -1; x }, function(x) { x[2, ] <- 0; x }, function(x) { x[, 5] <- 1:50; x },
                      function(x) { x[x > 700] <- NA; x }, function(x) { x[cbind(1:3, 1:3)] <- 9; x },
                      function(x) { x[[7]] <- 1; x[8] <- 2; x })) {
    expect_identical(as.vector(change(x)), as.vector(change(v)))
    expect_identical(as.vector(x), as.vector(v))
  }
})
