# attachShared(plain = TRUE): ordinary vectors whose elements lie in the shared memory.

is_altrep <- function(x) any(grepl("onecopy", capture.output(.Internal(inspect(x, 0L)))))

test_that("plain vectors are ordinary and equal", {
  set.seed(1)
  values <- list(d = runif(1e5), i = sample.int(1e5), l = sample(c(TRUE, FALSE, NA), 1e5, TRUE), r = as.raw(rep(0:255, 400)),
                 z = complex(real = runif(1e4), imaginary = 1), odd = 1:99999, s = c("a", "b", NA), f = factor(c("u", "v", "u")),
                 small = c(1, 2, 3), m = matrix(runif(1e4), 100, dimnames = list(NULL, paste0("c", 1:100))), one = 5)
  s <- share(values)
  p <- attachShared(sharedHandle(s), plain = TRUE)
  expect_identical(p, values)
  for (x in p) expect_false(is_altrep(x))
  expect_false(is.shared(p))
  expect_true(is.shared(s))
})

test_that("writing to a plain vector is private, and costs the pages written", {
  old <- options(onecopy.plain_in_place = TRUE)
  on.exit(options(old))
  n <- 4e6
  s <- share(as.numeric(seq_len(n)))
  h <- sharedHandle(s)
  before <- private_memory()
  p <- attachShared(h, plain = TRUE)
  expect_identical(sum(p), sum(s))
  p[7] <- -1
  expect_lt(private_memory() - before, 1e6)
  expect_identical(p[6:8], c(6, -1, 8))
  expect_identical(s[6:8], c(6, 7, 8))
  q <- attachShared(h, plain = TRUE)
  expect_identical(q[7], 7)
  rm(s)
  gc()
  expect_identical(q[n], n)
  rm(p, q)
  gc()
  expect_error(attachShared(sub("[0-9a-f]{32}", strrep("b", 32), h), plain = TRUE), class = "onecopy_error")
})

test_that("plain vectors survive collection and everything that R does", {
  s <- share(list(a = as.numeric(1:20000), b = 1:20001))
  for (i in 1:20) {
    p <- attachShared(sharedHandle(s), plain = TRUE)
    p$a[i] <- 0
    p$b <- p$b[-1]
    length(p$a) <- 10
    gc(FALSE)
  }
  expect_identical(s$a[1:3], c(1, 2, 3))
  expect_true(identical(sort(attachShared(sharedHandle(s), plain = TRUE)$a, decreasing = TRUE), as.numeric(20000:1)))
})

test_that("a warning when something large is copied after all", {
  old <- options(onecopy.report_copies = 1e5)
  on.exit(options(old))
  x <- share(as.numeric(1:50000), copyOnWrite = FALSE)
  negate <- function(v) -v
  expect_warning(negate(x), "copied in `negate")
  many <- share(sprintf("string %d", 1:20000))
  expect_warning({
    changed <- many
    changed[1] <- "new"
  }, "copied")
  expect_warning(sort(share(sprintf("string %d", 20000:1)), method = "quick"), "copied")
  expect_silent({
    nchar(many)
    unique(many)
    many[1:10]
    share(letters)[1] == "a"
  })
  y <- share(as.numeric(1:50000))
  expect_silent({
    y2 <- y
    y2[1] <- 0
    sort(y)
    serialize(y, NULL)
  })
})
