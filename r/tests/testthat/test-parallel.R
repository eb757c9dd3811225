# The parallel packages, with real workers: only handles travel, and a worker's death takes nothing with it.

big <- as.numeric(1:2e5)

# Bytes that a socket cluster writes for one call with this object.
sent_bytes <- function(x) wire_size(list(fun = function(x) sum(x), args = list(x)))

test_that("parallel: socket workers", {
  skip_if_not_installed("parallel")
  s <- share(big)
  expect_lt(sent_bytes(s), sent_bytes(0) + 200)
  cl <- parallel::makeCluster(2)
  on.exit(parallel::stopCluster(cl))
  expect_identical(parallel::clusterCall(cl, function(x) sum(x), s), list(sum(big), sum(big)))
  expect_identical(unlist(parallel::clusterApply(cl, 1:4, function(i, x) x[i], s)), big[1:4])
  expect_identical(parallel::parSapply(cl, 1:4, function(i, data) data[i] * 2, data = s), big[1:4] * 2)
  # Workers return shared results, and forget them.
  made <- parallel::clusterApply(cl, 1:2, function(i) onecopy::share(rep(i, 1000)))
  parallel::clusterEvalQ(cl, gc())
  expect_true(all(vapply(made, is.shared, NA)))
  expect_identical(made[[2]][1:2], c(2L, 2L))
  # Private memory of a worker does not grow with what it reads.
  grown <- parallel::clusterCall(cl, function(x) {
    anonymous <- function() {
      gc(FALSE)
      as.numeric(gsub("[^0-9]", "", grep("^Anonymous:", readLines("/proc/self/smaps_rollup"), value = TRUE))) * 1024
    }
    mean(runif(2e5))
    before <- anonymous()
    y <- c(sum(x), mean(x), x[7], max(x))
    anonymous() - before
  }, s)
  for (g in grown) expect_lt(g, 8e5)
})

test_that("parallel: workers write into a shared matrix", {
  skip_if_not_installed("parallel")
  result <- SharedObject("numeric", 40, attrib = list(dim = c(10L, 4L)), copyOnWrite = FALSE)
  cl <- parallel::makeCluster(2)
  on.exit(parallel::stopCluster(cl))
  parallel::clusterApply(cl, 1:4, function(i, out) {
    out[, i] <- i * 1:10
    NULL
  }, result)
  expect_identical(unshare(result), outer(1:10, 1:4) * 1.0)
  parallel::mclapply(1:4, function(i) {
    result[, i] <<- -i
    NULL
  }, mc.cores = 2)
  expect_identical(unshare(result), matrix(rep(-(1:4) * 1.0, each = 10), 10))
})

test_that("parallel: a handle that arrives too late does not break the cluster", {
  skip_if_not_installed("parallel")
  s <- share(big)
  late <- s
  cl <- parallel::makeCluster(1)
  on.exit(parallel::stopCluster(cl))
  path <- tempfile()
  saveRDS(late, path)
  freeSharedMemory(sharedObjectProperties(s, dataId))
  expect_error(parallel::clusterCall(cl, function(p) sum(readRDS(p)), path), "gone|found|no longer|no such|there is no")
  expect_identical(parallel::clusterCall(cl, function(p) length(readRDS(p)), path), list(length(big)))
  expect_identical(parallel::clusterCall(cl, function() 42), list(42))
})

test_that("callr: processes and sessions", {
  skip_if_not_installed("callr")
  s <- share(list(x = big, y = letters))
  session <- callr::r_session$new(options = callr::r_session_options(libpath = .libPaths()))
  on.exit(session$close())
  expect_identical(session$run(function(s) c(sum(s$x), length(s$y)), list(s)), c(sum(big), 26))
  shared <- session$run(function(s) onecopy::share(s$x * 2), list(s))
  expect_true(is.shared(shared))
  session$kill()
  expect_identical(shared[3], 6)
  expect_identical(s$x[3], 3)
})

test_that("future", {
  skip_if_not_installed("future")
  s <- share(big)
  old <- future::plan(future::multisession, workers = 2)
  on.exit(future::plan(old))
  f <- future::future({
    list(sum(s), onecopy::is.shared(s))
  })
  expect_identical(future::value(f), list(sum(big), TRUE))
  future::plan(future::multicore, workers = 2)
  expect_identical(future::value(future::future(sum(s))), sum(big))
})

test_that("foreach with doParallel", {
  skip_if_not_installed("doParallel")
  skip_if_not_installed("foreach")
  s <- share(big)
  cl <- parallel::makeCluster(2)
  on.exit(parallel::stopCluster(cl))
  doParallel::registerDoParallel(cl)
  `%dopar%` <- foreach::`%dopar%`
  out <- foreach::foreach(i = 1:4, .combine = c) %dopar% (s[i] + onecopy::is.shared(s))
  expect_identical(out, big[1:4] + 1)
})

test_that("BiocParallel", {
  skip_if_not_installed("BiocParallel")
  s <- share(big)
  for (param in list(BiocParallel::SnowParam(2), BiocParallel::MulticoreParam(2))) {
    out <- BiocParallel::bplapply(1:4, function(i, s) list(s[i], onecopy::is.shared(s)), s = s, BPPARAM = param)
    expect_identical(out, lapply(1:4, function(i) list(big[i], TRUE)))
  }
})

test_that("a worker that dies takes nothing with it", {
  skip_if_not_installed("parallel")
  s <- share(big)
  cl <- parallel::makeCluster(1)
  parallel::clusterCall(cl, function(x) {
    kept <<- x
    sum(x)
  }, s)
  pid <- parallel::clusterCall(cl, Sys.getpid)[[1]]
  tools::pskill(pid, tools::SIGKILL)
  suppressWarnings(try(parallel::stopCluster(cl), silent = TRUE))
  expect_identical(s[1:3], c(1, 2, 3))
  expect_true(hasSharedMemory(sharedObjectProperties(s, dataId)))
})
