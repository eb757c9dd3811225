#' Share an object with a cluster of several hosts
#'
#' On one machine [share()] is all that parallel workers need. When the workers of a cluster run on several hosts,
#' `shareCluster()` sends the object's bytes to one worker of each host, which puts them into that host's shared memory;
#' the other workers there use the same copy. So each host receives the object once and holds it once, however many
#' workers it has.
#'
#' Workers are of one host if they see the same store: two containers on one machine that have a `/dev/shm` each count
#' as two hosts. Hosts that have the object from an earlier call receive nothing.
#'
#' What `shareCluster()` returns is used as any shared object is: as an argument of `clusterApply()`, `parLapply()`,
#' `future_lapply()` (with `plan(cluster, workers = cl)`), in what `clusterExport()` exports, within lists and closures.
#' A handle travels, and each worker finds its own host's copy.
#'
#' The workers keep the copies until `unshareCluster()`, until they end, or until the next `shareCluster()` with that
#' cluster after the object is gone here.
#'
#' @param cl A cluster of the packages parallel, parallelly or snow, also of type MPI; or a `SnowParam` of BiocParallel
#'   after `bpstart()`. onecopy must be installed for all workers.
#' @param x What [share()] takes.
#' @param ... Passed to [share()], where `x` is not shared yet.
#' @param timeout Seconds to wait for a worker, while sending or for its answer, before it is given up. For workers that
#'   are reached by sockets; those of MPI and of BiocParallel are waited for as these packages do.
#' @return `shareCluster()`: `x`, shared. `unshareCluster()`: nothing, invisibly.
#' @section Errors:
#' A worker that has ended or does not answer is an error of class `onecopy_peer_closed` that names it; parallel's
#' clusters can't be used any more then: make a new one. A host without room is an error (`onecopy_no_space`), and
#' nothing stays on any host. Bytes that were damaged on their way are an error of class `onecopy_corrupt`. On a worker of
#' a host that was not part of the cluster the first use of the object is an
#' error of class `onecopy_wrong_host`; call `shareCluster()` again with a cluster that has all workers.
#'
#' Objects with `copyOnWrite = FALSE` stay on their host: one host would not see what another writes. Lazy vectors are
#' filled, as [share()] does it, and sent as data.
#' @section MPI:
#' `makeCluster(n, type = "MPI")` has Rmpi spawn the workers. With Open MPI 4.1 such a cluster can't be stopped:
#' `stopCluster()` waits for ever in `MPI_Comm_disconnect()`, whether or not onecopy is used. End the program with
#' `Rmpi::mpi.abort()`; or let mpirun start the workers, by snow's script: `mpirun -n 5 RMPISNOW < program.R`, in which
#' `snow::makeCluster()` returns four workers and `snow::stopCluster()` returns.
#' @seealso [share()], [attachShared()]
#' @examples
#' cl <- parallel::makeCluster(2)
#' x <- shareCluster(cl, runif(1000))
#' parallel::clusterApply(cl, 1:2, function(i, x) mean(x), x)
#' unshareCluster(cl, x)
#' parallel::stopCluster(cl)
#' @export
shareCluster <- function(cl, x, ..., timeout = 300) {
  cl <- as_workers(cl, timeout)
  shared <- share(x, ...)
  needed <- travelling_regions(shared)
  if (needed$other) {
    # A file's path leads nowhere on another host.
    shared <- share(unshare(shared), ...)
    needed <- travelling_regions(shared)
    if (needed$other) {
      stop_cluster("unsupported", "The object holds a lazy vector that is not an element of it (in a function's ",
                   "environment?), and that can't be sent to other hosts. Make it there, or fill it: share() it.")
    }
  }
  places <- places_of(cl)
  here <- .Call(oc_place)
  abroad <- setdiff(unique(places), here)
  if (length(abroad)) {
    if (any(vapply(needed$regions, function(r) .Call(oc_region_writable, r), NA))) {
      stop_cluster("wrong_type", "An object with copyOnWrite = FALSE stays on its host: other hosts would not see ",
                   "what is written. Share a copy of it: shareCluster(cl, unshare(x)).")
    }
    drop_forgotten(cl)
    for (i in seq_along(needed$ids)) spread(cl, places, abroad, needed$ids[i], needed$sizes[i], needed$regions[[i]])
    for (i in seq_along(needed$ids)) remember(needed$ids[i], needed$regions[[i]])
  }
  shared
}

