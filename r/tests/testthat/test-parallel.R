# The parallel packages, with real workers. Each goes through the same: what is sent is a handle, workers use the same
# memory and return shared results, a handle that comes too late is an error where it is used and breaks nothing, and a
# worker that dies takes nothing with it.

big <- as.numeric(1:2e5)

# What a package can do with a function: `call(f, x)` runs f(i, x) for i of 1 and 2 in workers and gives both results.
engines <- list(
  "parallel, socket workers" = list(needs = "parallel", open = function() {
    cluster <- parallel::makeCluster(2)
    list(call = function(f, x) parallel::clusterApply(cluster, 1:2, f, x),
         close = function() try(parallel::stopCluster(cluster), silent = TRUE))
  }),
  "foreach with doParallel" = list(needs = c("foreach", "doParallel"), open = function() {
    cluster <- parallel::makeCluster(2)
    doParallel::registerDoParallel(cluster)
    `%dopar%` <- foreach::`%dopar%`
    list(call = function(f, x) foreach::foreach(i = 1:2) %dopar% f(i, x),
         close = function() {
           foreach::registerDoSEQ()
           try(parallel::stopCluster(cluster), silent = TRUE)
         })
  }),
  "future, multisession" = list(needs = "future", open = function() {
    old <- future::plan(future::multisession, workers = 2)
    list(call = function(f, x) {
           started <- lapply(1:2, function(i) future::future(f(i, x), globals = list(f = f, i = i, x = x)))
           lapply(started, future::value)
         },
         close = function() future::plan(old))
  }),
  "BiocParallel, socket workers" = list(needs = "BiocParallel", open = function() {
    param <- BiocParallel::bpstart(BiocParallel::SnowParam(2))
    list(call = function(f, x) BiocParallel::bplapply(1:2, f, x, BPPARAM = param),
         close = function() try(BiocParallel::bpstop(param), silent = TRUE))
  }),
  "callr" = list(needs = "callr", open = function() {
    session <- callr::r_session$new(options = callr::r_session_options(libpath = .libPaths()))
    list(call = function(f, x) lapply(1:2, function(i) session$run(f, list(i, x))),
         close = function() session$close())
  }),
  # These fork. They run in a process of their own: once processx, which callr uses, has run a child, the package
  # parallel is not told of the end of its children any more, and waits for them in vain when R ends.
  "parallel, forked children" = list(needs = "parallel", forks = TRUE, open = function() {
    list(call = function(f, x) {
           out <- suppressWarnings(parallel::mclapply(1:2, f, x, mc.cores = 2))
           for (one in out) if (inherits(one, "try-error")) stop(one)
           if (any(vapply(out, is.null, NA))) stop("a child died")
           out
         },
         close = function() NULL)
  }),
  "future, multicore" = list(needs = "future", forks = TRUE, open = function() {
    future::plan(future::multicore, workers = 2)
    list(call = function(f, x) lapply(lapply(1:2, function(i) future::future(f(i, x))), future::value),
         close = function() NULL)
  }),
  "BiocParallel, forked children" = list(needs = "BiocParallel", forks = TRUE, open = function() {
    param <- BiocParallel::MulticoreParam(2)
    list(call = function(f, x) BiocParallel::bplapply(1:2, f, x, BPPARAM = param), close = function() NULL)
  }))

# Bytes that R writes to connections and files while `code` runs: what is serialized, and what goes into files. Sockets
# are not counted by the kernel for a process, but everything that goes through them is serialized first.
bytes_written <- function(code) {
  total <- 0
  plain <- base::serialize
  count <- function(object, connection) if (!is.null(connection)) total <<- total + length(plain(object, NULL))
  in_files <- function() as.numeric(sub("wchar: ", "", grep("^wchar", readLines("/proc/self/io"), value = TRUE)))
  suppressMessages(trace("serialize", bquote(.(count)(object, connection)), where = baseenv(), print = FALSE))
  on.exit(suppressMessages(untrace("serialize", where = baseenv())))
  before <- in_files()
  force(code)
  total + in_files() - before
}

