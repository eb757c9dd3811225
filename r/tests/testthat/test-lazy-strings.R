# Lazy character vectors: behave as R's own, filled chunk by chunk.
words <- function(n) {
  all <- c("", "a", NA, "näme", "日本語", "tab\there", "NA", "x y", strrep("w", 60))
  all[(seq_len(n) * 7L) %% length(all) + 1L]
}
lazy_words <- function(v, ...) lazyVector("character", length(v), function(start, end) v[start:end],
                                          globals = list(v = v), ...)

test_that("strings are what the function returned, filled chunk by chunk", {
  v <- words(5000)
  x <- lazy_words(v)
  expect_identical(typeof(x), "character")
  expect_identical(length(x), 5000L)
  expect_equal(lazyStatus(x)[["fills"]], 0)
  expect_identical(x[3:9], v[3:9])
  expect_equal(lazyStatus(x)[["fills"]], 1)
  expect_identical(x[[4999]], v[4999])
  expect_equal(lazyStatus(x)[["fills"]], 2)
  expect_identical(as.vector(x), v)
  expect_identical(Encoding(x[v == "näme" & !is.na(v)][1]), "UTF-8")
  lazyRelease(x)
  expect_equal(lazyStatus(x)[["resident"]], 0)
  expect_identical(as.vector(x), v)
  expect_identical(length(lazyVector("character", 0, function(start, end) stop())), 0L)
  # Records that do not divide a chunk, and one that is larger than it.
  for (width in c(61, 100, 70000))
    expect_identical(as.vector(lazy_words(v[1:200], width = width, chunk = 4096)), v[1:200], info = width)
})

test_that("R's functions take them for character vectors", {
  v <- words(3000)
  x <- lazy_words(v)
  expect_identical(nchar(x), nchar(v))
  expect_identical(as.vector(toupper(x)), toupper(v))
  expect_identical(ifelse(x == "a", "b", x)[1:3000], ifelse(v == "a", "b", v))
  expect_identical(sort(x), sort(v))
  expect_identical(order(x), order(v))
  expect_identical(unique(x), unique(v))
  expect_identical(match(c("a", "näme", NA, "?"), x), match(c("a", "näme", NA, "?"), v))
  expect_identical(x %in% c("a", NA), v %in% c("a", NA))
  expect_identical(grepl("w", x), grepl("w", v))
  expect_identical(paste(x, "!"), paste(v, "!"))
  expect_identical(as.integer(table(x)), as.integer(table(v)))
  expect_identical(c(lazyTable(x, "ifany")), c(table(v, useNA = "ifany")))
  expect_identical(levels(factor(x)), levels(factor(v)))
  expect_identical(split(seq_along(x), x), split(seq_along(v), v))
  expect_identical(data.frame(a = as.vector(x))$a, v)
  expect_identical(vapply(x, nchar, 1L, USE.NAMES = FALSE), vapply(v, nchar, 1L, USE.NAMES = FALSE))
  gctorture_like <- character()
  for (i in 1:2000) gctorture_like[i] <- x[[i]]
  expect_identical(gctorture_like, v[1:2000])
})

test_that("comparison, is.na, c, rev and casts are lazy", {
  v <- words(3000)
  x <- lazy_words(v)
  for (op in c("==", "!=", "<", ">=")) {
    got <- get(op)(x, "a")
    expect_true(is.lazy(got))
    expect_identical(as.vector(got), get(op)(v, "a"), info = op)
  }
  expect_identical(as.vector(is.na(x)), is.na(v))
  expect_true(is.lazy(c(x, "end")))
  expect_identical(as.vector(c(x, strrep("long", 100), x)), c(v, strrep("long", 100), v))
  expect_identical(as.vector(rev(x)), rev(v))
  numbers <- lazySequence(-3L, 1L, 3000L)
  expect_identical(as.vector(as.character(numbers)), as.character(-3:2996))
  expect_identical(as.vector(as.character(numbers / 7)), as.character(-3:2996 / 7))
  expect_identical(as.vector(as.integer(as.character(numbers))), -3:2996)
  expect_identical(as.vector(c(numbers, "x")), c(-3:2996, "x"))
  expect_error(x + 1, "non-numeric")
})