#' @rdname shareCluster
#' @export
unshareCluster <- function(cl, x, timeout = 300) {
  cl <- as_workers(cl, timeout)
  all_well(call_workers(cl, seq_along(cl$nodes), "cluster_drop", list(travelling_regions(x)$ids)))
  invisible()
}

stop_cluster <- function(...) stop(onecopy_error(...))

# The regions that the object's serialized form names. All that can hold a shared vector is searched in this way, also
# closures and environments.
travelling_regions <- function(x) {
  force(x)  # or a call that does the same would be noted within this one
  .Call(oc_travel_begin)
  on.exit(.Call(oc_travel_end))
  serialize(x, NULL, xdr = FALSE)
  on.exit()
  .Call(oc_travel_end)
}

# Each other host gets the region: its first worker the bytes, if they are not there, all others a word to hold it.
spread <- function(cl, places, abroad, id, size, region) {
  first <- match(abroad, places)
  done <- FALSE
  on.exit(if (!done) {
    # Whoever can still be reached forgets what it has of it.
    call_workers(cl, which(places %in% abroad & !cl$state$lost), "cluster_drop", list(id))
  })
  has <- all_well(call_workers(cl, first, "cluster_hold", list(id)))
  lacking <- first[!unlist(has)]
  if (length(lacking)) {
    all_well(call_workers(cl, lacking, "cluster_receive", list(id, size)))
    at <- 0
    while (at < size) {
      piece <- .Call(oc_region_piece, region, at, piece_size)
      all_well(call_workers(cl, lacking, "cluster_piece", list(id, piece, .Call(oc_checksum, piece))))
      at <- at + length(piece)
    }
    all_well(call_workers(cl, lacking, "cluster_complete", list(id)))
  }
  rest <- setdiff(which(places %in% abroad), first)
  found <- all_well(call_workers(cl, rest, "cluster_hold", list(id)))
  if (!all(unlist(found))) {
    stop_cluster("not_found", "A worker does not find what another one on its host received. Is /dev/shm, or the ",
                 "folder of ONECOPY_DIR, the same for all workers there?")
  }
  done <- TRUE
}

piece_size <- 8 * 1024^2

# ---- What was sent and is gone here: a finalizer must not speak to workers, so the next call does.
forgotten <- new.env(parent = emptyenv())
watched <- new.env(parent = emptyenv())

remember <- function(id, region) {
  if (!is.null(watched[[id]])) return()
  assign(id, TRUE, envir = watched)
  forget <- function(region) {
    assign(id, TRUE, envir = forgotten)
    rm(list = id, envir = watched)
  }
  environment(forget) <- list2env(list(id = id, forgotten = forgotten, watched = watched), parent = baseenv())
  reg.finalizer(region, forget)
}

drop_forgotten <- function(cl) {
  ids <- ls(forgotten)
  if (length(ids)) all_well(call_workers(cl, seq_along(cl$nodes), "cluster_drop", list(ids)))
}

# ---- The side of a worker. Called by the master with the name of the function; see call_workers().
receiving <- new.env(parent = emptyenv())
held <- new.env(parent = emptyenv())

cluster_place <- function() list(place = .Call(oc_place), endian = .Platform$endian, version = package_version_text())

cluster_hold <- function(id) {
  region <- held[[id]]
  if (is.null(region)) region <- .Call(oc_hold, id)
  if (is.null(region)) return(FALSE)
  assign(id, region, envir = held)
  TRUE
}

cluster_receive <- function(id, size) {
  assign(id, .Call(oc_import_begin, id, size), envir = receiving)
  TRUE
}

cluster_piece <- function(id, piece, checksum) {
  if (!identical(.Call(oc_checksum, piece), checksum)) {
    stop("what came is damaged: its checksum is not that of what was sent. Try again; if it happens again, the ",
         "network or the memory of a host is damaged")
  }
  .Call(oc_import_write, receiving[[id]], piece)
  TRUE
}

cluster_complete <- function(id) {
  assign(id, .Call(oc_import_end, receiving[[id]]), envir = held)
  rm(list = id, envir = receiving)
  TRUE
}

cluster_drop <- function(ids) {
  for (id in intersect(ids, ls(receiving))) {
    .Call(oc_import_abort, receiving[[id]])
    rm(list = id, envir = receiving)
  }
  rm(list = intersect(ids, ls(held)), envir = held)
  gc(FALSE)
  TRUE
}

package_version_text <- function() as.character(utils::packageVersion("onecopy"))
