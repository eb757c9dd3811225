#' onecopy: one copy of your data in memory, used in place by every process
#'
#' [share()] puts an object into shared memory; parallel workers, Python and C++ programs use it there, without a copy.
#' Start with `vignette("onecopy")`.
#'
#' @keywords internal
#' @import methods
#' @useDynLib onecopy, .registration = TRUE
"_PACKAGE"

.onLoad <- function(libname, pkgname) {
  list2env(default_options, envir = package_options)
  # Leftovers of killed processes; whatever is wrong with the store is reported when it is used.
  try(.Call(oc_collect), silent = TRUE)
}

.onUnload <- function(libpath) {
  # Views that are still about would call into a library that is gone, so it stays loaded.
  invisible()
}
