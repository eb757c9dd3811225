# In the process that the pager has started: what it is asked to fill. Everything goes wrong as a string.
lazy_known <- new.env()

lazy_runner <- function() .Call(oc_lazy_serve, lazy_answer)

lazy_answer <- function(id, payload, first, last, changed = NULL) {
  if (is.null(first)) {
    rm(list = intersect(id, ls(lazy_known)), envir = lazy_known)
    return(NULL)
  }
  at <- c(first, last)
  tryCatch({
    if (!is.null(payload)) assign(id, unserialize(payload), lazy_known)
    what <- get(id, lazy_known)
    at <- lazy_elements(what, first, last)
    if (!is.null(changed)) {
      what$writeback(at[1L], at[2L], lazy_values(changed, what, at[2L] - at[1L] + 1))
      return(NULL)
    }
    values <- suppressWarnings(if (is.null(what$populate)) lazy_part(what$node, at[1L], at[2L])
                               else what$populate(at[1L], at[2L]))
    values <- lazy_checked(values, what$mode, at[1L], at[2L])
    if (what$mode == "character") lazy_records(values, what$record, first, last, at[1L]) else values
  }, error = function(e) enc2utf8(lazy_message(e, at[1L], at[2L], changed)),
  interrupt = function(e) "it was interrupted")
}

# To the core, strings are bytes: which strings have bytes first to last. The ends of a chunk may cut strings.
lazy_elements <- function(what, first, last) {
  if (what$mode != "character") return(c(first, last))
  c(floor((first - 1) / what$record) + 1, ceiling(last / what$record))
}

lazy_records <- function(values, record, first, last, from) {
  bytes <- .Call(oc_lazy_pack, values, record)
  before <- first - 1 - (from - 1) * record
  if (before == 0 && length(bytes) == last - first + 1) bytes else bytes[seq(before + 1, length.out = last - first + 1)]
}

lazy_values <- function(bytes, what, count) switch(what$mode,
  raw = bytes, character = .Call(oc_lazy_unpack, bytes, what$record), readBin(bytes, what$mode, count))

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