test_that("assignment is private, of any length; others see what is written back", {
  v <- words(3000)
  x <- lazy_words(v)
  y <- x
  w <- v
  long <- strrep("longer than a record ", 20)
  for (i in 1:40) {
    y[i] <- paste(long, i)
    w[i] <- paste(long, i)
  }
  y[c(2999, 3000)] <- c(NA, "ü")
  w[c(2999, 3000)] <- c(NA, "ü")
  expect_identical(y[1:3000], w)
  expect_identical(as.vector(y), w)
  expect_identical(as.vector(c(y, "a")), c(w, "a"))
  expect_identical(x[1:3000], v)
  expect_identical(unserialize(serialize(y, NULL))[1:3000], w)
  expect_identical(sort(y), sort(w))
  expect_error(sharedHandle(y), "changed")

  folder <- tempfile()
  dir.create(folder)
  on.exit(unlink(folder, recursive = TRUE))
  kept <- lazyVector("character", 3000, function(start, end) {
    file <- file.path(folder, start)
    if (file.exists(file)) readRDS(file) else rep("", end - start + 1)
  }, writeback = function(start, end, values) saveRDS(values, file.path(folder, start)),
  globals = list(folder = folder), width = 28)
  kept[c(1, 3000)] <- c("né", NA)
  expect_identical(attachShared(sharedHandle(kept))[c(1, 2, 3000)], c("né", "", NA))
  lazyFlush(kept)
  lazyRelease(kept)
  expect_identical(kept[c(1, 2, 3000)], c("né", "", NA))
  expect_error(kept[2] <- strrep("x", 100), "width")
  expect_identical(kept[2], "")
})

test_that("what goes wrong is an error at the touch, and can be tried again", {
  touch <- function(f, ...) tryCatch(lazyVector("character", 5000, f, ...)[2000], error = conditionMessage)
  expect_match(touch(function(start, end) stop("no words")), "populate\\(1025, 2048\\): no words")
  expect_match(touch(function(start, end) strrep("w", start:end)), "bytes .*at most 60 fit.*`width`")
  expect_match(touch(function(start, end) "one"), "1 elements, and 1024 are needed")
  expect_match(touch(function(start, end) start:end), "returned a (integer|double)")
  expect_match(touch(function(start, end) factor(rep("a", end - start + 1))), "class factor")
  bytes <- function(start, end) {
    x <- rep("\xff", end - start + 1)
    Encoding(x) <- "bytes"
    x
  }
  expect_match(touch(bytes), "bytes")
  latin <- function(start, end) {
    x <- rep("\xe4", end - start + 1)
    Encoding(x) <- "latin1"
    x
  }
  expect_identical(touch(latin), "ä")
  expect_error(lazyVector("character", 5, function(start, end) "a", width = -1), "width")
  expect_error(lazyVector("character", 5, function(start, end) "a", width = 1e9), "width|64 MiB")
  expect_error(lazyVector("character", 5, function(start, end) "a", width = 1e5, writeback = function(...) 1), "chunk")
})

test_that("another process has the same strings", {
  v <- words(3000)
  x <- lazy_words(v)
  expect_lt(wire_size(x), 900)
  expect_identical(in_child(function(x, h) {
    h <- onecopy::attachShared(h)
    stopifnot(identical(x[1:3000], h[1:3000]), onecopy::is.lazy(h))
    x[1:3000]
  }, list(x, sharedHandle(x))), v)
  upper <- x[seq(3000, 1)]
  expect_identical(in_child(function(x) x[1:10], list(upper)), rev(v)[1:10])
})
