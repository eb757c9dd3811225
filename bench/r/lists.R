# Objects of many parts: a million scalars, ten thousand vectors, S4 objects.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

there_and_back <- function(x) unserialize(serialize(x, NULL, xdr = FALSE))

n <- sized(1e6, 1e3)
scalars <- as.list(runif(n))
touch <- function(x) sum(unlist(x, use.names = FALSE))
stopifnot(identical(touch(share(scalars)), touch(scalars)))
label <- sprintf("list of %s scalars", format(n, big.mark = ",", scientific = FALSE))
views <- is.shared(share(scalars))
write_row("scalars", paste0(label, ": share and touch all"), "s", "serialize, unserialize, touch all",
          compare(5L, function() touch(share(scalars)), function() touch(there_and_back(scalars))), at_most(0.6),
          if (views) "" else "before R 4.3 scalars are not shared unless minLength = 1, and the list stays what it is")
if (!views) {
  write_row("scalars-each", paste0(label, ", minLength = 1: share and touch all"), "s", "serialize, unserialize, touch all",
            compare(3L, function() touch(share(scalars, minLength = 1)), function() touch(there_and_back(scalars))),
            at_most(0.6))
}

k <- sized(1e4, 100)
vectors <- replicate(k, runif(10), simplify = FALSE)
what <- sprintf("list of %s vectors of 10", format(k, big.mark = ",", scientific = FALSE))
write_row("vectors", paste0(what, ": share and touch all"), "s", "serialize, unserialize, touch all",
          compare(9L, function() touch(share(vectors)), function() touch(there_and_back(vectors))))
shared <- share(vectors)
write_row("vectors-size", paste0(what, ": serialized size, each"), "bytes", "serialize()",
          list(ours = length(serialize(shared, NULL)) / k, baseline = length(serialize(vectors, NULL)) / k), at_most(200))

# In another process, which has nothing of it yet.
cluster <- start_workers(1L)
receive <- function(sent) {
  gc()
  before <- private_memory()
  begun <- Sys.time()
  x <- unserialize(sent)
  total <- sum(unlist(x, use.names = FALSE))
  c(as.numeric(difftime(Sys.time(), begun, units = "secs")), private_memory() - before, total)
}
environment(receive) <- globalenv()
in_worker <- function(x) parallel::clusterCall(cluster, receive, serialize(x, NULL, xdr = FALSE))[[1L]]
# In a worker of its own: one that had such lists before has room for them, which counts as its own still.
in_fresh_worker <- function(x, first) {
  own <- start_workers(1L)
  on.exit(parallel::stopCluster(own))
  parallel::clusterCall(own, receive, serialize(first, NULL, xdr = FALSE))
  parallel::clusterCall(own, receive, serialize(x, NULL, xdr = FALSE))[[1L]][2L]
}
arrive <- function(id, label, plain, rounds, goal = no_goal) {
  shared <- share(plain)
  taken <- interleaved(rounds, function() in_worker(shared)[1L], function() in_worker(plain)[1L])
  write_row(id, paste0(label, ": arrive in a worker and be touched"), "s", "unserialize() of the data, touched", taken, goal)
  write_row(paste0(id, "-memory"), paste0(label, ": worker's private memory grown by that"), "bytes",
            "unserialize() of the data, touched",
            list(ours = in_fresh_worker(shared, share(plain[1:9])), baseline = in_fresh_worker(plain, plain[1:9])))
}
arrive("vectors-arrive", what, vectors, 5L)
arrive("scalars-arrive", sprintf("list of %s scalars", format(n, big.mark = ",", scientific = FALSE)), scalars, 3L)

# S4: two slots, and a sparse matrix where Matrix is installed.
setClass("Measured", representation(values = "numeric", weights = "numeric"))
measured <- new("Measured", values = runif(n), weights = runif(n))
objects <- list(list("s4", "S4 object of two numeric slots", measured, quote(sum(x@values)), 200 * 4,
                     new("Measured", values = runif(9), weights = runif(9))))
if (requireNamespace("Matrix", quietly = TRUE)) {
  # 1e7 non-zeros, the same number in each column.
  each <- sized(1e4L, 10L)
  sparse <- methods::new("dgCMatrix", Dim = c(1000000L, 1000L), x = runif(each * 1e3), p = as.integer(0:1000 * each),
                         i = as.vector(replicate(1e3, sort.int(sample.int(1000000L, each)) - 1L)))
  objects <- c(objects, list(list("sparse", sprintf("dgCMatrix of %s non-zeros, %s", format(each * 1e3, big.mark = ",",
                                  scientific = FALSE), mega(as.numeric(object.size(sparse)))), sparse,
                                  quote(Matrix::colSums(x)), 200 * 8, sparse[, 1:2])))
} else {
  not_run("sparse", "a dgCMatrix", "Matrix is not installed")
}
for (object in objects) {
  inside <- eval(bquote(function(x) { r <- .(object[[4L]]); r <- NULL; c(private_memory(), length(serialize(x, NULL))) }))
  environment(inside) <- globalenv()
  # Again in a worker of its own, which has done the same with a small object before.
  grown <- function(x, first) {
    own <- start_workers(1L)
    on.exit(parallel::stopCluster(own))
    parallel::clusterCall(own, function() { loadNamespace("Matrix"); setClass("Measured", representation(
      values = "numeric", weights = "numeric"), where = globalenv()); NULL })
    for (i in 1:3) parallel::clusterCall(own, inside, first)
    before <- parallel::clusterCall(own, private_memory)[[1L]]
    after <- parallel::clusterCall(own, inside, x)[[1L]]
    c(max(0, after[1L] - before), after[2L])
  }
  ours <- grown(share(object[[3L]]), share(object[[6L]]))
  theirs <- grown(object[[3L]], object[[6L]])
  write_row(paste0(object[[1L]], "-memory"), paste0(object[[2L]], ": worker's private memory grown by ",
            deparse(object[[4L]])), "bytes", "sent by serialize()", list(ours = ours[1L], baseline = theirs[1L]),
            at_most(2e6))
  write_row(paste0(object[[1L]], "-size"), paste0(object[[2L]], ": serialized size after that"), "bytes", "serialize()",
            list(ours = ours[2L], baseline = theirs[2L]), at_most(object[[5L]]), "200 bytes a leaf, attributes included")
}
parallel::stopCluster(cluster)
