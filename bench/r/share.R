# Sharing, changing one element, and what travels.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

n <- sized(64 * 2^20, 2^17)
megabytes <- round(n * 8 / 2^20)
x <- runif(n)
gigabytes <- n * 8 / 1e9

taken <- interleaved(
  5L,
  function() { gc(FALSE); gigabytes / time_of(function() share(x)) },
  function() { gc(FALSE); gigabytes / time_of(function() serialize(x, NULL, xdr = FALSE)) }
)
write_row("share", sprintf("share(x), %d MB of doubles", megabytes), "GB/s", "serialize(x, NULL)", taken,
          ratio_at_least(1.5))
# R's own way to copy a vector is malloc and memcpy.
taken <- interleaved(
  5L,
  function() { gc(FALSE); gigabytes / time_of(function() share(x)) },
  function() { gc(FALSE); gigabytes / time_of(function() { y <- x; y[1L] <- 0; NULL }) }
)
write_row("share-copy", sprintf("share(x), %d MB of doubles, beside a copy", megabytes), "GB/s",
          "y <- x; y[1] <- 0 in plain R", taken, ratio_at_least(1.5))
if (requireNamespace("bigmemory", quietly = TRUE)) {
  options(bigmemory.allow.dimnames = FALSE, bigmemory.typecast.warning = FALSE)
  m <- matrix(x, ncol = 1L)
  taken <- interleaved(
    3L,
    function() { gc(FALSE); gigabytes / time_of(function() share(m)) },
    function() { gc(FALSE); gigabytes / time_of(function() bigmemory::as.big.matrix(m, shared = TRUE)) }
  )
  rm(m)
  write_row("share-bigmemory", sprintf("share(m), a matrix of %d MB", megabytes), "GB/s", "bigmemory::as.big.matrix(m)",
            taken)
} else {
  not_run("share-bigmemory", "share(m) beside bigmemory", "bigmemory is not installed")
}

# One element of a shared vector, and what it costs this process.
s <- share(x)
change_one <- function(id, label) {
  pages <- numeric()
  taken <- interleaved(
    9L,
    function() {
      before <- private_memory()
      seconds <- time_of(function() { y <<- s; y[1L] <<- 0 })
      pages <<- c(pages, private_memory() - before)
      stopifnot(y[1L] == 0, s[1L] == x[1L], y[2L] == x[2L])
      y <<- NULL
      gc(FALSE)
      seconds
    },
    function() {
      gc(FALSE)
      seconds <- time_of(function() { z <<- x; z[1L] <<- 0 })
      z <<- NULL
      seconds
    }
  )
  # `y[1] <<- 0` and the like are done at top level, as users do them; R's own overhead is the same for both.
  write_row(id, sprintf("y <- x; y[1] <- 0 on %d MB%s", megabytes, label), "s", "plain R", taken, at_most(2e-3),
            sprintf("private memory grown: %.0f KB (median)", stats::median(pages) / 1024))
}
change_one("change-one", "")
z <- s + 1  # R is given a pointer; through such a one packages write, so the pages are looked at from now on
rm(z)
change_one("change-one-looked-at", ", after x + 1")
stopifnot(length(serialize(s, NULL)) < 1000)
rm(s, y, z)

# Bytes that travel.
sizes <- function(object, leaves) {
  shared <- share(object)
  list(ours = length(serialize(shared, NULL)) / leaves, baseline = length(serialize(object, NULL)) / leaves)
}
k <- sized(1e6, 1e4)
frame <- as.data.frame(replicate(10L, runif(k / 10), simplify = FALSE), col.names = paste0("c", 1:10))
write_row("size-vector", "serialized size of a shared vector", "bytes", "serialize()", sizes(runif(k), 1), at_most(200))
write_row("size-frame", "serialized size of a shared data frame of 10 columns, each", "bytes", "serialize()",
          sizes(frame, 10), at_most(200))
write_row("size-list", "serialized size of a shared list of 100 vectors, each", "bytes", "serialize()",
          sizes(replicate(100L, runif(k / 100), simplify = FALSE), 100), at_most(200))
