#' Records: C structs that processes share and change
#'
#' A record is a C struct in shared memory or in a file. `createRecord()` makes one; `attachRecord()` attaches to one
#' that R, Python (`@onecopy.record`) or C++ (`onecopy::record`) made. Every process sees every write at once.
#' `record$bar` reads a field, `record$bar <- 1` writes it, each number in one step. `withRecord()` locks the whole:
#' nobody else who locks is in between. `as.list(record)` gives all fields as they were at one moment.
#'
#' Integers up to 32 bits are R integers; others and floats are R numbers. A 64-bit integer of 2^53 or more is an error
#' when it is read, as R's numbers would change it. Fixed strings are strings, arrays are vectors, bytes are raw.
#' Fields of other types are `NULL` in `as.list()`, and an error when they are used alone.
#'
#' @section Making one:
#' `fields` says what the struct has, in order, as a C compiler lays it out: `c(bar = "int32", label = "char[8]", row =
#' "float64[3]")`. Types are `bool`, `int8` to `int64`, `uint8` to `uint64`, `float32`, `float64`, `raw`, and `char[n]` for
#' text; `[n]` or `[n, m]` makes an array. With `path` the record lies in a file that stays; with `name` it ends with its
#' last holder, unless `keep`; with neither, others attach by `sharedHandle()` of it. If it is there already it is
#' attached, when it is the same struct; otherwise that is an error which says what differs. Two processes that make it
#' at once get the same one.
#'
#' @param type The struct's name, which must be the same in all programs.
#' @param fields The struct's fields: a character vector with names.
#' @param values What a new record begins as: a list with names of fields; the others are 0.
#' @param keep `TRUE`: a record with a name stays until it is freed (`freeSharedMemory()`, `onecopy rm`).
#' @param handle,name,path Where the record is: its handle, its name, or the file that it lies in.
#' @param record What `createRecord()` or `attachRecord()` gave.
#' @param expr Evaluated while the record is locked. The lock is given back however this ends.
#' @param timeout Seconds to wait for the lock; `NULL`: for ever. An error of class `onecopy_timeout` when over.
#' @param repair A function of the record, called first when a process was killed while it held the lock, so that what
#'   it left half done can be put right. Without it that is an error of class `onecopy_owner_died`.
#' @param x A record.
#' @param ... Ignored.
#' @return `createRecord()` and `attachRecord()`: the record. `withRecord()`: the value of `expr`. `as.list()`: a list of the fields.
#' @examples
#' state <- createRecord("Foo", c(bar = "int32", baz = "int32"), path = tempfile())
#' state$bar <- 31337L
#' withRecord(state, { state$bar <- state$bar + 1L; state$baz <- state$baz - 1L })
#' as.list(state)
#' @export
createRecord <- function(type, fields, name = NULL, path = NULL, values = list(), keep = FALSE) {
  if (!is.null(name) && !is.null(path)) stop("Give `name` or `path`, not both.", call. = FALSE)
  if (!is.character(type) || length(type) != 1L || is.na(type) || !nzchar(type)) {
    wrong_argument("type", "the name of the struct: one string")
  }
  check_flag(keep, "keep")
  if (!is.null(name)) check_name(name)
  if (!is.null(path)) path <- check_path(path)
  if (!is.atomic(values) && !is.list(values)) wrong_argument("values", "a list named by fields")
  if (keep && is.null(name)) stop("`keep` is for records with a name; those in files stay anyway.", call. = FALSE)
  fields <- record_fields(fields)
  values <- as.list(values)
  unknown <- setdiff(names(values), names(fields$kinds))
  if (length(values) && (is.null(names(values)) || length(unknown) || anyDuplicated(names(values)))) {
    stop("`values` must be a list named by fields, each once",
         if (length(unknown)) paste0("; there is no ", unknown[1L]), ".", call. = FALSE)
  }
  where <- if (!is.null(path)) c(path = path) else if (!is.null(name) && keep) c(kept = name) else
    if (!is.null(name)) c(name = name)
  first <- lapply(names(fields$kinds), function(field) values[[field, exact = TRUE]])
  made <- .Call(oc_record_make, type, names(fields$kinds), unname(fields$kinds), fields$extents, first, where)
  structure(list(pointer = made), class = "onecopyRecord")
}

# c(bar = "int32[2, 3]") as kinds and extents.
record_fields <- function(fields) {
  names <- names(fields)
  if (!is.character(fields) || !length(fields) || anyNA(fields) || is.null(names) || anyNA(names) || any(names == "") ||
      anyDuplicated(names)) {
    stop("`fields` must be types with different names: c(bar = \"int32\", label = \"char[8]\").", call. = FALSE)
  }
  parts <- regmatches(fields, regexec("^ *([a-z0-9]+) *(\\[ *([0-9]+( *, *[0-9]+)*) *\\])? *$", fields))
  bad <- lengths(parts) == 0L
  if (any(bad)) {
    stop("This is no type of a field: \"", fields[bad][1L], "\". Say \"int32\" or \"int32[3]\".", call. = FALSE)
  }
  extents <- lapply(parts, function(part) {
    numbers <- suppressWarnings(as.integer(strsplit(part[4L], ",")[[1L]]))
    if (anyNA(numbers) || any(numbers < 1L)) {
      stop("\"", part[1L], "\" has an extent that is no whole number from 1.", call. = FALSE)
    }
    numbers
  })
  list(kinds = structure(vapply(parts, `[`, "", 2L), names = names), extents = unname(extents))
}

#' @rdname createRecord
#' @export
attachRecord <- function(handle = NULL, name = NULL, path = NULL) {
  if (is.null(handle) + is.null(name) + is.null(path) != 2L) {
    stop("Give one of `handle`, `name` and `path`.", call. = FALSE)
  }
  if (!is.null(path)) path <- check_path(path)
  structure(list(pointer = .Call(oc_record_open, handle, name, path)), class = "onecopyRecord")
}

#' @rdname createRecord
#' @export
withRecord <- function(record, expr, timeout = NULL, repair = NULL) {
  pointer <- record_pointer(record)
  if (!is.null(repair)) check_function(repair, "repair", "record")
  .Call(oc_record_must_be_free, pointer)
  # Before it is locked, as an interrupt may come in between; what is not locked is not unlocked.
  on.exit(.Call(oc_record_unlock, pointer))
  died <- .Call(oc_record_lock, pointer, timeout)
  if (died) {
    if (is.null(repair)) {
      stop(onecopy_error("owner_died", "A process was killed while it changed the record: what it left may be half ",
                         "done. Give withRecord() a function `repair` that puts it right."))
    }
    repair(record)
    .Call(oc_record_repaired, pointer)
  }
  force(expr)
}

record_pointer <- function(record) {
  if (!inherits(record, "onecopyRecord")) wrong_argument("record", "a record, from attachRecord()")
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

#' @rdname createRecord
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
