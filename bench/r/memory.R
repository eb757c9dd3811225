# Private memory that a worker grows by when it reads a shared object, and whether a handle is a handle afterwards.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))

n <- sized(25e6, 1e5)
size <- mega(n * 8)
vector <- runif(n)
columns <- 100L
matrix100 <- matrix(runif(n), ncol = columns)
frame <- as.data.frame(lapply(1:25, function(i) runif(n / 25)))
names(frame) <- paste0("c", 1:25)

rcpp_cache <- file.path(Sys.getenv("ONECOPY_BENCH_CACHE", tempdir()), "rcpp")
dir.create(rcpp_cache, showWarnings = FALSE, recursive = TRUE)
rcpp_code <- "double sum_of(Rcpp::NumericVector v) { double s = 0; for (R_xlen_t i = 0; i < v.size(); ++i) s += v[i]; return s; }"

operations <- list(
  list("sum", "sum(x)", "vector", function(x) sum(x)),
  list("head", "x[1:10]", "vector", function(x) x[1:10]),
  list("compare", "x > 5", "vector", function(x) x > 5),
  list("range", "range(x)", "vector", function(x) range(x)),
  list("var", "var(x)", "vector", function(x) var(x)),
  list("sort", "sort(x)", "vector", function(x) sort(x)),
  list("order", "order(x)", "vector", function(x) order(x)),
  list("quantile", "quantile(x)", "vector", function(x) quantile(x)),
  list("rcpp", "an Rcpp function of a NumericVector", "vector", function(x) sum_of(x)),
  list("product", "x %*% v", "matrix", function(x) x %*% seq_len(ncol(x))),
  list("crossprod", "crossprod(x)", "matrix", function(x) crossprod(x)),
  list("colMeans", "colMeans(x)", "matrix", function(x) colMeans(x)),
  list("lm", "lm(c1 ~ c2 + c3, x)", "frame", function(x) lm(c1 ~ c2 + c3, x))
)

cluster <- start_workers(1L)
has_rcpp <- requireNamespace("Rcpp", quietly = TRUE)
if (has_rcpp) {
  load_rcpp <- function(code, cache) { Rcpp::cppFunction(code, cacheDir = cache, env = globalenv()); NULL }
  load_rcpp(rcpp_code, rcpp_cache)  # compiles; the worker finds it in the cache
  parallel::clusterCall(cluster, load_rcpp, rcpp_code, rcpp_cache)
}

# In the worker. What it got and the operation's result are gone when memory is counted, except what x itself needs.
inside <- function(x, work) {
  begun <- Sys.time()
  result <- work(x)
  seconds <- as.numeric(difftime(Sys.time(), begun, units = "secs"))
  result <- NULL
  memory <- private_memory()
  list(memory = memory, seconds = seconds, handle = length(serialize(x, NULL)), first = x[1L])
}
environment(inside) <- globalenv()

# A small run first: code that R loads and compiles on first use is no cost of sharing.
in_worker <- function(x, work, small) {
  environment(work) <- globalenv()
  for (i in 1:3) parallel::clusterCall(cluster, inside, small, work)
  before <- parallel::clusterCall(cluster, private_memory)[[1L]]
  after <- parallel::clusterCall(cluster, inside, x, work)[[1L]]
  list(grown = max(0, after$memory - before), seconds = after$seconds, handle = after$handle)
}
environment(private_memory) <- globalenv()

data <- list(vector = vector, matrix = matrix100, frame = frame)
small <- list(vector = runif(1000), matrix = matrix(runif(1000), ncol = columns),
              frame = as.data.frame(lapply(stats::setNames(1:25, names(frame)), function(i) runif(100))))
shared <- lapply(data, share)
lost <- character()
for (operation in operations) {
  id <- operation[[1L]]
  if (id == "rcpp" && !has_rcpp) {
    not_run("memory-rcpp", "private memory grown by an Rcpp function", "Rcpp is not installed")
    next
  }
  kind <- operation[[3L]]
  theirs <- in_worker(data[[kind]], operation[[4L]], small[[kind]])
  ours <- in_worker(shared[[kind]], operation[[4L]], small[[kind]])
  limit <- 200 * if (kind == "frame") 30 else 1  # a frame's names and row names come beside its 25 leaves
  if (ours$handle > limit) lost <- c(lost, operation[[2L]])
  write_row(paste0("memory-", id), sprintf("worker's private memory grown by %s on %s", operation[[2L]], size), "bytes",
            "plain R, data sent by serialize()", list(ours = ours$grown, baseline = theirs$grown), at_most(2e6),
            sprintf("the operation took %.2f s, plain %.2f s", ours$seconds, theirs$seconds))
}
write_row("handle-after", "reading operations after which a handle is no handle any more", "",
          "operations", list(ours = length(lost), baseline = length(operations)), at_most(0),
          if (length(lost)) paste(lost, collapse = ", ") else "")

# Strings: R's own have to be made in each process, but only once for each value; code that wants a pointer to all of them
# (sort, match) costs 8 bytes an element.
k <- sized(1e6, 1e3)
texts <- list(repeated = sprintf("value %d", sample.int(100L, k, TRUE)), different = sprintf("string number %d", sample.int(k)))
reading <- list(list("nchar", "nchar(x)", function(x) nchar(x)), list("sort", "sort(x)", function(x) sort(x, method = "radix")))
# In a worker of its own each time: one that had these strings before has them, or room for them, still.
in_fresh_worker <- function(...) {
  parallel::stopCluster(cluster)
  cluster <<- start_workers(1L)
  in_worker(...)
}
for (kind in names(texts)) {
  few <- texts[[kind]][1:20]
  for (operation in reading) {
    ours <- in_fresh_worker(share(texts[[kind]]), operation[[3L]], few)
    theirs <- in_fresh_worker(texts[[kind]], operation[[3L]], few)
    write_row(sprintf("memory-strings-%s-%s", kind, operation[[1L]]),
              sprintf("worker's private memory grown by %s on %s strings, %s", operation[[2L]],
                      format(k, big.mark = ",", scientific = FALSE), if (kind == "repeated") "100 values" else "all different"),
              "bytes", "plain R, data sent by serialize()", list(ours = ours$grown, baseline = theirs$grown))
  }
}

# bigmemory: a matrix of its own kind; R's functions need x[,], a copy.
if (requireNamespace("bigmemory", quietly = TRUE)) {
  options(bigmemory.allow.dimnames = FALSE)
  big <- bigmemory::as.big.matrix(matrix100, shared = TRUE)
  description <- bigmemory::describe(big)
  peers <- function(d, small) {
    m <- bigmemory::attach.big.matrix(d)
    part <- m[, ]
    s <- colMeans(part)
    c(memory = private_memory())
  }
  environment(peers) <- globalenv()
  parallel::clusterCall(cluster, function() { loadNamespace("bigmemory"); NULL })
  before <- parallel::clusterCall(cluster, private_memory)[[1L]]
  theirs <- parallel::clusterCall(cluster, peers, description)[[1L]][["memory"]] - before
  ours <- in_worker(shared$matrix, function(x) colMeans(x), small$matrix)
  write_row("memory-bigmemory", sprintf("worker's private memory grown by colMeans(x) on %s", size), "bytes",
            "bigmemory: colMeans(x[, ])", list(ours = ours$grown, baseline = theirs), at_most(2e6))
} else {
  not_run("memory-bigmemory", "memory beside bigmemory", "bigmemory is not installed")
}
parallel::stopCluster(cluster)
