#' List the shared objects
#'
#' @param end,start For SharedObject's users: not used, as ids are not numbers here.
#' @return A data frame with the `Id` and the `size` in bytes of every shared object of this user on this machine.
#' @examples
#' x <- share(1:10)
#' listSharedObjects()
#' @export
listSharedObjects <- function(end = NULL, start = NULL) {
  all <- .Call(oc_list)
  data.frame(Id = all$Id, size = all$size, stringsAsFactors = FALSE)
}

check_ids <- function(id) {
  # R's environments, which hold what is mapped, refuse names that are longer than anything that can be an id.
  odd <- function(id) !nzchar(id) | nchar(id, "bytes") > 1000 | grepl("[\001-\037\177]", id, useBytes = TRUE)
  if (!is.character(id) || anyNA(id) || any(odd(id))) {
    stop("`id` must be a character vector of ids, names or handles, without NA and \"\".", call. = FALSE)
  }
  id
}

#' Shared memory for developers
#'
#' Plain shared memory without an R object in it. It stays until it is freed, whichever process made it; every process
#' of the same user can map it by its id.
#'
#' @param size Bytes.
#' @param name A name to be used as the id; `""`: the id is a new one. The same name again is the same memory, if that
#'   is large enough. `size` and `name` may be vectors.
#' @param id Ids as returned by `allocateSharedMemory()`; the memory API also takes a `dataId` of
#'   [sharedObjectProperties()], a handle, or a name given to [share()].
#' @return
#' * `allocateSharedMemory()`: ids.
#' * `mapSharedMemory()`: an external pointer to the first byte (a list of them for several ids), valid until
#'   `unmapSharedMemory()`.
#' * `unmapSharedMemory()`, `freeSharedMemory()`: for each id whether there was anything to do, invisibly.
#'   Processes that have freed memory mapped keep it until they unmap it.
#' * `hasSharedMemory()`: logical. `getSharedMemorySize()`: bytes; an error if there is none.
#' @examples
#' id <- allocateSharedMemory(1024)
#' hasSharedMemory(id)
#' getSharedMemorySize(id)
#' ptr <- mapSharedMemory(id)
#' unmapSharedMemory(id)
#' freeSharedMemory(id)
#' @export
allocateSharedMemory <- function(size, name = "") {
  if (!is.numeric(size)) stop("`size` must be numbers of bytes.", call. = FALSE)
  if (!is.character(name)) stop("`name` must be strings.", call. = FALSE)
  n <- if (length(size) && length(name)) max(length(size), length(name)) else 0L
  size <- rep_len(size, n)
  name <- rep_len(name, n)
  vapply(seq_len(n), function(i) .Call(oc_allocate, as.double(size[i]), name[i]), "")
}

mapped_memory <- new.env(parent = emptyenv())

#' @rdname allocateSharedMemory
#' @export
mapSharedMemory <- function(id) {
  pointers <- lapply(check_ids(id), function(i) {
    known <- mapped_memory[[i]]
    if (!is.null(known)) return(known)
    mapped_memory[[i]] <- .Call(oc_map, i)
  })
  if (length(pointers) == 1L) pointers[[1L]] else pointers
}

#' @rdname allocateSharedMemory
#' @export
unmapSharedMemory <- function(id) {
  done <- vapply(check_ids(id), function(i) {
    known <- mapped_memory[[i]]
    if (is.null(known)) return(FALSE)
    rm(list = i, envir = mapped_memory)
    .Call(oc_unmap, known)
  }, NA, USE.NAMES = FALSE)
  invisible(done)
}

#' @rdname allocateSharedMemory
#' @export
freeSharedMemory <- function(id) {
  invisible(vapply(check_ids(id), function(i) .Call(oc_free, i), NA, USE.NAMES = FALSE))
}

#' @rdname allocateSharedMemory
#' @export
hasSharedMemory <- function(id) vapply(check_ids(id), function(i) .Call(oc_exists, i), NA, USE.NAMES = FALSE)

#' @rdname allocateSharedMemory
#' @export
getSharedMemorySize <- function(id) vapply(check_ids(id), function(i) .Call(oc_size, i), 0, USE.NAMES = FALSE)

#' What is shared, who holds it, what it saves
#'
#' @return A data frame with a row for each shared object of this user: `id`, `name`, `size` in bytes, `holders` (how
#'   many mappings hold it), `saved` (bytes that separate copies would have cost beyond the one there is), `lease`
#'   (seconds for which it is kept though nobody may hold it), `writable`. The attribute `total` sums size and saved.
#' @examples
#' x <- share(runif(1e5))
#' sharedMemoryUsage()
#' @export
sharedMemoryUsage <- function() {
  all <- .Call(oc_list)
  holders <- vapply(all$Id, function(i) .Call(oc_holders, i), 0, USE.NAMES = FALSE)
  out <- data.frame(id = all$Id, name = all$name, size = all$size, holders = holders,
                    saved = all$size * pmax(holders - 1, 0), lease = all$lease, writable = all$writable,
                    stringsAsFactors = FALSE)
  attr(out, "total") <- c(size = sum(out$size), saved = sum(out$saved))
  class(out) <- c("onecopy_usage", "data.frame")
  out
}

#' @export
print.onecopy_usage <- function(x, ...) {
  size <- function(b) format(structure(b, class = "object_size"), units = "auto")
  if (!nrow(x)) {
    cat("Nothing is shared.\n")
    return(invisible(x))
  }
  shown <- data.frame(id = substr(x$id, 1L, 8L), name = x$name, size = vapply(x$size, size, ""),
                      holders = x$holders, saved = vapply(x$saved, size, ""))
  print(shown, row.names = FALSE)
  total <- attr(x, "total")
  cat(nrow(x), "objects,", size(total[["size"]]), "of memory,", size(total[["saved"]]), "saved\n")
  invisible(x)
}

#' Collect what nobody uses
#'
#' Removes shared objects that no process holds and no lease keeps: leftovers of killed processes. Runs by itself when
#' the package is loaded and when memory runs out.
#'
#' @return A list of the number of `objects` and `bytes` that were freed, invisibly.
#' @examples
#' collectSharedMemory()
#' @export
collectSharedMemory <- function() invisible(.Call(oc_collect))

#' What this machine allows
#'
#' @return A data frame of checks: `what`, `state` (`ok`, `warning`, `error`), `found`, and the `remedy` if there is
#'   something to do.
#' @examples
#' sharedMemoryDoctor()
#' @export
sharedMemoryDoctor <- function() as.data.frame(.Call(oc_doctor), stringsAsFactors = FALSE)
