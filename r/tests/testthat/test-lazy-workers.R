# Workers of the parallel packages use lazy vectors by handle: each chunk is made once, for all of them.

# R CMD check allows a package two.
cluster_of <- function(n) parallel::makeCluster(if (nzchar(Sys.getenv("_R_CHECK_LIMIT_CORES_"))) 2 else n)

# Every call of the function leaves a line: what was filled, and by which process.
logged <- function(length, chunk = 4096) {
  log <- tempfile("fills-")
  file.create(log)
  x <- lazyVector("numeric", length, function(start, end) {
    cat(sprintf("%.0f %.0f %d\n", start, end, Sys.getpid()), file = log, append = TRUE)
    (start:end) * 2
  }, globals = list(log = log), chunk = chunk)
  list(x = x, fills = function() if (file.size(log)) read.table(log, col.names = c("start", "end", "pid")))
}
# Elements of all fills together: more than there are means that something was filled twice.
filled <- function(made) sum(made$fills()$end - made$fills()$start + 1)

test_that("parallel: socket workers", {
  made <- logged(50000)
  x <- made$x
  expect_lt(wire_size(x), 600)
  cl <- cluster_of(3)
  on.exit(parallel::stopCluster(cl))
  expect_identical(parallel::clusterCall(cl, function(x) sum(x), x), rep(list(50000 * 50001), length(cl)))
  expect_equal(filled(made), 50000)
  expect_false(Sys.getpid() %in% made$fills()$pid)
  expect_identical(unlist(parallel::clusterApply(cl, 1:6, function(i, x) x[i * 5000], x)), 1:6 * 10000)
  expect_identical(parallel::parSapply(cl, 1:4, function(i, d) sum(d$a[d$b == paste("w", i)]),
                                       d = list(a = lazySequence(1, 1, 100),
                                                b = lazyVector("character", 100, function(s, e) paste("w", (s:e) %% 5)))),
                   vapply(1:4, function(i) sum((1:100)[1:100 %% 5 == i]) * 1, 1))
  expect_equal(filled(made), 50000)
  # A worker makes one, the others use it, after it has gone.
  lent <- parallel::clusterCall(cl[1], function() onecopy::lazySequence(5, 1, 1000))[[1L]]
  parallel::clusterEvalQ(cl, gc())
  expect_identical(lent[1:3], c(5, 6, 7))
  # What a worker can't have is its error, and the cluster goes on.
  broken <- lazyVector("integer", 10, function(start, end) stop("not for workers"))
  expect_error(parallel::clusterCall(cl, function(x) sum(x), broken), "not for workers")
  expect_identical(parallel::clusterCall(cl, function() 1)[[1L]], 1)
})

test_that("parallel: forked workers", {
  made <- logged(50000)
  x <- made$x
  expect_identical(x[1], 2)
  found <- parallel::mclapply(1:4, function(i) c(sum(x), x[i], sum(x * 2 > 1000)), mc.cores = 2)
  expect_identical(found, lapply(1:4, function(i) c(50000 * 50001, 2 * i, 49750)))
  expect_equal(filled(made), 50000)
  changed <- parallel::mclapply(1:2, function(i) {
    x[1] <- -i
    x[1:2]
  }, mc.cores = 2)
  expect_identical(changed, list(c(-1, 4), c(-2, 4)))
  expect_identical(x[1], 2)
})

test_that("callr and future", {
  made <- logged(20000)
  x <- made$x
  expect_identical(in_child(function(x) sum(x), list(x)), 20000 * 20001)
  skip_if_not_installed("future")
  old <- future::plan(future::multisession, workers = 2)
  on.exit(future::plan(old))
  tasks <- lapply(1:3, function(i) future::future(sum(x[1:10]) + i))
  expect_identical(lapply(tasks, future::value), list(111, 112, 113))
  expect_equal(filled(made), 20000)
})

test_that("a worker that is killed while it waits takes nothing with it", {
  skip_if_not_installed("callr")
  gate <- tempfile()
  x <- lazyVector("numeric", 2000, function(start, end) {
    while (!file.exists(gate)) Sys.sleep(0.05)
    as.numeric(start:end)
  }, globals = list(gate = gate), chunk = 4096)
  worker <- callr::r_bg(function(x) x[1], list(x), libpath = .libPaths())
  Sys.sleep(1)
  expect_true(worker$is_alive())
  worker$kill()
  file.create(gate)
  expect_identical(x[1:2], c(1, 2))
})

test_that("four workers stay within the budget, also with strings", {
  before <- lazyBudget()
  on.exit(lazyBudget(before))
  lazyBudget(8 * 2^20)
  x <- lazySequence(0, 1, 4e6)  # 32 MB
  words <- lazyVector("character", 4e5, function(start, end) sprintf("word %.0f", start:end), width = 60)  # 26 MB
  cl <- cluster_of(4)
  on.exit(parallel::stopCluster(cl), add = TRUE)
  sums <- parallel::clusterApply(cl, 1:4, function(i, x, words)
    if (i <= 2) sum(x) else sum(endsWith(words, "7")), x, words)
  expect_identical(sums, list(sum(0:3999999), sum(0:3999999), 40000L, 40000L))
  expect_gt(lazyStatus(x)[["evictions"]], 0)
  expect_lte(lazyStatus(x)[["resident"]] + lazyStatus(words)[["resident"]], 8 * 2^20)
})
