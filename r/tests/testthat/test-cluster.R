# Clusters over several hosts. Here stores of their own stand for hosts: a worker finds nothing in the store of another.

# A cluster with workers in each of these stores; `counts`: how many.
cluster_of_stores <- function(counts, folders = fresh_stores(length(counts))) {
  limit <- tolower(Sys.getenv("_R_CHECK_LIMIT_CORES_"))
  skip_if(any(counts > 2) && !limit %in% c("", "false"), "R CMD check allows two workers")
  old <- Sys.getenv("ONECOPY_DIR")
  on.exit(Sys.setenv(ONECOPY_DIR = old))
  parts <- Map(function(n, folder) {
    Sys.setenv(ONECOPY_DIR = folder)
    parallel::makeCluster(n)
  }, counts, folders)
  cl <- structure(do.call(c, lapply(parts, unclass)), class = c("SOCKcluster", "cluster"), folders = folders)
  attr(cl, "pids") <- unlist(parallel::clusterCall(cl, Sys.getpid))
  cl
}

fresh_stores <- function(n) {
  replicate(n, {
    folder <- tempfile("onecopy-host-", "/dev/shm")
    dir.create(folder, mode = "0700")
    folder
  })
}

stop_stores <- function(cl) {
  suppressWarnings(try(parallel::stopCluster(cl), silent = TRUE))
  remove_stores(attr(cl, "folders"), attr(cl, "pids"))
}

# Once the workers have ended: a process that ends may make the folder of its store again.
remove_stores <- function(folders, pids) {
  for (i in 1:200) {
    if (!any(dir.exists(file.path("/proc", pids)))) break
    if (i == 100) tools::pskill(pids, tools::SIGKILL)
    Sys.sleep(0.1)
  }
  unlink(folders, recursive = TRUE)
}

# Ids in the stores of the workers, once what nobody holds was collected.
left_in <- function(cl) {
  unlist(parallel::clusterCall(cl, function() {
    gc()
    onecopy::collectSharedMemory()
    onecopy::listSharedObjects()$Id
  }))
}

# Evaluates code with another object under this name in the package.
with_replaced <- function(replaced, code) {
  ns <- asNamespace("onecopy")
  put <- function(values) for (n in names(values)) {
    unlockBinding(n, ns)
    assign(n, values[[n]], envir = ns)
    lockBinding(n, ns)
  }
  old <- mget(names(replaced), envir = ns)
  on.exit(put(old))
  put(replaced)
  force(code)
}

# Calls `before(which, name, arguments)` each time that workers are called.
watching <- function(before, code) {
  real <- onecopy:::call_workers
  with_replaced(list(piece_size = 1e5, call_workers = function(cl, which, name, arguments) {
    before(which, name, arguments)
    real(cl, which, name, arguments)
  }), code)
}

table_of <- function(n) {
  data.frame(x = seq_len(n) / 7, name = paste("row", seq_len(n)), kind = factor(rep_len(c("a", "b"), n)))
}

test_that("each host holds one copy, and every way of using workers finds it", {
  cl <- cluster_of_stores(c(2, 3))
  on.exit(stop_stores(cl))
  plain <- table_of(20000)
  x <- shareCluster(cl, plain)
  expect_true(is.shared(x$x))
  expect_identical(unshare(x), plain)
  look <- function(x) list(sum(x$x), x$name[12345], levels(x$kind), onecopy::is.shared(x$x),
                           nrow(onecopy::listSharedObjects()), Sys.getenv("ONECOPY_DIR"))
  expected <- list(sum(plain$x), "row 12345", c("a", "b"), TRUE, 1L)
  answers <- parallel::clusterCall(cl, look, x)
  for (a in answers) expect_identical(a[1:5], expected)
  expect_setequal(vapply(answers, `[[`, "", 6L), attr(cl, "folders"))
  for (a in parallel::clusterApply(cl, rep(list(x), 7), look)) expect_identical(a[1:5], expected)
  for (a in parallel::parLapply(cl, 1:7, function(i, x, look) look(x), x, look)) expect_identical(a[1:5], expected)
  parallel::clusterExport(cl, "x", environment())
  expect_identical(unlist(parallel::clusterEvalQ(cl, sum(x$x))), rep(sum(plain$x), 5))
  # Within other objects, and parts of it.
  deep <- list(a = list(b = x), f = function() x$name[3], part = x$x)
  answers <- parallel::clusterCall(cl, function(d) list(sum(d$a$b$x), d$f(), sum(d$part)), deep)
  for (a in answers) expect_identical(a, list(sum(plain$x), "row 3", sum(plain$x)))
  # A handle as text, too.
  expect_identical(unlist(parallel::clusterCall(cl, function(h) sum(onecopy::attachShared(h)$x), sharedHandle(x))),
                   rep(sum(plain$x), 5))
})

