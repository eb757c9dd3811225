# Lazy vectors in R: loops, functions in R, CSV, and computing on several times the budget.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

budget <- sized(128, 16) * 2^20
folder <- tempfile("bench-lazy-", "/var/tmp")
dir.create(folder)
invisible(reg.finalizer(globalenv(), function(e) unlink(folder, recursive = TRUE), onexit = TRUE))
invisible(lazyBudget(budget))
size <- function(bytes) sprintf("%.0f MB", bytes / 1e6)
has <- function(package) requireNamespace(package, quietly = TRUE)

# ---- loops over elements, all in memory
index_loop <- compiler::cmpfun(function(x) {
  s <- 0
  for (i in seq_along(x)) s <- s + x[i]
  s
})
value_loop <- compiler::cmpfun(function(x) {
  s <- 0
  for (value in x) s <- s + value
  s
})
n <- sized(2e6, 1e4)
plain <- as.numeric(seq_len(n))
x <- lazySequence(1, 1, n)
lazyFill(x)
stopifnot(identical(value_loop(x), value_loop(plain)))
write_row("lazy-loop-value", "for (value in x) over a lazy vector within the budget", "s", "a plain vector",
          compare(9L, function() value_loop(x), function() value_loop(plain)))
write_row("lazy-loop-bare", "x[i] of unclass(x), lazy, within the budget", "s", "a plain vector",
          compare(9L, function() index_loop(unclass(x)), function() index_loop(plain)))
m <- sized(1e5, 1e3)
few <- lazySequence(1, 1, m)
plain_few <- structure(plain[seq_len(m)], class = "other")
`[.other` <- function(x, i) .subset2(x, i)
lazyFill(few)
write_row("lazy-loop-class", "x[i] of a lazy vector with its class", "s", "a plain vector with a class and a method",
          compare(5L, function() index_loop(few), function() index_loop(plain_few)))

# ---- functions in R
count <- budget / 16
squares <- function(start, end) (start:end)^2
ours <- function() {
  x <- lazyVector("numeric", count, squares)
  x[1]
  count * 8 / 1e6 / time_of(function() sum(x))
}
inline <- function() count * 8 / 1e6 / time_of(function() sum(squares(1, count)))
write_row("lazy-populate-r", sprintf("function in R, filled and summed, %s", size(count * 8)), "MB/s",
          "the function called once in this process", interleaved(5L, ours, inline))
strings <- sized(4e5, 1e4)
text <- function(start, end) sprintf("word %d", as.integer(start:end))
ours <- function() {
  x <- lazyVector("character", strings, text, width = 12)
  x[1]
  strings / 1e6 / time_of(function() sum(nchar(x)))
}
write_row("lazy-populate-strings", "strings by a function in R, filled and counted", "million/s",
          "the function called once in this process",
          interleaved(5L, ours, function() strings / 1e6 / time_of(function() sum(nchar(text(1, strings))))))

# ---- CSV
if (has("data.table")) {
  path <- file.path(folder, "table.csv")
  rows <- sized(1e6, 1e4)
  table <- data.frame(id = seq_len(rows), weight = round(runif(rows), 6), name = sprintf("name %d", seq_len(rows) %% 1000L))
  data.table::fwrite(table, path)
  bytes <- file.size(path)
  data.table::setDTthreads(1L)
  whole <- function() bytes / 1e6 / time_of(function() data.table::fread(path, showProgress = FALSE, nThread = 1L))
  scan <- function() bytes / 1e6 / time_of(function() lazyCsv(path, progress = FALSE))
  write_row("lazy-csv-scan", sprintf("scan of a CSV file of %s", size(bytes)), "MB/s",
            "data.table::fread of all of it, one thread", interleaved(3L, scan, whole))
  column <- function() {
    d <- lazyCsv(path, progress = FALSE)
    d$weight[1]
    time_of(function() sum(d$weight))
  }
  write_row("lazy-csv-column", "sum of one column, first touch", "s", "data.table::fread of that column, one thread",
            interleaved(3L, column, function() time_of(function() sum(
              data.table::fread(path, select = "weight", showProgress = FALSE, nThread = 1L)[[1L]]))))
} else not_run("lazy-csv-scan", "scan of a CSV file", "data.table is not installed")

