# What R asks an ALTREP vector for one element at a time, beside a plain vector, and beside bigmemory, whose matrices have
# to be copied into a vector first.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

n <- sized(5e6, 1e4)
numbers <- runif(n)
data <- list(x = numbers, i = as.integer(numbers * 1000), m = matrix(numbers, ncol = 100L))
shared <- lapply(data, share)
operations <- list(
  list("c", "c(x, 1)", function(d) c(d$x, 1)),
  list("unlist", "unlist(list(x, x))", function(d) unlist(list(d$x, d$x))),
  list("rep", "rep(x, 2)", function(d) rep(d$x, 2)),
  list("range", "range(x)", function(d) range(d$x)),
  list("range-integer", "range(x) of integers", function(d) range(d$i)),
  list("cumsum", "cumsum(x)", function(d) cumsum(d$x)),
  list("is.na", "is.na(x)", function(d) is.na(d$x)),
  list("compare", "x > 0.5", function(d) d$x > 0.5),
  list("plus", "x + 1", function(d) d$x + 1),
  list("columns", "m[, 5:50]", function(d) d$m[, 5:50]),
  list("apply", "apply(m, 2, sum)", function(d) apply(d$m, 2L, sum)),
  list("unique", "unique(x) of integers", function(d) unique(d$i))
)
size <- mega(n * 8)
for (operation in operations) {
  work <- operation[[3L]]
  stopifnot(identical(work(shared), work(data)))
  write_row(paste0("operation-", operation[[1L]]), sprintf("%s, %s of doubles", operation[[2L]], size), "s", "a plain vector",
            compare(9L, function() work(shared), function() work(data)))
}

# In a file, which others may cut short: the file is looked at now and then, not for each element.
kept <- share(numbers, path = tempfile(tmpdir = Sys.getenv("ONECOPY_DIR")))
write_row("operation-file", sprintf("c(x, 1), %s of doubles in a file", size), "s", "a plain vector",
          compare(5L, function() c(kept, 1), function() c(numbers, 1)))

if (requireNamespace("bigmemory", quietly = TRUE)) {
  options(bigmemory.allow.dimnames = FALSE)
  big <- bigmemory::as.big.matrix(data$m, shared = TRUE)
  write_row("operation-bigmemory", sprintf("range(m), %s of doubles", size), "s", "bigmemory: range(m[, ])",
            compare(7L, function() range(shared$m), function() range(big[, ])))
} else {
  not_run("operation-bigmemory", "range(m) beside bigmemory", "bigmemory is not installed")
}