test_that("only a handle travels afterwards, and bytes only to who lacks them", {
  cl <- cluster_of_stores(c(1, 2))
  on.exit(stop_stores(cl))
  pieces <- 0
  count <- function(which, name, arguments) {
    if (name == "cluster_piece") pieces <<- pieces + length(which) * length(arguments[[2L]])
  }
  x <- watching(count, shareCluster(cl, as.numeric(1:1e5)))
  expect_gt(pieces, 2 * 8e5)
  expect_lt(pieces, 2 * 8e5 * 1.1)
  expect_lt(wire_size(x), 400)
  pieces <- 0
  y <- watching(count, shareCluster(cl, x))
  expect_identical(pieces, 0)
  expect_identical(sharedHandle(y), sharedHandle(x))
  # One host more: only it gets the bytes.
  more <- cluster_of_stores(1)
  on.exit(stop_stores(more), add = TRUE)
  all <- structure(c(unclass(cl), unclass(more)), class = class(cl))
  late <- parallel::clusterCall(more, function(x) {
    c(length(x), tryCatch(sum(x), onecopy_wrong_host = function(e) conditionMessage(e)))
  }, x)[[1L]]
  expect_identical(late[1L], "100000")
  expect_match(late[2L], "shareCluster\\(cl, x\\)")
  watching(count, shareCluster(all, x))
  expect_gt(pieces, 8e5)
  expect_lt(pieces, 8e5 * 1.1)
  expect_identical(unlist(parallel::clusterCall(all, sum, x)), rep(sum(1:1e5), 4))
})

test_that("workers of this host need nothing, and what is shared in several calls is sent whole", {
  cl <- cluster_of_stores(c(1, 1), c(Sys.getenv("ONECOPY_DIR"), fresh_stores(1)))
  on.exit({
    suppressWarnings(try(parallel::stopCluster(cl), silent = TRUE))
    remove_stores(attr(cl, "folders")[2L], attr(cl, "pids"))
  })
  a <- share(as.numeric(1:5000))
  b <- share(as.character(1:5000))
  x <- shareCluster(cl, list(a = a, b = b, c = as.numeric(5000:1), small = 1:2, e = list2env(list(v = a))))
  answers <- parallel::clusterCall(cl, function(x) {
    list(sum(x$a), x$b[17], sum(x$c), x$small, sum(x$e$v))
  }, x)
  for (w in answers) expect_identical(w, list(sum(1:5000 + 0), "17", sum(1:5000 + 0), 1:2, sum(1:5000 + 0)))
})

test_that("copies end with the original, by hand or at the next call, and with the workers", {
  cl <- cluster_of_stores(c(2, 1))
  on.exit(stop_stores(cl))
  x <- shareCluster(cl, as.numeric(1:1e4))
  parallel::clusterCall(cl, sum, x)
  expect_length(left_in(cl[c(1, 3)]), 2)
  unshareCluster(cl, x)
  expect_length(left_in(cl[c(1, 3)]), 0)
  x <- shareCluster(cl, x)
  expect_length(left_in(cl[c(1, 3)]), 2)
  rm(x)
  gc()
  y <- shareCluster(cl, as.numeric(1:2e4))
  expect_length(left_in(cl[c(1, 3)]), 2)
  expect_identical(unlist(parallel::clusterCall(cl, length, y)), rep(20000L, 3))
  # The worker that received it is not the one that keeps it.
  parallel::stopCluster(cl[1])
  expect_identical(unlist(parallel::clusterCall(cl[2:3], sum, y)), rep(sum(as.numeric(1:2e4)), 2))
})

test_that("a worker that has ended is named, before, while and after the bytes are sent", {
  for (when in c("cluster_place", "cluster_receive", "cluster_piece", "cluster_complete", "cluster_hold")) {
    cl <- cluster_of_stores(c(1, 2))
    pids <- unlist(parallel::clusterCall(cl, Sys.getpid))
    kill <- function(which, name, arguments) {
      if (name != when) return()
      tools::pskill(pids[2L], tools::SIGKILL)
      status <- file.path("/proc", pids[2L], "status")
      ended <- function() tryCatch(any(grepl("^State:\\s+Z", readLines(status))), error = function(e) TRUE,
                                   warning = function(w) TRUE)
      while (!ended()) Sys.sleep(0.01)
    }
    error <- expect_error(watching(kill, shareCluster(cl, as.numeric(1:1e5))), class = "onecopy_peer_closed")
    expect_match(conditionMessage(error), "Worker 2 of the cluster is lost", fixed = TRUE)
    # The others can be spoken to, and have forgotten what they had.
    expect_length(left_in(cl[c(1, 3)]), 0)
    stop_stores(cl)
  }
})

