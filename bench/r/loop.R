# An R loop over the elements of a shared vector, byte-compiled.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

sum_loop <- compiler::cmpfun(function(x) {
  s <- 0
  for (i in seq_along(x)) s <- s + x[i]
  s
})
matrix_loop <- compiler::cmpfun(function(m) {
  s <- 0
  for (j in seq_len(ncol(m))) for (i in seq_len(nrow(m))) s <- s + m[i, j]
  s
})
list_loop <- compiler::cmpfun(function(x) {
  s <- 0
  for (i in seq_along(x)) s <- s + x[[i]]
  s
})

n <- sized(1e7, 1e4)
plain <- runif(n)
shared <- share(plain)
stopifnot(identical(sum_loop(shared), sum_loop(plain)))
write_row("loop-double", "loop over the elements of a double vector", "s", "a plain vector",
          compare(9L, function() sum_loop(shared), function() sum_loop(plain)), ratio_at_most(1.5))
write_row("loop-double2", "loop with x[[i]] over a double vector", "s", "a plain vector",
          compare(9L, function() list_loop(shared), function() list_loop(plain)), ratio_at_most(1.5))
integers <- sample.int(1000L, n, TRUE)
shared_integers <- share(integers)
write_row("loop-integer", "loop over the elements of an integer vector", "s", "a plain vector",
          compare(9L, function() sum_loop(shared_integers), function() sum_loop(integers)), ratio_at_most(1.5))
m <- matrix(plain, ncol = 100L)
shared_m <- share(m)
write_row("loop-matrix", "loop over m[i, j] of a matrix", "s", "a plain matrix",
          compare(7L, function() matrix_loop(shared_m), function() matrix_loop(m)), ratio_at_most(1.5))

in_place <- tryCatch(attachShared(sharedHandle(shared), plain = TRUE), error = function(e) NULL)
what <- "loop over attachShared(h, plain = TRUE)"
if (is.null(in_place)) {
  not_run("loop-plain", what, "this version's attachShared() has no plain = TRUE")
} else {
  stopifnot(identical(in_place, plain))
  # 1.0 as the design says it: what two plain vectors differ by is noise.
  write_row("loop-plain", what, "s", "a plain vector",
            compare(15L, function() sum_loop(in_place), function() sum_loop(plain)), ratio_at_most(1.05),
            "1.0 x, with 5% for noise")
}
if (requireNamespace("bigmemory", quietly = TRUE)) {
  options(bigmemory.allow.dimnames = FALSE)
  k <- sized(1e5, 1e3)
  small <- matrix(plain[seq_len(k)])
  big <- bigmemory::as.big.matrix(small, shared = TRUE)
  shared_small <- share(small)
  write_row("loop-bigmemory", sprintf("loop over m[i, j], %s elements", format(k, big.mark = ",")), "s", "a big.matrix",
            compare(3L, function() matrix_loop(shared_small), function() matrix_loop(big)))
} else {
  not_run("loop-bigmemory", "loop beside bigmemory", "bigmemory is not installed")
}
