# Random expressions over lazy vectors, against the same over ordinary ones: types, values, NA, overflow, recycling.
set.seed(20240229)
draw <- list(
  logical = function(n) sample(c(TRUE, FALSE, NA), n, TRUE),
  integer = function(n) sample(c(-9:9, NA, .Machine$integer.max, -.Machine$integer.max), n, TRUE),
  double = function(n) sample(c(-2.5, 0, -0, 3, NA, NaN, Inf, -Inf, 1e300, 0.1, 2^53), n, TRUE),
  complex = function(n) complex(real = sample(c(-1.5, 0, 2, NA), n, TRUE), imaginary = sample(c(0, 1, -2), n, TRUE)),
  raw = function(n) as.raw(sample(0:255, n, TRUE)),
  character = function(n) sample(c("", "a", "B", NA, "12", "-7.5", "\u00e9t\u00e9", "TRUE"), n, TRUE))
binary <- c("+", "-", "*", "/", "^", "%%", "%/%", "<", "<=", ">", ">=", "==", "!=", "&", "|")
unary <- c("-", "+", "!", "abs", "sqrt", "exp", "floor", "ceiling", "trunc", "sign", "cos", "tanh", "log1p", "gamma",
           "is.na", "as.integer", "as.double", "as.logical", "as.complex", "as.character", "rev", "round", "signif")
lazy_of <- function(v) lazyVector(if (is.double(v)) "numeric" else typeof(v), length(v), function(start, end) v[start:end],
                                  globals = list(v = v), chunk = 4096, width = 12)

# An expression as a call over leaves[[k]]; `depth` operators deep.
random_call <- function(depth, leaves) {
  if (depth == 0 || runif(1) < 0.1) return(bquote(leaves[[.(sample(leaves, 1))]]))
  part <- function() random_call(depth - 1, leaves)
  kind <- runif(1)
  if (kind < 0.5) return(call(sample(binary, 1), part(), if (runif(1) < 0.2) sample(list(2L, -1.5, TRUE, NA), 1)[[1]] else part()))
  if (kind < 0.8) return(call(sample(unary, 1), part()))
  if (kind < 0.9) return(call("c", part(), part()))
  call("[", part(), sample(list(quote(-1), quote(c(TRUE, FALSE)), quote(c(5, NA, 2, 900)), quote(7:1)), 1)[[1]])
}

# Which of NA and NaN comes of both depends on the machine and the lengths of the operands, R says.
settled <- function(x) {
  if (is.numeric(x) || is.complex(x)) x[is.na(x)] <- NA
  if (is.character(x)) x[grepl("NaN", x)] <- NA
  x
}

test_that("random expressions are what base R computes", {
  tried <- compared <- 0
  while (compared < 80 && tried < 2000) {
    tried <- tried + 1
    types <- sample(names(draw), 3, TRUE, prob = c(2, 3, 3, 1, 0.5, 1))
    plain <- lapply(types, function(type) draw[[type]](sample(c(1, 7, 600, 1200), 1)))
    ask <- random_call(sample(1:4, 1), seq_along(plain))
    want <- suppressWarnings(tryCatch(eval(ask, list(leaves = plain)), error = function(e) "error"))
    if (length(want) > 20000) next
    leaves <- lapply(plain, lazy_of)
    got <- suppressWarnings(tryCatch(as.vector(eval(ask, list(leaves = leaves))), error = function(e) "error"))
    # What base R refuses, we refuse; where it fails only for some values, we fail when they are touched.
    ok <- identical(settled(got), settled(want))
    expect_true(ok, label = paste(deparse(ask), collapse = " "),
                info = paste("with", paste(types, lengths(plain), collapse = ", ")))
    if (!ok) {
      at <- which(!mapply(identical, as.list(got), as.list(want)))[1L]
      message(typeof(got), " ", typeof(want), " ", length(got), " ", length(want), ", first difference at ", at, ": ",
              format(got[at], digits = 17), " and ", format(want[at], digits = 17))
      break
    }
    if (!identical(want, "error")) compared <- compared + 1
  }
  expect_gte(compared, 80)
})

test_that("reductions of random expressions", {
  for (k in 1:40) {
    v <- draw[[sample(c("logical", "integer", "double"), 1)]](sample(c(1, 500, 3000), 1))
    v <- v[!is.infinite(v) & (is.na(v) | abs(v) < 1e6)]
    if (!length(v)) next
    x <- lazy_of(v)
    for (f in list(sum, prod, min, max, range, mean, any, all, length, anyNA, unique, median)) for (na.rm in c(TRUE, FALSE)) {
      ask <- function(x) suppressWarnings(tryCatch(
        if ("na.rm" %in% names(formals(args(f))) && !identical(f, unique)) f(x, na.rm = na.rm) else f(x), error = function(e) "error"))
      expect_equal(ask(x), ask(v), info = deparse(f))
    }
  }
})
