#' Make an ordinary object
#'
#' Copies a shared object into this process's own memory. Use it before `saveRDS()` or anything else that outlives the
#' shared memory: a shared object is saved as its handle.
#'
#' @param x Any R object.
#' @param ... For methods.
#' @return The same object without any shared part; environments are changed in place, as [share()] does.
#' @examples
#' x <- share(1:10)
#' is.shared(unshare(x))
#' @export
setGeneric("unshare", function(x, ...) standardGeneric("unshare"))

#' @rdname unshare
#' @export
setMethod("unshare", "ANY", function(x, ...) make_ordinary(x, new.env(parent = emptyenv())))

make_ordinary <- function(x, seen) {
  if (is.environment(x)) return(make_ordinary_environment(x, seen))
  if (!is_container(x) && !is.atomic(x)) return(x)
  if (is.null(x)) return(x)
  attributes_of_x <- attributes(x)
  if (isS4(x) && !is.atomic(x) && !is.list(x)) {
    for (s in slot_names(x)) {
      old <- attr(x, s, exact = TRUE)
      if (is_container(old) || is.atomic(old)) attr(x, s) <- make_ordinary(old, seen)
    }
    return(x)
  }
  if (is.pairlist(x)) return(as.pairlist(lapply(x, make_ordinary, seen = seen)))
  if (is.atomic(x)) {
    if (!.Call(oc_is_shared, x) && !.Call(oc_is_gone, x) && !any_shared_attribute(attributes_of_x)) return(x)
    plain <- .Call(oc_unshare_vector, x)
  } else {
    plain <- lapply(unclass(x), make_ordinary, seen = seen)
    attributes(plain) <- NULL
  }
  if (length(attributes_of_x)) attributes(plain) <- lapply(attributes_of_x, make_ordinary, seen = seen)
  if (isS4(x)) plain <- asS4(plain)
  plain
}

any_shared_attribute <- function(held) {
  for (item in held) if (holds_shared(item, list())) return(TRUE)
  FALSE
}

make_ordinary_environment <- function(x, seen) {
  key <- format(x)
  if (is_system_environment(x) || exists(key, envir = seen, inherits = FALSE)) return(x)
  assign(key, x, envir = seen)
  items <- environment_elements(x)
  for (name in names(items)) {
    if (!is_container(items[[name]]) && !is.atomic(items[[name]])) next
    locked <- bindingIsLocked(name, x)
    if (locked) unlockBinding(name, x)
    assign(name, make_ordinary(items[[name]], seen), envir = x)
    if (locked) lockBinding(name, x)
  }
  x
}
