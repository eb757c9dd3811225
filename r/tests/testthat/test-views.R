# A view is an R vector: everything that R does to a vector works, and leaves the shared object as it was.

numbers <- c(3, 1, NA, 2, 5)

test_that("subsets with any index", {
  for (v in list(numbers, as.integer(numbers), numbers > 2, as.raw(1:5), as.complex(numbers), as.character(numbers))) {
    s <- share(v)
    for (i in list(1:3, c(1, NA, 5), c(7, 1), -1, c(TRUE, FALSE), c(TRUE, NA), 0, integer(), NA, NULL, c(2.9, 5), 1e10)) {
      expect_identical(s[i], v[i])
    }
    expect_identical(s[[2]], v[[2]])
    expect_error(s[[9]])
    expect_identical(head(s, -1), head(v, -1))
    expect_identical(rev(s), rev(v))
  }
  m <- matrix(1:6, 2, dimnames = list(c("a", "b"), NULL))
  s <- share(m)
  expect_identical(s["a", ], m["a", ])
  expect_identical(s[, 2, drop = FALSE], m[, 2, drop = FALSE])
  expect_identical(s[cbind(1:2, 2:3)], m[cbind(1:2, 2:3)])
  named <- share(c(a = 1, b = 2, c = 3))
  expect_identical(named[c("b", "z")], c(a = 1, b = 2, c = 3)[c("b", "z")])
})

test_that("shared subsets", {
  s <- share(as.numeric(1:100), sharedSubset = TRUE)
  part <- s[11:20]
  expect_true(is.shared(part))
  expect_identical(part[], as.numeric(11:20))
  expect_false(is.shared(share(as.numeric(1:100))[11:20]))
})

test_that("reading operations give R's answers and leave a handle", {
  set.seed(1)
  v <- runif(20000)
  s <- share(v)
  m <- share(matrix(v, 200))
  plain <- matrix(v, 200)
  ops <- list(
    sum, mean, var, range, sort, order, quantile, median, cumsum, rev, unique, duplicated, which.max, diff, scale, rank,
    function(x) x[1:10], function(x) x > 0.5, function(x) x %in% v[1:5], function(x) -x, function(x) x + 1, function(x) c(x, 1),
    function(x) match(v[7], x), function(x) rep(x, 2), function(x) matrix(x, 100), function(x) sapply(x[1:5], identity),
    function(x) as.integer(x), function(x) as.character(x[1:9]), function(x) cut(x, 3), function(x) split(x, 1:2),
    function(x) ifelse(x > 0.5, 1, 0), function(x) pmin(x, 0.5), function(x) all.equal(x, v), function(x) fft(x[1:64]),
    function(x) tabulate(as.integer(x * 10)), function(x) format(x[1:3]), function(x) str(x, give.head = FALSE))
  for (f in ops) expect_identical(f(s), f(v))
  matrix_ops <- list(colMeans, rowSums, t, crossprod, function(x) x %*% x[1, ][1:100], function(x) apply(x, 2, sum),
                     function(x) x[1:5, ], function(x) solve(crossprod(x)), function(x) lm(x[, 1] ~ x[, 2])$coefficients)
  for (f in matrix_ops) expect_equal(f(m), f(plain))
  expect_lte(wire_size(s), 200)
  expect_lte(wire_size(m), 250)
  expect_true(is.shared(s) && is.shared(m))
})

test_that("views that come and go, and views in turns, each show their own elements", {
  handles <- vapply(1:50, function(i) sharedHandle(share(as.numeric(i) + 0:9), lease = 600), "")
  for (round in 1:4) {
    for (i in 1:50) {
      x <- attachShared(handles[[i]])
      expect_identical(c(x[[3]], x[[10]], c(x, -1)[c(1, 11)], range(x)), c(i + 2, i + 9, i, -1, i, i + 9))
      rm(x)
      if (i %% 10 == 0) gc()
    }
  }
  a <- share(1:1000)
  b <- share(1001:2000)
  sums <- c(0, 0)
  for (i in seq_along(a)) sums <- sums + c(a[i], b[[i]])
  expect_identical(sums, c(500500, 1500500))
  expect_identical(c(a, b, rev(a)), c(1:2000, 1000:1))
})

test_that("writes in a loop go to the vector that is written, and are read again", {
  x <- share(as.numeric(1:20000))
  y <- x
  for (i in c(1, 10000, 20000)) {
    y[i] <- -y[i]
    expect_identical(c(y[i], x[i], c(y, 0)[i], c(x, 0)[i]), c(-i, i, -i, i))
  }
  w <- share(numeric(20000), copyOnWrite = FALSE)
  same <- attachShared(sharedHandle(w))
  for (i in c(1, 20000)) {
    w[i] <- i
    expect_identical(c(same[i], c(same, 0)[i], w[[i]], max(c(w, 0))), rep(i, 4))
  }
})