test_that("a worker that does not answer is given up", {
  cl <- cluster_of_stores(c(1, 1))
  on.exit({
    tools::pskill(pid, tools::SIGCONT)
    stop_stores(cl)
  })
  pid <- parallel::clusterCall(cl[2], Sys.getpid)[[1]]
  tools::pskill(pid, tools::SIGSTOP)
  expect_error(shareCluster(cl, as.numeric(1:1e4), timeout = 2), "did not answer within 2 seconds",
               class = "onecopy_peer_closed")
})

test_that("a worker that can't take the object is an error, and nothing stays", {
  cl <- cluster_of_stores(c(1, 1))
  on.exit(stop_stores(cl))
  local({
    # As if the second host's store were full.
    parallel::clusterCall(cl[2], function() {
      utils::assignInNamespace("cluster_receive", function(id, size) stop("/dev/shm has room for 10"), "onecopy")
      NULL
    })
    expect_error(shareCluster(cl, as.numeric(1:1e5)), "Worker 2 .*has room for 10", class = "onecopy_no_space")
  })
  expect_length(left_in(cl), 0)
  expect_identical(unlist(parallel::clusterCall(cl, function() 1)), c(1, 1))
})

test_that("what is damaged on the way is an error, and nothing stays", {
  cl <- cluster_of_stores(c(1, 1))
  on.exit(stop_stores(cl))
  damage <- function(of_piece) {
    parallel::clusterCall(cl[2], function(of_piece) {
      real <- getFromNamespace("cluster_piece", "onecopy")
      if (!is.null(attr(real, "real"))) real <- attr(real, "real")
      left <- of_piece
      changed <- function(id, piece, checksum) {
        left <<- left - 1
        if (left == 0) piece[1000] <- xor(piece[1000], as.raw(1))
        real(id, piece, checksum)
      }
      utils::assignInNamespace("cluster_piece", structure(changed, real = real), "onecopy")
      NULL
    }, of_piece)
  }
  x <- share(as.numeric(1:1e5))
  for (of_piece in c(1, 4)) {
    damage(of_piece)
    error <- expect_error(watching(function(...) NULL, shareCluster(cl, x)), class = "onecopy_corrupt")
    expect_match(conditionMessage(error), "Worker 2 .*damaged")
    expect_length(left_in(cl[2]), 0)
  }
  expect_identical(unlist(parallel::clusterCall(cl, sum, shareCluster(cl, x))), rep(sum(1:1e5) + 0, 2))
})

test_that("pieces that do not fit are refused", {
  ns <- asNamespace("onecopy")
  x <- share(as.numeric(1:1000))
  found <- ns$travelling_regions(x)
  expect_length(found$ids, 1)
  id <- paste(rep("ab", 16), collapse = "")
  bytes <- .Call(ns$oc_region_piece, found$regions[[1]], 0, found$sizes)
  expect_length(bytes, found$sizes)
  begin <- function() .Call(ns$oc_import_begin, id, found$sizes)
  # Another object's bytes, too many, too few.
  expect_error({
    p <- begin()
    .Call(ns$oc_import_write, p, bytes)
    .Call(ns$oc_import_end, p)
  }, class = "onecopy_corrupt")
  p <- begin()
  expect_error(.Call(ns$oc_import_write, p, raw(found$sizes + 1)), class = "onecopy_corrupt")
  expect_error(.Call(ns$oc_import_end, p), "0 of [0-9]+ bytes", class = "onecopy_corrupt")
  .Call(ns$oc_import_abort, p)
  expect_error(.Call(ns$oc_import_write, p, raw(1)), class = "onecopy_invalid_argument")
  expect_error(.Call(ns$oc_import_begin, id, 10), class = "onecopy_corrupt")
  expect_error(.Call(ns$oc_import_begin, "no id", 10), class = "onecopy_invalid_argument")
  expect_error(.Call(ns$oc_region_piece, found$regions[[1]], -1, 10), class = "onecopy_invalid_argument")
  expect_error(.Call(ns$oc_region_piece, 1, 0, 10), class = "onecopy_invalid_argument")
  begin()  # never completed: the finalizer ends it
  gc()
  expect_false(id %in% live_ids())
})

