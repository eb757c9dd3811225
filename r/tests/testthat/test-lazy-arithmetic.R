# Lazy expressions against R's own arithmetic on the same values.
values <- function(mode) {
  set.seed(1)
  n <- 300L
  switch(mode,
    logical = sample(c(TRUE, FALSE, NA), n, TRUE),
    integer = sample(c(-7:7, NA, .Machine$integer.max, -.Machine$integer.max), n, TRUE),
    numeric = sample(c(-2.5, 0, 3, NA, NaN, Inf, -Inf, 1e300, 0.1), n, TRUE))
}
lazy_of <- function(v) lazyVector(if (is.double(v)) "numeric" else typeof(v), length(v),
                                  function(start, end) v[start:end], globals = list(v = v), chunk = 4096)
quietly <- function(x) suppressWarnings(x)
# Which of NA and NaN comes of both together depends on how R was compiled, and on what is recycled: see ?NaN.
only_na <- function(x) if (is.double(x)) replace(x, is.nan(x), NA) else x

test_that("operators have R's types, values, NA, overflow and recycling", {
  for (a in c("logical", "integer", "numeric")) for (b in c("logical", "integer", "numeric")) {
    x <- values(a)
    y <- rev(values(b))
    lx <- lazy_of(x)
    ly <- lazy_of(y)
    for (op in c("+", "-", "*", "/", "^", "%%", "%/%", "<", "<=", ">", ">=", "==", "!=", "&", "|")) {
      f <- get(op)
      got <- f(lx, ly)
      expect_true(is.lazy(got))
      expect_identical(only_na(as.vector(got)), only_na(quietly(f(x, y))), info = paste(a, op, b))
      expect_identical(only_na(as.vector(f(lx, y[1:3]))), only_na(quietly(f(x, y[1:3]))),
                       info = paste(a, op, "recycled", b))
      expect_identical(as.vector(f(2L, ly)), quietly(f(2L, y)), info = paste("2L", op, b))
    }
  }
})

test_that("unary operators, mathematical functions and casts", {
  for (a in c("logical", "integer", "numeric")) {
    x <- values(a)
    lx <- lazy_of(x)
    for (f in list(`-`, `!`, abs, sqrt, exp, floor, sign, is.na, as.integer, as.double, as.logical, as.complex, rev))
      expect_identical(as.vector(f(lx)), quietly(f(x)), info = a)
    expect_identical(as.vector(round(lx / 3, 2)), quietly(round(x / 3, 2)))
    expect_identical(as.vector(log(lx, base = 2)), quietly(log(x, base = 2)))
    expect_identical(quietly(cumsum(lx)), quietly(cumsum(x)))
  }
})

test_that("an expression is fused: its parts are never filled", {
  x <- lazySequence(1, 1, 1e6)
  part <- x * 2
  whole <- (part + 1) / part
  expect_identical(whole[1e6], (2e6 + 1) / 2e6)
  expect_equal(lazyStatus(part)[["fills"]], 0)
  expect_identical(sum(x + x > 1e6), 500000L)
})

test_that("subsets, c() and selections", {
  x <- lazySequence(1L, 1L, 1e6L)
  odd <- x[seq(1, 1e6, by = 2)]
  expect_true(is.lazy(odd))
  expect_identical(odd[c(1, 250001, 5e5)], c(1L, 500001L, 999999L))
  expect_identical(rev(x)[1:3], 1000000:999998)
  both <- c(x, 0.5, x)
  expect_identical(both[c(1, 1000001, 1000002)], c(1, 0.5, 1))
  expect_identical(x[x > 999998L], 999999:1000000)
  far <- x[c(seq_len(70000), NA, 2e6)]
  expect_identical(far[69999:70002], c(69999L, 70000L, NA, NA))
  m <- x
  dim(m) <- c(1000, 1000)
  expect_identical(m[2, 3], 2002L)
  doubled <- m * 2L
  expect_identical(dim(doubled), c(1000L, 1000L))
  expect_identical(doubled[2, 3], 4004L)
  expect_identical(x[-1][1:2], 2:3)
  expect_identical(x[], x)
})

