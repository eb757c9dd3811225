# The memory of all workers together, when each works on one shared object: it stays one copy.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

side <- sized(1000L, 30L)
n <- sized(1e7, 1e4)
object <- list(m = matrix(runif(side^2), side), v = runif(n),
               d = as.data.frame(replicate(3L, runif(n / 20), simplify = FALSE), col.names = c("a", "b", "c")))
bytes <- as.numeric(object.size(object))
shared <- share(object)

work <- function(x) {
  r <- x$m %*% x$m
  r <- sort(x$v)
  r <- quantile(x$v)
  r <- lm(a ~ b + c, x$d)
  NULL
}
environment(work) <- globalenv()
prepare <- function(work, small) {
  assign("work", work, globalenv())
  for (i in 1:3) work(small)
  private_memory()
}
keep <- function(x) {
  assign("kept", x, globalenv())
  work(kept)
  private_memory()
}
environment(prepare) <- environment(keep) <- globalenv()
small <- list(m = matrix(runif(9), 3L), v = runif(100),
              d = as.data.frame(replicate(3L, runif(20), simplify = FALSE), col.names = c("a", "b", "c")))

# One worker after the other works, so that their workspaces don't add up; all keep the object to the end.
grown <- function(workers, x) {
  cluster <- start_workers(workers)
  on.exit(parallel::stopCluster(cluster))
  before <- vapply(parallel::clusterCall(cluster, prepare, work, small), identity, 0)
  after <- vapply(seq_len(workers), function(i) parallel::clusterCall(cluster[i], keep, x)[[1L]], 0)
  sum(after - before)
}

for (workers in sized(c(1L, 2L, 4L, 8L), c(1L, 2L))) {
  ours <- grown(workers, shared) + bytes
  theirs <- grown(workers, object) + bytes
  write_row(paste0("scaling-", workers), sprintf("memory of %s shared with %d workers: %%*%%, sort, quantile, lm",
            mega(bytes), workers), "bytes", "plain R, data sent by serialize()", list(ours = ours, baseline = theirs),
            at_most(bytes + workers * 4 * 2e6), "goal: the object once, and 2 MB for each operation of each worker")
}

# bigmemory shares matrices of numbers; R's functions get them as copies, which are garbage afterwards.
if (requireNamespace("bigmemory", quietly = TRUE)) {
  options(bigmemory.allow.dimnames = FALSE)
  matrices <- list(m = bigmemory::as.big.matrix(object$m, shared = TRUE),
                   v = bigmemory::as.big.matrix(matrix(object$v), shared = TRUE))
  descriptions <- lapply(matrices, bigmemory::describe)
  bytes <- 8 * (length(object$m) + length(object$v))
  numbers <- share(object[c("m", "v")])
  use <- function(x, descriptions) {
    if (!is.null(descriptions)) x <- lapply(lapply(descriptions, bigmemory::attach.big.matrix), function(b) b[, ])
    r <- x$m %*% x$m
    r <- sort(x$v)
    r <- quantile(x$v)
    # What is held on to is the object that was sent, not the copies.
    x <- r <- NULL
    peak <- grep("^VmHWM", readLines("/proc/self/status"), value = TRUE)
    c(private_memory(), as.numeric(gsub("[^0-9]", "", peak)) * 1024)
  }
  environment(use) <- globalenv()
  each <- function(workers, x, descriptions) {
    cluster <- start_workers(workers)
    on.exit(parallel::stopCluster(cluster))
    parallel::clusterCall(cluster, function() { loadNamespace("bigmemory"); NULL })
    before <- vapply(parallel::clusterCall(cluster, private_memory), identity, 0)
    after <- vapply(seq_len(workers), function(i) parallel::clusterCall(cluster[i], use, x, descriptions)[[1L]], c(0, 0))
    c(sum(after[1L, ] - before), max(after[2L, ]))
  }
  for (workers in sized(c(1L, 4L), 1L)) {
    ours <- each(workers, numbers, NULL)
    theirs <- each(workers, NULL, descriptions)
    write_row(paste0("scaling-bigmemory-", workers), sprintf("memory of %s shared with %d workers: %%*%%, sort, quantile",
              mega(bytes), workers), "bytes", "bigmemory, x[, ]",
              list(ours = ours[1L] + bytes, baseline = theirs[1L] + bytes), at_most(bytes + workers * 3 * 2e6),
              sprintf("a worker's memory was at most %s, with bigmemory %s", mega(ours[2L]), mega(theirs[2L])))
  }
} else {
  not_run("scaling-bigmemory", "memory beside bigmemory", "bigmemory is not installed")
}