# ---- several times the budget
count <- 2 * budget / 8
step <- 2^17
paths <- file.path(folder, c("x", "y"))
for (path in paths) {
  out <- file(path, "wb")
  for (first in seq(1, count, by = step)) writeBin(runif(min(step, count - first + 1)) - 0.5, out)
  close(out)
}
lazies <- function(inPlace) lapply(paths, lazyBinary, inPlace = inPlace)
at <- floor(runif(sized(3000, 300), 1, count + 1))
truth <- sum(vapply(seq(1, count, by = step), function(first) {
  part <- lapply(paths, function(path) {
    file <- file(path, "rb")
    on.exit(close(file))
    seek(file, (first - 1) * 8)
    readBin(file, "double", min(step, count - first + 1))
  })
  sum(part[[1L]] + part[[2L]] > 0)
}, 1L))
ours_sum <- function(inPlace = TRUE) {
  v <- lazies(inPlace)
  time_of(function() stopifnot(sum(v[[1L]] + v[[2L]] > 0) == truth))
}
ours_random <- function(inPlace = TRUE) {
  v <- lapply(paths, lazyBinary, chunk = 4096, inPlace = inPlace)
  time_of(function() for (x in v) sum(unclass(x)[at])) / length(at) / 2 * 1e6
}
in_blocks <- function(read) sum(vapply(seq(1, count, by = step), function(first) {
  last <- min(count, first + step - 1)
  sum(read(1L, first, last) + read(2L, first, last) > 0)
}, 1L))
what_sum <- sprintf("sum(x + y > 0), %s, 4 budgets", size(2 * count * 8))
what_random <- sprintf("element at random, %s, 4 budgets", size(2 * count * 8))

# ---- a file within the budget, and the same through the pager
half <- budget / 2 / 8
whole <- function(read) half * 8 / 1e9 / time_of(function() sum(read()))
base <- function() readBin(paths[1L], "double", half)
write_row("lazy-file", sprintf("sum of a file of %s, within the budget", size(half * 8)), "GB/s", "readBin() and sum()",
          interleaved(5L, function() whole(function() lazyBinary(paths[1L], length = half)), function() whole(base)))
write_row("lazy-file-paged", "the same in chunks (inPlace = FALSE)", "GB/s", "readBin() and sum()",
          interleaved(5L, function() whole(function() lazyBinary(paths[1L], length = half, inPlace = FALSE)),
                      function() whole(base)))
write_row("lazy-sum-paged", paste0(what_sum, ", in chunks (inPlace = FALSE)"), "s", "the same, mapped in place",
          interleaved(3L, function() ours_sum(FALSE), ours_sum))
write_row("lazy-random-paged", paste0(what_random, ", chunks of 4 KB (inPlace = FALSE)"), "us", "the same, mapped in place",
          interleaved(3L, function() ours_random(FALSE), ours_random))

if (has("ff")) {
  options(fftempdir = folder)
  ffs <- lapply(paths, function(path) ff::ff(vmode = "double", length = count, filename = path, readonly = TRUE))
  write_row("lazy-sum-ff", what_sum, "s", "ff, the same blocks", interleaved(3L, ours_sum, function()
    time_of(function() stopifnot(in_blocks(function(k, first, last) ffs[[k]][first:last]) == truth))))
  write_row("lazy-random-ff", what_random, "us", "ff", interleaved(3L, ours_random, function()
    time_of(function() for (x in ffs) sum(x[at])) / length(at) / 2 * 1e6))
} else not_run("lazy-sum-ff", what_sum, "ff is not installed")

if (has("bigmemory")) {
  options(bigmemory.allow.dimnames = FALSE)
  bigs <- lapply(1:2, function(k) {
    b <- bigmemory::filebacked.big.matrix(count, 1L, type = "double", backingfile = paste0("big", k), backingpath = folder,
                                          descriptorfile = paste0("big", k, ".desc"))
    file <- file(paths[k], "rb")
    on.exit(close(file))
    for (first in seq(1, count, by = step)) {
      values <- readBin(file, "double", step)
      b[first:(first + length(values) - 1), 1L] <- values
    }
    b
  })
  write_row("lazy-sum-bigmemory", what_sum, "s", "a big.matrix in a file, the same blocks", interleaved(3L, ours_sum, function()
    time_of(function() stopifnot(in_blocks(function(k, first, last) bigs[[k]][first:last, 1L]) == truth))))
  write_row("lazy-random-bigmemory", what_random, "us", "a big.matrix in a file", interleaved(3L, ours_random, function()
    time_of(function() for (x in bigs) sum(x[at, 1L])) / length(at) / 2 * 1e6))
} else not_run("lazy-sum-bigmemory", what_sum, "bigmemory is not installed")
stopifnot(lazyUsage()[["peak"]] <= budget)
