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
setMethod("unshare", "ANY", function(x, ...) {
  seen <- new.env(parent = emptyenv())
  make_ordinary(x, seen)
})

make_ordinary <- function(x, seen) .Call(oc_ordinary, x, function(e) make_ordinary_environment(e, seen))

make_ordinary_environment <- function(x, seen) {
  key <- format(x)
  if (is_system_environment(x) || exists(key, envir = seen, inherits = FALSE)) return(x)
  assign(key, x, envir = seen)
  items <- environment_elements(x)
  for (name in names(items)) {
    if (!is_container(items[[name]]) && !is.atomic(items[[name]])) next
    plain <- make_ordinary(items[[name]], seen)
    if (is.environment(plain)) next
    .Call(oc_set_binding, x, name, plain)
  }
  x
}