# All that an engine is asked; a list of what came of it. Self-contained, so that it can run in another process.
exercise <- function(engine, x, late, bytes_written) {
  library(onecopy)
  # Without the text of this file, which R keeps with its functions and would send along.
  globally <- function(f) {
    environment(f) <- globalenv()
    utils::removeSource(f)
  }
  opened <- engine$open()
  on.exit(opened$close())
  use <- globally(function(i, x) list(x[i], sum(x), onecopy::is.shared(x)))
  opened$call(use, x[1:10])  # loads what has to be loaded
  found <- list()
  found$sent <- bytes_written(found$used <- opened$call(use, x)) - bytes_written(opened$call(use, x[1:10]))
  made <- opened$call(globally(function(i, x) onecopy::share(x * i)), x)
  found$returned <- list(shared = vapply(made, is.shared, NA), sums = vapply(made, sum, 1),
                         wire = vapply(made, function(m) length(serialize(m, NULL)), 1L))
  found$late <- tryCatch(opened$call(globally(function(i, path) sum(readRDS(path))), late), error = conditionMessage)
  found$late_length <- opened$call(globally(function(i, path) length(readRDS(path))), late)
  found$after_late <- opened$call(use, x)
  found$died <- tryCatch({
    opened$call(globally(function(i, x) {
      kept <- x
      total <- sum(x)
      tools::pskill(Sys.getpid(), tools::SIGKILL)
      Sys.sleep(60)
    }), x)
    "nothing"
  }, error = function(e) "error")
  found$held <- x[1:3]
  found
}
environment(exercise) <- globalenv()

for (name in names(engines)) {
  test_that(name, {
    engine <- engines[[name]]
    for (package in engine$needs) skip_if_not_installed(package)
    s <- share(big)
    gone <- share(big + 1)
    late <- tempfile()
    saveRDS(gone, late)
    freeSharedMemory(sharedObjectProperties(gone, dataId))
    rm(gone)
    gc()
    environment(engine$open) <- globalenv()
    found <- if (isTRUE(engine$forks)) in_child(exercise, list(engine, s, late, bytes_written))
             else exercise(engine, s, late, bytes_written)
    expected <- lapply(1:2, function(i) list(big[i], sum(big), TRUE))
    expect_identical(found$used, expected)
    # Beyond what the package sends anyhow with ten numbers. The data is 1.6 MB for each of two tasks.
    expect_lt(found$sent, 2e4)
    expect_identical(found$returned$shared, c(TRUE, TRUE))
    expect_true(all(found$returned$wire <= 300))
    expect_identical(found$returned$sums, sum(big) * c(1, 2))
    expect_match(found$late, "gone|no longer|there is no")
    expect_identical(found$late_length, list(length(big), length(big)))
    expect_identical(found$after_late, expected)
    expect_identical(found$held, big[1:3])
    expect_identical(s[1:3], big[1:3])
    expect_true(hasSharedMemory(sharedObjectProperties(s, dataId)))
  })
}

test_that("a worker's private memory does not grow with what it reads", {
  skip_if_not_installed("parallel")
  s <- share(big)
  cl <- parallel::makeCluster(2)
  on.exit(parallel::stopCluster(cl))
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

test_that("workers write into a shared matrix", {
  skip_if_not_installed("parallel")
  result <- SharedObject("numeric", 40, attrib = list(dim = c(10L, 4L)), copyOnWrite = FALSE)
  cl <- parallel::makeCluster(2)
  on.exit(parallel::stopCluster(cl))
  parallel::clusterApply(cl, 1:4, function(i, out) {
    out[, i] <- i * 1:10
    NULL
  }, result)
  expect_identical(unshare(result), outer(1:10, 1:4) * 1.0)
  in_child(function(result) {
    parallel::mclapply(1:4, function(i) {
      result[, i] <<- -i
      NULL
    }, mc.cores = 2)
    NULL
  }, list(result))
  expect_identical(unshare(result), matrix(rep(-(1:4) * 1.0, each = 10), 10))
})

test_that("the results of a worker that was killed stay as long as somebody has them", {
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