test_that("what makes no sense on several hosts is refused, and on one host it is not", {
  cl <- cluster_of_stores(c(1, 1))
  on.exit(stop_stores(cl))
  mutable <- share(as.numeric(1:100), copyOnWrite = FALSE)
  expect_error(shareCluster(cl, mutable), "copyOnWrite", class = "onecopy_wrong_type")
  lazy <- lazySequence(1, by = 1, length = 1e5)
  expect_error(shareCluster(cl, function() lazy[1]), "lazy", class = "onecopy_unsupported")
  filled <- shareCluster(cl, lazy)
  expect_identical(unlist(parallel::clusterCall(cl, function(x) sum(unclass(x)), filled)), rep(sum(1:1e5), 2))
  expect_error(shareCluster(1:3, 1), "not a cluster", class = "onecopy_invalid_argument")
  expect_error(shareCluster(list(), 1), "not a cluster", class = "onecopy_invalid_argument")
  expect_error(shareCluster(cl[0], 1), "no workers", class = "onecopy_invalid_argument")
  expect_error(shareCluster(cl, 1, timeout = 0), "timeout")
  expect_identical(shareCluster(cl, 1), 1)
  file <- tempfile(fileext = ".onecopy")
  in_file <- share(as.numeric(1:1000), path = file)
  expect_identical(unlist(parallel::clusterCall(cl, sum, shareCluster(cl, in_file))), rep(sum(1:1000) + 0, 2))
  here <- parallel::makeCluster(2)
  on.exit(parallel::stopCluster(here), add = TRUE)
  mutable <- shareCluster(here, mutable)
  parallel::clusterCall(here, function(x) {
    x[1] <- -5
    NULL
  }, mutable)
  expect_identical(mutable[1], -5)
})

test_that("future and foreach over several hosts", {
  skip_if_not_installed("future.apply")
  skip_if_not_installed("doParallel")
  cl <- cluster_of_stores(c(1, 1))
  on.exit(stop_stores(cl))
  x <- shareCluster(cl, as.numeric(1:1e4))
  old <- future::plan(future::cluster, workers = cl)
  on.exit(future::plan(old), add = TRUE, after = FALSE)
  look <- function(i, x) list(x[i], onecopy::is.shared(x), Sys.getenv("ONECOPY_DIR"))
  out <- future.apply::future_lapply(1:4, look, x)
  expect_identical(lapply(out, `[`, 1:2), lapply(1:4, function(i) list(i + 0, TRUE)))
  expect_length(unique(vapply(out, `[[`, "", 3L)), 2)
  expect_identical(future::value(future::future(sum(x))), sum(1:1e4) + 0)
  doParallel::registerDoParallel(cl)
  `%dopar%` <- foreach::`%dopar%`
  expect_identical(foreach::foreach(i = 1:4, .combine = c) %dopar% (x[i] + onecopy::is.shared(x)), 1:4 + 1)
})

test_that("BiocParallel over several hosts", {
  skip_if_not_installed("BiocParallel")
  expect_error(shareCluster(BiocParallel::SerialParam(), 1), class = "onecopy_invalid_argument")
  expect_error(shareCluster(BiocParallel::MulticoreParam(2), 1), class = "onecopy_invalid_argument")
  expect_error(shareCluster(BiocParallel::SnowParam(2), 1), "bpstart", class = "onecopy_invalid_argument")
  # A cluster taken over, and workers of its own.
  cl <- cluster_of_stores(c(1, 2))
  on.exit(stop_stores(cl))
  x <- shareCluster(cl, as.numeric(1:1e5))
  out <- BiocParallel::bplapply(1:6, function(i, x) sum(x), x, BPPARAM = methods::as(cl, "SnowParam"))
  expect_identical(out, rep(list(sum(1:1e5)), 6))
  folders <- fresh_stores(2)
  old <- Sys.getenv("ONECOPY_DIR")
  Sys.setenv(ONECOPY_DIR = folders[1L])
  param <- BiocParallel::SnowParam(2)
  BiocParallel::bpstart(param)
  Sys.setenv(ONECOPY_DIR = old)
  pids <- unlist(BiocParallel::bplapply(1:2, function(i) Sys.getpid(), BPPARAM = param))
  on.exit({
    BiocParallel::bpstop(param)
    remove_stores(folders, pids)
  }, add = TRUE)
  y <- as.numeric(1:2e5)
  # An answer of each worker: objects in its store, and the sum.
  look <- function(y) BiocParallel::bplapply(1:4, function(i, y) {
    gc()
    onecopy::collectSharedMemory()
    list(nrow(onecopy::listSharedObjects()), if (is.null(y)) 0 else sum(y))
  }, y, BPPARAM = param)
  unshareCluster(param, shareCluster(param, y))
  expect_identical(look(NULL), rep(list(list(0L, 0)), 4))
  expect_identical(look(shareCluster(param, y)), rep(list(list(1L, sum(y))), 4))
})