test_that("summaries stream and are R's", {
  for (a in c("logical", "integer", "numeric")) {
    x <- values(a)
    x <- x[is.finite(x) | is.na(x)]
    if (a == "integer") x <- x[is.na(x) | abs(x) < 100]
    lx <- lazy_of(x)
    for (f in list(sum, min, max, range, mean)) {
      expect_identical(f(lx), f(x), info = a)
      expect_equal(f(lx, na.rm = TRUE), f(x, na.rm = TRUE), info = a)
    }
  }
  x <- lazySequence(1L, 1L, 1e6L)
  expect_identical(any(x > 999999L), TRUE)
  expect_identical(all(x > 1L), FALSE)
  expect_identical(mean(x), 500000.5)
  expect_warning(expect_identical(sum(x), NA_integer_), "overflow")
  expect_identical(lazyReduce(x, function(b) tabulate(b %% 3L + 1L, 3), `+`), tabulate(1:1000000 %% 3L + 1L, 3))
})

test_that("what can't be combined is refused", {
  x <- lazySequence(1, 1, 10)
  expect_error(x + "a", "non-numeric")
  expect_error(x + list(1), "can't be combined")
  expect_warning(x + 1:3, "multiple")
})

test_that("ordinary vectors that kept the class are ordinary", {
  x <- lazySequence(1L, 1L, 3000L)
  v <- 1:3000
  y <- ifelse(x > 5L, 1, NA)
  w <- ifelse(v > 5L, 1, NA)
  expect_identical(as.vector(y), w)
  expect_identical(y[4:8], w[4:8])
  for (f in list(sum, mean, rev, is.na, sqrt, unique, function(x) x + 1, function(x) c(x, 2), as.character, anyNA,
                 function(x) quantile(x, na.rm = TRUE), function(x) median(x, na.rm = TRUE), function(x) x[-1], `-`))
    expect_identical(f(y), f(w))
  expect_output(print(y[1:3]), "NA")
  expect_output(print(y), "NA")
  expect_identical(as.vector(x + y), v + w)
})

test_that("summaries that stream are those of base R", {
  set.seed(3)
  for (v in list(sample(c(1:40, NA), 5000, TRUE), round(rnorm(7000), 1), c(-Inf, Inf, NaN, rnorm(3000)), c(TRUE, FALSE, NA))) {
    x <- lazy_of(v)
    for (p in list(seq(0, 1, 0.25), c(0.111, 1, 0, 0.5)))
      expect_identical(quantile(x, p, na.rm = TRUE), quantile(v, p, na.rm = TRUE))
    if (!is.logical(v)) expect_identical(median(x, na.rm = TRUE), median(v, na.rm = TRUE))
    expect_identical(is.na(median(x)), anyNA(v))
    expect_identical(unique(x), unique(v))
    expect_identical(anyNA(x), anyNA(v))
    expect_identical(c(lazyTable(x)), c(table(v)))
    expect_identical(c(unname(lazyTable(x, "ifany"))), c(unname(table(v, useNA = "ifany"))))
    if (is.numeric(v)) expect_equal(unclass(summary(x)), unclass(summary(v)))
    if (anyNA(v)) expect_error(quantile(x), "missing values")
  }
  # More elements than are ever sorted at once; all close together, and some far away.
  v <- c(rep(7, 3e5), 1 + (1:2e5) * 1e-12, -1e300, 1e300)
  expect_identical(unname(quantile(lazy_of(v), 0:10 / 10)), unname(quantile(v, 0:10 / 10)))
  expect_error(quantile(lazy_of(v), type = 1), "type 7")
  expect_error(quantile(lazy_of(v), 2), "probs")
  expect_identical(quantile(lazySequence(1, 1, 0)), quantile(numeric()))
})
