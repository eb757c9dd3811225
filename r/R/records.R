#' Records: C structs that processes share and change
#'
#' A record is a C struct in shared memory or in a file, made by a program in Python (`@onecopy.record`) or C++
#' (`onecopy::record`). R attaches to it and reads and writes its fields; every process sees every write at once.
#' `record$bar` reads a field, `record$bar <- 1` writes it, each number in one step. `withRecord()` locks the whole:
#' nobody else who locks is in between. `as.list(record)` gives all fields as they were at one moment.
#'
#' Integers up to 32 bits are R integers; others and floats are R numbers. A 64-bit integer of 2^53 or more is an error
#' when it is read, as R's numbers would change it. Fixed strings are strings, arrays are vectors, bytes are raw.
#' Fields of other types are `NULL` in `as.list()`, and an error when they are used alone.
#'
#' @param handle,name,path Where the record is: its handle, its name, or the file that it lies in.
#' @param record What `attachRecord()` gave.
#' @param expr Evaluated while the record is locked. The lock is given back however this ends.
#' @param timeout Seconds to wait for the lock; `NULL`: for ever. An error of class `onecopy_timeout` when over.
#' @param repair A function of the record, called first when a process was killed while it held the lock, so that what
#'   it left half done can be put right. Without it that is an error of class `onecopy_owner_died`.
#' @param x A record.
#' @param ... Ignored.
#' @return `attachRecord()`: the record. `withRecord()`: the value of `expr`. `as.list()`: a list of the fields.
#' @examples
#' \dontrun{
#' state <- attachRecord(path = "state.foo")
#' state$bar <- 31337L
#' withRecord(state, { state$bar <- state$bar + 1L; state$baz <- state$baz - 1L })
#' as.list(state)
#' }
#' @export
attachRecord <- function(handle = NULL, name = NULL, path = NULL) {
  if (is.null(handle) + is.null(name) + is.null(path) != 2L) {
    stop("Give one of `handle`, `name` and `path`.", call. = FALSE)
  }
  if (!is.null(path)) path <- path.expand(path)
  structure(list(pointer = .Call(oc_record_open, handle, name, path)), class = "onecopyRecord")
}

#' @rdname attachRecord
#' @export
withRecord <- function(record, expr, timeout = NULL, repair = NULL) {
  pointer <- record_pointer(record)
  if (!is.null(repair) && !is.function(repair)) stop("`repair` must be a function of the record.", call. = FALSE)
  .Call(oc_record_must_be_free, pointer)
  # Before it is locked, as an interrupt may come in between; what is not locked is not unlocked.
  on.exit(.Call(oc_record_unlock, pointer))
  died <- .Call(oc_record_lock, pointer, timeout)
  if (died) {
    if (is.null(repair)) {
      stop(structure(class = c("onecopy_owner_died", "onecopy_error", "error", "condition"),
                     list(message = paste0("A process was killed while it changed the record: what it left may be half ",
                                           "done. Give withRecord() a function `repair` that puts it right."),
                          call = NULL)))
    }
    repair(record)
    .Call(oc_record_repaired, pointer)
  }
  force(expr)
}

record_pointer <- function(record) {
  if (!inherits(record, "onecopyRecord")) stop("This is no record: see attachRecord().", call. = FALSE)
  .subset2(record, "pointer")
}

#' @export
`$.onecopyRecord` <- function(x, name) .Call(oc_record_read, record_pointer(x), name)

#' @export
`[[.onecopyRecord` <- function(x, i) .Call(oc_record_read, record_pointer(x), i)

#' @export
`$<-.onecopyRecord` <- function(x, name, value) {
  .Call(oc_record_write, record_pointer(x), name, value)
  x
}

#' @export
`[[<-.onecopyRecord` <- function(x, i, value) {
  .Call(oc_record_write, record_pointer(x), i, value)
  x
}

#' @export
names.onecopyRecord <- function(x) .Call(oc_record_names, record_pointer(x))

#' @export
length.onecopyRecord <- function(x) length(names(x))

#' @rdname attachRecord
#' @export
as.list.onecopyRecord <- function(x, timeout = NULL, ...) {
  values <- .Call(oc_record_snapshot, record_pointer(x), timeout)
  names(values) <- names(x)
  values
}

#' @export
print.onecopyRecord <- function(x, ...) {
  values <- vapply(as.list(x), function(v) if (is.null(v)) "?" else paste(format(v, trim = TRUE), collapse = " "), "")
  cat(.Call(oc_record_type, record_pointer(x)), "(", paste0(names(x), " = ", values, collapse = ", "), ")\n", sep = "")
  invisible(x)
}