mpi_environment <- function() {
  # R CMD check puts programs before R that refuse to run.
  c(paste0("PATH=", R.home("bin"), ":", Sys.getenv("PATH")), "OMPI_ALLOW_RUN_AS_ROOT=1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1", "OMPI_MCA_mpi_yield_when_idle=1", "OMPI_MCA_rmaps_base_oversubscribe=1",
    paste0("OMPI_MCA_orte_tmpdir_base=", tempdir()))
}

test_that("MPI workers that mpirun starts can be stopped", {
  skip_if(!nzchar(system.file(package = "Rmpi")), "Rmpi is not installed")
  skip_if_not_installed("snow")
  skip_if(!nzchar(Sys.which("mpirun")), "there is no mpirun")
  launcher <- system.file("RMPISNOW", package = "snow")
  skip_if(!nzchar(launcher), "this snow has no RMPISNOW")
  folder <- fresh_stores(1)
  done <- tempfile()
  on.exit(remove_stores(folder, if (file.exists(done)) as.integer(readLines(done))))
  script <- tempfile(fileext = ".R")
  writeLines(sprintf('
    cl <- snow::makeCluster()
    invisible(snow::clusterCall(cl, function(paths, folder) {
      .libPaths(paths)
      Sys.setenv(ONECOPY_DIR = folder)
    }, %s, %s))
    .libPaths(%s)
    x <- onecopy::shareCluster(cl, as.numeric(1:1e5))
    stopifnot(identical(unlist(snow::clusterCall(cl, sum, x)), rep(sum(as.numeric(1:1e5)), 2)))
    pids <- unlist(snow::clusterCall(cl, Sys.getpid))
    snow::stopCluster(cl)
    writeLines(as.character(pids), %s)
  ', libraries <- paste(deparse(.libPaths()), collapse = ""), deparse(folder), libraries, deparse(done)), script)
  out <- suppressWarnings(system2("timeout", c("90", "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "3",
    launcher, "--no-save", "--no-init-file"), stdin = script, stdout = TRUE, stderr = TRUE, env = mpi_environment()))
  expect_true(file.exists(done), info = paste(out, collapse = "\n"))
})

test_that("MPI workers by Rmpi", {
  # Not by loading it: that would begin MPI in this process, and mpirun would take it for one of its own.
  skip_if(!nzchar(system.file(package = "Rmpi")), "Rmpi is not installed")
  skip_if_not_installed("snow")
  skip_if(!nzchar(Sys.which("mpirun")), "there is no mpirun")
  # In a process of its own: Rmpi ends the process that used it.
  folder <- fresh_stores(1)
  done <- tempfile()
  on.exit(remove_stores(folder, if (file.exists(done)) as.integer(readLines(done))))
  script <- tempfile(fileext = ".R")
  writeLines(sprintf('
    .libPaths(%s)
    cl <- parallel::makeCluster(2, type = "MPI")
    parallel::clusterCall(cl, function(paths, folder) {
      .libPaths(paths)
      Sys.setenv(ONECOPY_DIR = folder)
    }, .libPaths(), %s)
    x <- onecopy::shareCluster(cl, as.numeric(1:3e6))
    out <- parallel::clusterCall(cl, function(x) {
      list(sum(x), onecopy::is.shared(x), nrow(onecopy::listSharedObjects()))
    }, x)
    stopifnot(identical(out, rep(list(list(sum(as.numeric(1:3e6)), TRUE, 1L)), 2)))
    more <- parallel::parLapply(cl, 1:4, function(i, x) x[i], x)
    stopifnot(identical(unlist(more), as.numeric(1:4)))
    writeLines(as.character(unlist(parallel::clusterCall(cl, Sys.getpid))), %s)
    # Open MPI 4.1 waits for ever where spawned workers are disconnected, as stopCluster() does, with onecopy or not.
    Rmpi::mpi.abort()
  ', paste(deparse(.libPaths()), collapse = ""), deparse(folder), deparse(done)), script)
  out <- suppressWarnings(system2("timeout", c("90", "mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "1",
    file.path(R.home("bin"), "Rscript"), "--no-init-file", script), stdout = TRUE, stderr = TRUE,
    env = mpi_environment()))
  expect_true(file.exists(done), info = paste(out, collapse = "\n"))
})