test_that("reading a large vector does not copy it", {
  n <- 9e6  # more than what the C library may keep of freed memory
  s <- share(as.numeric(seq_len(n)) %% 1000)
  size <- 8 * n
  keep <- NULL
  grown <- function(f) {
    f(numeric(n))  # what R allocates for its own work, it may keep
    before <- private_memory()
    keep <<- f(s)
    keep <<- NULL
    private_memory() - before
  }
  grown(sum)
  for (f in list(sum, range, var, which.max, function(x) x[1:10], function(x) any(x > 5), function(x) crossprod(x[1:10]))) {
    expect_lt(grown(f), size / 8)
  }
  expect_lte(wire_size(s), 200)
})

test_that("changing a large vector costs the pages changed", {
  n <- 4e6
  s <- share(numeric(n))
  before <- private_memory()
  y <- s
  y[1] <- 1
  y[n] <- 2
  expect_lt(private_memory() - before, 1e6)
  expect_identical(s[c(1, n)], c(0, 0))
  expect_identical(y[c(1, 2, n)], c(1, 0, 2))
  expect_true(is.shared(s))
  expect_false(is.shared(y))
  z <- y
  z[2] <- 3
  expect_identical(y[2], 0)
  expect_identical(unserialize(serialize(y, NULL))[c(1, n)], c(1, 2))
  expect_lte(wire_size(s), 200)
})

test_that("every way of changing leaves the original alone", {
  original <- as.numeric(1:20000)
  s <- share(original)
  changes <- list(
    function(x) { x[3] <- 0; x }, function(x) { x[[3]] <- 0; x }, function(x) { x[x > 5] <- 0; x },
    function(x) { names(x) <- seq_along(x); x[1] <- 9; x }, function(x) { dim(x) <- c(100, 200); x[1, 1] <- 9; x },
    function(x) { attr(x, "k") <- 1; x[4] <- -1; x }, function(x) { l <- list(x); l[[1]][2] <- 100; l },
    function(x) { for (i in 1:10) x[i] <- i * 2; x }, function(x) { x[20001] <- 1; x }, function(x) { length(x) <- 5; x },
    function(x) replace(x, 2, 9), function(x) { is.na(x) <- 2; x }, function(x) { x[] <- 0; x }, function(x) sort(x, decreasing = TRUE),
    function(x) { class(x) <- "k"; x[2] <- 5; x }, function(x) { storage.mode(x) <- "integer"; x[1] <- 7L; x })
  for (f in changes) {
    expect_identical(f(s), f(original))
    expect_true(identical(s, original))
  }
  expect_true(is.shared(s))
  expect_lte(wire_size(s), 200)
})

test_that("wrappers that R makes are recognized", {
  s <- share(as.numeric(1:1000))
  w <- s
  attr(w, "note") <- "x"
  expect_true(is.shared(w))
  expect_lte(wire_size(w), 400)
  d <- s
  dim(d) <- c(10, 100)
  expect_true(is.shared(d))
  o <- sort(s)
  expect_identical(o[], as.numeric(1:1000))
})

test_that("a pointer used for writing is noticed, whatever it was asked for: then the data is sent", {
  for (how in 0:2) {
    s <- share(as.numeric(1:20000))
    other <- attachShared(sharedHandle(s))
    poke_first(s, how)
    expect_identical(s[1], 99)
    back <- in_child(function(x) x[1], list(s))
    expect_identical(back, 99)
    expect_gt(wire_size(s), 20000 * 8)
    expect_error(sharedHandle(s), "changed")
    y <- s
    y[2] <- 0
    expect_identical(y[1:2], c(99, 0))
  }
})

test_that("so it is where elements are converted", {
  for (how in 0:2) {
    s <- example_package()$shared_samples()$float32
    expect_match(sharedHandle(s), "^onecopy:1:")
    expect_identical(s + 0, c(0.5, -1.5, 3.25))
    expect_match(sharedHandle(s), "^onecopy:1:")
    poke_first(s, how)
    expect_error(sharedHandle(s), "changed")
    expect_identical(unserialize(serialize(s, NULL))[], c(99, -1.5, 3.25))
  }
})

