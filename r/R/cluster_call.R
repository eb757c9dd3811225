# Calls of functions of this package on chosen workers of a cluster. parallel's own clusterCall() stops at the first
# worker that has ended, and leaves the answers of the others in their connections, where the next call takes them for
# its own.

as_workers <- function(cl, timeout) {
  if (!is.numeric(timeout) || length(timeout) != 1L || is.na(timeout) || timeout <= 0) {
    stop("`timeout` must be a positive number of seconds.", call. = FALSE)
  }
  state <- new.env(parent = emptyenv())
  if (inherits(cl, "BiocParallelParam")) {
    if (!methods::is(cl, "SnowParam") || methods::is(cl, "MulticoreParam")) {
      stop_cluster("invalid_argument", "A ", class(cl)[1L], " has no workers on other hosts that could be spoken to. ",
                   "Use share(x) on one machine, or SnowParam() with the names of hosts.")
    }
    if (!BiocParallel::bpisup(cl)) {
      stop_cluster("invalid_argument", "The workers of `cl` are not running, and bplapply() would start others. ",
                   "Call bpstart(cl) first.")
    }
    state$lost <- logical(BiocParallel::bpnworkers(cl))
    return(list(nodes = seq_along(state$lost), param = cl, state = state, timeout = timeout))
  }
  if (!inherits(cl, "cluster") || !is.list(cl)) {
    stop_cluster("invalid_argument", "`cl` is a ", class(cl)[1L], ", not a cluster. Give what parallel::makeCluster() ",
                 "or parallelly::makeClusterPSOCK() returned, or a started SnowParam.")
  }
  if (!length(cl)) stop_cluster("invalid_argument", "The cluster has no workers.")
  state$lost <- logical(length(cl))
  list(nodes = cl, state = state, timeout = timeout)
}

# What runs on the worker: as small as can be, for it is sent each time.
worker_function <- function(name, arguments) {
  if (!requireNamespace("onecopy", quietly = TRUE)) {
    stop("the package onecopy is not installed for this worker; its library paths are ",
         paste(.libPaths(), collapse = ", "))
  }
  do.call(utils::getFromNamespace(name, "onecopy"), arguments)
}

# Answers of the workers `which`, each a value, or a condition of class lost_worker or failed_worker.
call_workers <- function(cl, which, name, arguments) {
  if (!length(which)) return(list())
  run <- worker_function
  environment(run) <- asNamespace("utils")  # travels as a name
  if (!is.null(cl$param)) return(call_by_bplapply(cl, which, run, name, arguments))
  send <- utils::getFromNamespace("sendCall", "parallel")
  receive <- utils::getFromNamespace("recvResult", "parallel")
  sent <- lapply(which, function(i) {
    in_time(cl, i, function(node) {
      send(node, run, list(name, arguments))
      NULL
    })
  })
  Map(function(i, trouble) {
    if (!is.null(trouble)) return(trouble)
    in_time(cl, i, function(node) {
      if (inherits(node$con, "sockconn") && !socketSelect(list(node$con), FALSE, cl$timeout)) {
        stop("it did not answer within ", cl$timeout, " seconds", call. = FALSE)
      }
      answer_of(i, receive(node))
    })
  }, which, sent)
}

# What `talk` returns, or that the worker is lost. Where a link is cut, writing waits as reading does, and R's own limit is
# the connection's: 30 days with parallel's. A connection that failed keeps a limit of a second, for stopCluster() would
# wait for it as well.
in_time <- function(cl, i, talk) {
  node <- cl$nodes[[i]]
  limited <- inherits(node$con, "sockconn")
  tryCatch({
    if (limited) before <- socketTimeout(node$con, ceiling(min(cl$timeout, 1e8)))
    answer <- talk(node)
    if (limited) socketTimeout(node$con, before)
    answer
  }, error = function(e) {
    if (limited) tryCatch(socketTimeout(node$con, 1), error = function(e) NULL)
    lost(cl, i, conditionMessage(e))
  })
}

# BiocParallel gives n tasks to n workers in their order. Were that to change, a worker would say so.
call_by_bplapply <- function(cl, which, run, name, arguments) {
  tasks <- rep(list(FALSE), length(cl$nodes))  # NULL would end the iteration
  for (i in which) tasks[[i]] <- list(name, arguments)
  process <- cl$state$process
  for (i in which) tasks[[i]][3L] <- list(process[i])
  work <- function(task, run) {
    me <- paste(Sys.info()[["nodename"]], Sys.getpid())
    if (identical(task, FALSE)) return(list(me))
    if (!is.null(task[[3L]]) && task[[3L]] != me) stop("BiocParallel gave the task of one worker to another")
    list(me, run(task[[1L]], task[[2L]]))
  }
  environment(work) <- baseenv()
  answers <- tryCatch(BiocParallel::bptry(BiocParallel::bplapply(tasks, work, run, BPPARAM = cl$param)),
                      error = function(e) e)
  if (inherits(answers, "error")) {
    trouble <- lost(cl, which[1L], conditionMessage(answers))
    return(rep(list(trouble), length(which)))
  }
  if (is.null(process)) cl$state$process <- vapply(answers, function(a) if (is.list(a)) a[[1L]] else "", "")
  lapply(which, function(i) {
    answer <- answers[[i]]
    if (inherits(answer, "error")) failed(i, conditionMessage(answer)) else answer[[2L]]
  })
}

answer_of <- function(i, value) if (inherits(value, "try-error")) failed(i, trimws(as.character(value))) else value

lost <- function(cl, i, message) {
  cl$state$lost[i] <- TRUE
  structure(class = c("lost_worker", "condition"), list(worker = i, message = message))
}

failed <- function(i, message) structure(class = c("failed_worker", "condition"), list(worker = i, message = message))

# The answers, if all are; otherwise the first trouble as an error.
all_well <- function(answers) {
  bad <- Filter(function(a) inherits(a, c("lost_worker", "failed_worker")), answers)
  if (!length(bad)) return(answers)
  gone <- Filter(function(a) inherits(a, "lost_worker"), bad)
  one <- if (length(gone)) gone[[1L]] else bad[[1L]]
  if (length(gone)) {
    stop_cluster("peer_closed", "Worker ", one$worker, " of the cluster is lost: ", one$message,
                 ". Make a new cluster and share again; nothing was left on the other hosts.")
  }
  kind <- if (grepl("has room for|no room|No space", one$message)) "no_space"
          else if (grepl("what came is damaged", one$message)) "corrupt"
          else "worker_failed"
  stop_cluster(kind, "Worker ", one$worker, " of the cluster could not do it: ", one$message)
}

# Where each worker's shared memory is: "host:store".
places_of <- function(cl) {
  answers <- all_well(call_workers(cl, seq_along(cl$nodes), "cluster_place", list()))
  mine <- cluster_place()
  for (i in seq_along(answers)) {
    if (!identical(answers[[i]]$endian, mine$endian)) {
      stop_cluster("unsupported", "Worker ", i, " runs on a machine of the other byte order.")
    }
    if (!identical(answers[[i]]$version, mine$version)) {
      stop_cluster("unsupported", "Worker ", i, " has version ", answers[[i]]$version, " of onecopy, this process ",
                   mine$version, ". Install the same version on both sides.")
    }
  }
  vapply(answers, function(a) a$place, "")
}
