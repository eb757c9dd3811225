# Attaching to objects that another process holds: by what serialize() sent, and by handle.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

cluster <- start_workers(1L)

# Many objects of one kind, held by the worker, as raw vectors and as handles.
held_elsewhere <- function(make, count) {
  parallel::clusterCall(cluster, function(make, count) {
    held <- lapply(seq_len(count), function(i) onecopy::share(make()))
    assign("held", held, globalenv())
    list(sent = lapply(held, serialize, NULL), handles = vapply(held, onecopy::sharedHandle, ""))
  }, make, count)[[1L]]
}

each_us <- function(seconds, count) seconds * 1e6 / count

measure <- function(id, what, make, count, goal, read) {
  there <- held_elsewhere(make, count)
  stopifnot(is.shared(unserialize(there$sent[[1L]])))
  plain <- lapply(seq_len(count), function(i) serialize(make(), NULL, xdr = FALSE))
  # gc() before the clock starts: it lets go of the objects of the last round, which would otherwise be found again.
  by_message <- function(sent) function() {
    gc(FALSE)
    got <- vector("list", count)
    each_us(time_of(function() for (i in seq_len(count)) { got[[i]] <<- unserialize(sent[[i]]); read(got[[i]]) }), count)
  }
  by_handle <- function() {
    gc(FALSE)
    got <- vector("list", count)
    each_us(time_of(function() for (i in seq_len(count)) { got[[i]] <<- attachShared(there$handles[[i]]); read(got[[i]]) }), count)
  }
  write_row(id, paste0("attach ", what, ": unserialize, read one element"), "us", "unserialize() of the data",
            interleaved(15L, by_message(there$sent), by_message(plain)), goal)
  write_row(paste0(id, "-handle"), paste0("attach ", what, ": attachShared(handle), read one element"), "us",
            "unserialize() of the data", interleaved(15L, by_handle, by_message(plain)), goal)
  parallel::clusterEvalQ(cluster, { rm(held); gc(); NULL })
}

first <- function(x) x[1L]
count <- sized(500L, 5L)
measure("attach-small", "100 doubles", eval(substitute(function() runif(100))), count, at_most(30), first)
large <- sized(1e6, 1e4)
measure("attach-large", sprintf("%s of doubles", if (tiny) "80 KB" else "8 MB"),
        eval(substitute(function() runif(n), list(n = large))), sized(20L, 3L), at_most(30), first)
measure("attach-frame", "a data frame of 10 columns, 1,000 rows",
        function() as.data.frame(replicate(10L, stats::runif(1000L), simplify = FALSE), col.names = paste0("c", 1:10)),
        sized(200L, 5L), no_goal, function(x) x[[1L]][1L])

if (requireNamespace("bigmemory", quietly = TRUE)) {
  there <- held_elsewhere(function() runif(100), count)
  matrices <- parallel::clusterCall(cluster, function(count) {
    options(bigmemory.allow.dimnames = FALSE)
    matrices <- lapply(seq_len(count), function(i) bigmemory::as.big.matrix(matrix(runif(100)), shared = TRUE))
    assign("matrices", matrices, globalenv())
    lapply(matrices, bigmemory::describe)
  }, count)[[1L]]
  taken <- interleaved(
    7L,
    function() {
      gc(FALSE)
      got <- vector("list", count)
      each_us(time_of(function() for (i in seq_len(count)) { got[[i]] <<- attachShared(there$handles[[i]]); got[[i]][1L] }), count)
    },
    function() {
      gc(FALSE)
      got <- vector("list", count)
      each_us(time_of(function() for (i in seq_len(count)) {
        got[[i]] <<- bigmemory::attach.big.matrix(matrices[[i]])
        got[[i]][1L, 1L]
      }), count)
    }
  )
  write_row("attach-bigmemory", "attach 100 doubles: attachShared(handle), read one element", "us",
            "bigmemory::attach.big.matrix()", taken, at_most(30))
} else {
  not_run("attach-bigmemory", "attach beside bigmemory", "bigmemory is not installed")
}
parallel::stopCluster(cluster)