test_that("strings", {
  v <- c(paste0("k", 1:500), NA, "", sample(letters, 500, TRUE))
  for (x in list(v, rep(c("a", "b", NA), 400))) {
    s <- share(x)
    expect_identical(nchar(s), nchar(x))
    expect_identical(unique(s), unique(x))
    expect_identical(s == "a", x == "a")
    expect_identical(match("b", s), match("b", x))
    expect_identical(sort(s), sort(x))
    expect_identical(order(s), order(x))
    expect_identical(table(s)[], table(x)[], ignore_attr = TRUE)
    expect_identical(paste(s, "y"), paste(x, "y"))
    expect_identical(toupper(s), toupper(x))
    expect_identical(factor(s), factor(x))
    expect_identical(s %in% c("a", "k3"), x %in% c("a", "k3"))
    expect_true(is.shared(s))
    expect_lte(wire_size(s), 200)
    y <- s
    y[1] <- "a value that was not there"
    expect_identical(y[1], "a value that was not there")
    expect_identical(s[1], x[1])
    s[2] <- NA
    expect_false(is.shared(s))
    expect_identical(s[2], NA_character_)
  }
})

test_that("lists and data frames of views", {
  s <- share(data.frame(a = as.numeric(1:1000), b = rep(letters[1:4], 250)))
  expect_identical(tapply(s$a, s$b, sum), tapply(as.numeric(1:1000), rep(letters[1:4], 250), sum))
  s$c <- 1:1000
  s$a[1] <- 0
  expect_identical(is.shared(s, depth = 1), list(a = FALSE, b = TRUE, c = FALSE))
  expect_error(sharedHandle(s), "changed")
  merged <- merge(share(data.frame(k = 1:10, x = letters[1:10])), data.frame(k = 3:5, y = 1:3))
  expect_identical(merged$x, c("c", "d", "e"))
  expect_equal(coef(lm(mpg ~ wt, share(mtcars))), coef(lm(mpg ~ wt, mtcars)))
})

test_that("str, print, summary and object.size show what they show for ordinary objects", {
  values <- list(n = runif(1000), s = paste0("k", 1:1000), r = rep(c("a", "b"), 500), f = factor(rep(c("u", "v"), 500)),
                 d = as.Date("2024-01-01") + 0:999, m = matrix(1:6, 2, dimnames = list(c("a", "b"), NULL)),
                 t = data.frame(a = 1:4, b = letters[1:4]), l = lapply(1:100, function(i) c(i, 2, 3)))
  for (name in names(values)) {
    v <- values[[name]]
    s <- share(v)
    for (show in list(str, print, summary)) {
      expect_identical(capture.output(show(s)), capture.output(show(v)), info = name)
    }
    # Rounding up of small vectors to R's own block sizes is the only difference.
    size <- as.numeric(object.size(v))
    expect_lt(abs(as.numeric(object.size(s)) - size), 0.1 * size + 2000)
    expect_true(is.shared(s), info = name)
    # Many leaves have a handle each before R 4.3.
    if (name != "l") expect_lte(wire_size(s), 6000)
  }
})

test_that("views survive collection at any moment", {
  skip_on_cran()
  code <- quote({
    library(onecopy)
    x <- share(list(n = c(1, 2, 3, 4), s = c("a", "b", NA, "d"), f = factor(c("u", "v", "u")), r = c(r1 = 1L, r2 = NA, r3 = 3L),
                    d = data.frame(k = 1:3, t = c("x", "y", "z")), m = matrix(1:6, 2, dimnames = list(c("a", "b"), NULL))))
    h <- sharedHandle(x$n)
    wire <- serialize(x, NULL)
    gctorture(TRUE)
    y <- unserialize(wire)
    gctorture2(50)
    a <- attachShared(h)
    gctorture(TRUE)
    out <- list(y$s[c(1, NA, 4)], sort(y$s), y$n[2:3], a + 1, as.character(y$f), y$r, y$d$t == "y", y$m["b", ])
    z <- y$s
    z[2] <- "new"
    gctorture2(50)
    b <- share(z)
    out[[9]] <- unshare(y)
    gctorture(FALSE)
    identical(out[[9]], list(n = c(1, 2, 3, 4), s = c("a", "b", NA, "d"), f = factor(c("u", "v", "u")), r = c(r1 = 1L, r2 = NA, r3 = 3L),
      d = data.frame(k = 1:3, t = c("x", "y", "z")), m = matrix(1:6, 2, dimnames = list(c("a", "b"), NULL)))) &&
      identical(out[[1]], c("a", NA, "d")) && identical(b[2], "new")
  })
  expect_true(in_child(function(code) eval(code, globalenv()), list(code)))
})
