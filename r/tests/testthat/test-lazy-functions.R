# What people do with columns of a data frame, on lazy ones: base R's and stats' own functions give the same.
skip_if_not_installed("data.table")
set.seed(1)
n <- 3000L
plain <- data.frame(id = seq_len(n), g = sample(letters[1:4], n, TRUE), x = round(rnorm(n), 3),
                    k = sample(c(TRUE, FALSE), n, TRUE))
plain$y <- plain$x * 2 + round(runif(n), 3)
file <- tempfile(fileext = ".csv")
write.csv(plain, file, row.names = FALSE, quote = FALSE)
lazies <- lazyCsv(file)

asks <- list(
  function(d) order(d$x), function(d) d[order(d$x), ][1:5, ], function(d) tapply(d$x, d$g, sum),
  function(d) aggregate(x ~ g, d, sum), function(d) aggregate(d$x, list(d$g), mean), function(d) coef(lm(y ~ x, d)),
  function(d) coef(glm(k ~ x, binomial, d)), function(d) table(d$g, d$k), function(d) with(d, sum(x[g == "a"])),
  function(d) subset(d, x > 1 & g == "b"), function(d) transform(d, z = x + y)[1:3, ], function(d) c(by(d$x, d$g, mean)),
  function(d) merge(d, data.frame(g = letters[1:4], v = 1:4)), function(d) split(d$x, d$g), function(d) cor(d$x, d$y),
  function(d) c(var(d$x), sd(d$x), mad(d$x), fivenum(d$x)), function(d) cut(d$x, 3), function(d) which(d$x > 2),
  function(d) hist(d$x, plot = FALSE)$counts, function(d) ifelse(d$x > 0, "p", "n"), function(d) which.max(d$x),
  function(d) head(d), function(d) tail(d, 3), function(d) summary(d), function(d) sapply(d[c("x", "y")], mean),
  function(d) colMeans(d[c("x", "y")]), function(d) as.matrix(d[c("x", "y")])[1:3, ], function(d) rbind(d, d)[n + 1:3, ],
  function(d) cbind(d, n = 1)[1:3, ], function(d) sum(duplicated(d$x)), function(d) paste(d$g, d$id),
  function(d) diff(d$x),
  function(d) outer(d$x[1:3], d$y[1:3]), function(d) crossprod(d$x), function(d) d$x %*% d$y, function(d) cumsum(d$x),
  function(d) c(scale(d$x)), function(d) sort(d$x), function(d) rank(d$x), function(d) range(d$x), function(d) mode(d$x),
  function(d) Reduce(`+`, d$x), function(d) vapply(d$id, function(i) i * 2, 1), function(d) pmax(d$x, 0),
  function(d) t.test(d$x)$p.value, function(d) density(d$x)$bw, function(d) mapply(function(a, b) a + b, d$x, d$y),
  function(d) { d$z <- d$x * 2; d$z[5] }, function(d) d[d$x > 0, "y"], function(d) d[["x"]][3], function(d) d[3, "x"],
  function(d) match("b", d$g), function(d) sum(nchar(d$g)), function(d) sum(d$id), function(d) c(xtabs(~ g + k, d)),
  function(d) data.matrix(d)[1:2, c("id", "x")], function(d) nrow(na.omit(d)), function(d) { set.seed(1); sample(d$x, 3) },
  function(d) plogis(d$x), function(d) dnorm(d$x), function(d) format(d$x[1:3]), function(d) as.list(d$x)[[3]],
  function(d) append(d$x, 1)[n + 1L], function(d) setdiff(d$g, "a"), function(d) substr(d$g, 1, 1),
  function(d) gsub("a", "z", d$g),
  function(d) strsplit(d$g, ""), function(d) unsplit(split(d$x, d$g), d$g), function(d) ecdf(d$x)(0),
  function(d) approx(d$id, d$y, 5.5)$y, function(d) findInterval(d$x, c(-1, 0, 1)), function(d) tabulate(d$id %% 5L + 1L),
  function(d) c(rowsum(d$x, d$g)), function(d) data.frame(a = d$x, b = d$g)[2:3, ], function(d) as.data.frame(d$x)[1:2, ],
  function(d) do.call(rbind, lapply(split(d, d$g), function(s) data.frame(g = s$g[1], m = mean(s$x)))))

# Some functions keep the attributes of what they get.
ordinary <- function(x) {
  if (is.data.frame(x)) x[] <- lapply(x, ordinary)
  if (inherits(x, "lazyVector")) as.vector(x) else x
}

test_that("functions for vectors and data frames", {
  for (ask in asks) expect_equal(ordinary(ask(lazies)), ask(plain), info = paste(deparse(body(ask)), collapse = " "))
})

test_that("only what is lazy has the class, or an ordinary vector that all methods take for one", {
  plain <- 1:100000
  x <- lazySequence(1L, 1L, 100000)
  chosen <- ifelse(x > 5, x, 0)
  expect_false(is.lazy(chosen))
  expect_identical(as.vector(chosen), ifelse(plain > 5, plain, 0))
  expect_identical(chosen[1:7], c(0, 0, 0, 0, 0, 6, 7))
  expect_identical(chosen + 1, ifelse(plain > 5, plain, 0) + 1)
  y <- x
  y[2] <- 2.5
  expect_false(is.lazy(y))
  expect_identical(as.vector(y), replace(as.double(plain), 2, 2.5))
  expect_identical(sum(y), sum(as.double(plain)) + 0.5)
  y <- x
  y[2] <- 7L  # no other type: a private copy of a page
  expect_true(is.lazy(y))
  expect_identical(y[1:3], c(1L, 7L, 3L))
  for (lag in c(1L, 3L, 99999L, 100000L)) for (differences in 1:2) {
    found <- diff(as.double(x) * x, lag, differences)
    expect_identical(is.lazy(found), length(found) > 65536)
    expect_equal(as.vector(found), diff(as.double(plain)^2, lag, differences))
  }
  expect_error(diff(x, 0), ">= 1")
  expect_identical(as.vector(diff(y)), diff(as.vector(y)))
  dim(x) <- c(50000, 2)
  expect_identical(diff(x), diff(matrix(plain, ncol = 2)))
  upper <- toupper(lazyVector("character", 3, function(start, end) letters[start:end]))
  expect_false(is.lazy(upper))
  expect_identical(upper[1:2], c("A", "B"))
  expect_identical(as.vector(upper), c("A", "B", "C"))
  expect_identical(upper == "B", c(FALSE, TRUE, FALSE))
  expect_identical(rev(upper), c("C", "B", "A"))
  expect_output(print(upper), "\"A\" \"B\" \"C\"", fixed = TRUE)
})

test_that("data.table takes lazy columns", {
  # In a process whose code is nobody's namespace: data.table looks where it is called from.
  grouped <- function(d) {
    library(data.table)
    d <- as.data.table(d)
    lapply(list(d[, list(total = sum(x)), keyby = "g"], d[x > 2, c("id", "g")], d[order(x)][1:3, c("id", "x")]), as.data.frame)
  }
  ours <- in_child(grouped, list(lazies))
  expect_equal(rapply(ours, ordinary, how = "replace"), in_child(grouped, list(plain)))
})
