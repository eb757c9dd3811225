#' Handles: shared objects for other processes
#'
#' `sharedHandle()` gives a text that stands for a shared object; `attachShared()` gives the object for such a text, in
#' any process of the same user on the same machine: R, Python (`onecopy.attach()`) or C++ (`onecopy::attach()`).
#' Nothing is copied.
#'
#' @param x A shared object. It may be a part of one: a column, an element of a list.
#' @param lease For how many seconds the object is kept after its last holder lets go, so that the receiver of the
#'   handle has time to attach; by default 10 minutes, or the environment variable `ONECOPY_LEASE`.
#' @param handle A handle.
#' @param name A name that was given to [share()], instead of a handle.
#' @param path A file that was written by `share(path = )`, instead of a handle.
#' @param ... `copyOnWrite`, `sharedSubset`, `sharedCopy`, `minLength`: as in [share()]. Objects that were shared with
#'   `copyOnWrite = FALSE` are attached likewise, unless `copyOnWrite = TRUE` is given here.
#'   `plain = TRUE` gives ordinary R vectors whose elements lie in the shared memory: for the tightest loops, and for
#'   packages that expand what is not ordinary. What is written to them is private, page by page. They are not
#'   [is.shared()], and travel as data. Character vectors and types that R converts are copied. From R 4.6 on all of
#'   them are copied, because R has no official way any more to make a vector where its elements lie;
#'   `options(onecopy.plain_in_place = TRUE)` uses the unofficial one there.
#' @return `sharedHandle()`: a string. `attachShared()`: the shared object.
#' @examples
#' x <- share(c(1, 2, 3))
#' h <- sharedHandle(x)
#' h
#' y <- attachShared(h)
#' identical(x, y)
#' @export
sharedHandle <- function(x, lease = -1) {
  check_number(lease, "lease", "one number of seconds")
  if (is.lazy(x)) return(.Call(oc_lazy_handle, x, lease))
  if (inherits(x, "onecopyRecord")) return(.Call(oc_record_handle, record_pointer(x), lease))
  h <- .Call(oc_handle, x, lease)
  if (!is.null(h)) return(h)
  if (.Call(oc_is_gone, x)) x[[1L]]  # whose error says why it is gone
  if (is.atomic(x)) stop(not_shared_error())
  found <- first_shared(x, 0L)
  if (is.null(found)) stop(not_shared_error())
  candidates <- c(0, if (found$levels) .Call(oc_container_node, found$leaf, found$levels))
  for (node in unique(candidates)) {
    stored <- .Call(oc_read_node, found$leaf, node, current_options()$minLength)
    if (same_as_stored(x, stored)) return(.Call(oc_handle_of_node, found$leaf, node, lease))
  }
  stop("`x` was changed since it was shared, or put together from shared parts: share() it as a whole.",
       call. = FALSE)
}

not_shared_error <- function() {
  simpleError("`x` is not shared, or was changed since: share() it first.")
}

# The first shared vector in a container, and how many levels deep it lies.
first_shared <- function(x, levels) {
  if (is.atomic(x)) return(if (.Call(oc_is_shared, x)) list(leaf = x, levels = levels))
  if (!is_container(x) || is.environment(x)) return(NULL)
  for (item in elements_of(x)) {
    found <- first_shared(item, levels + 1L)
    if (!is.null(found)) return(found)
  }
  NULL
}

same_as_stored <- function(x, y) {
  if (typeof(x) != typeof(y) || length(x) != length(y)) return(FALSE)
  if (is.atomic(x)) {
    at_x <- .Call(oc_node_at, x)
    if (!is.null(at_x) && identical(at_x, .Call(oc_node_at, y))) return(same_attributes(x, y))
    return(identical(x, y))
  }
  if (isS4(x)) {
    return(isS4(y) && identical(class(x), class(y)) && same_list(elements_of(x), elements_of(y)))
  }
  if (is.list(x) || is.pairlist(x)) return(same_attributes(x, y) && same_list(elements_of(x), elements_of(y)))
  identical(x, y)
}

same_attributes <- function(x, y) {
  a <- attributes(x)
  b <- attributes(y)
  setequal(names(a), names(b)) && same_list(a, b[names(a)])
}

same_list <- function(x, y) {
  length(x) == length(y) && all(vapply(seq_along(x), function(i) same_as_stored(x[[i]], y[[i]]), NA))
}

#' @rdname sharedHandle
#' @export
attachShared <- function(handle = NULL, name = NULL, path = NULL, ...) {
  if (is.null(handle) + is.null(name) + is.null(path) != 2L) {
    stop("Give one of `handle`, `name` and `path`.", call. = FALSE)
  }
  if (!is.null(handle)) {
    lazy <- .Call(oc_lazy_attach, handle)
    if (!is.null(lazy)) return(lazy)
  }
  settings <- list(minLength = package_options$minLength)
  if (...length()) settings <- attach_settings(settings, list(...))
  if (!is.null(path)) path <- check_path(path)
  .Call(oc_attach, handle, name, path, settings)
}

attach_settings <- function(settings, given) {
  allowed <- c("copyOnWrite", "sharedSubset", "sharedCopy", "minLength", "plain")
  check_names(given, allowed, "attachShared")
  for (n in names(given)) settings[[n]] <- check_option(n, given[[n]])
  settings
}
