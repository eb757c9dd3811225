# In the process that the pager has started: what it is asked to fill. Everything goes wrong as a string.
lazy_known <- new.env()

lazy_runner <- function() .Call(oc_lazy_serve, lazy_answer)

lazy_answer <- function(id, payload, first, last, changed = NULL) {
  if (is.null(first)) {
    rm(list = intersect(id, ls(lazy_known)), envir = lazy_known)
    return(NULL)
  }
  tryCatch({
    if (!is.null(payload)) assign(id, unserialize(payload), lazy_known)
    what <- get(id, lazy_known)
    if (!is.null(changed)) {
      what$writeback(first, last, if (what$mode == "raw") changed else readBin(changed, what$mode, last - first + 1))
      return(NULL)
    }
    suppressWarnings(
      if (is.null(what$populate)) lazy_checked(lazy_part(what$node, first, last), what$mode, first, last)
      else lazy_checked(what$populate(first, last), what$mode, first, last))
  }, error = function(e) enc2utf8(lazy_message(e, first, last, changed)), interrupt = function(e) "it was interrupted")
}

# R counts from 1.
lazy_message <- function(e, first, last, changed) {
  sprintf("%s(%.0f, %.0f): %s", if (is.null(changed)) "populate" else "writeback", first, last, conditionMessage(e))
}

# What a populate function has returned, as the elements it has to be.
lazy_checked <- function(values, mode, first, last) {
  wanted <- if (mode == "numeric") "double" else mode
  order <- c("logical", "integer", "double", "complex")
  is <- typeof(values)
  fits <- is == wanted || (is %in% order && match(is, order) < match(wanted, order, nomatch = 0L))
  if (!fits || is.object(values))
    stop("it returned ", if (is.object(values)) paste("an object of class", class(values)[1L]) else paste("a", is),
         ", and a vector of mode ", mode, " is needed")
  if (length(values) != last - first + 1)
    stop(sprintf("it returned %.0f elements, and %.0f are needed (%.0f to %.0f)", length(values), last - first + 1,
                 first, last))
  if (is == wanted) values else as.vector(values, wanted)
}
