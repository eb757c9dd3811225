#' Lazy vectors: larger than memory, filled when touched
#'
#' A lazy vector is computed, or read, in pieces (chunks), when its elements are first used; once for all processes of
#' this user, which share the memory. What was not used for some time is given back under one budget for the machine
#' ([lazyBudget()]) and filled again at the next use. So it may be much larger than memory.
#'
#' `lazyVector()` fills it by a function of yours, `lazySequence()` by an arithmetic sequence, `lazyBinary()` from a
#' file
#' of numbers. The result is used like any vector: `x[i]`, loops, functions of packages. It can be given dimensions
#' (`dim(x) <- `) and sent to workers: only a handle travels. Arithmetic, comparison, mathematical functions, `c()`,
#' `rev()` and long subsets give lazy vectors again, see [lazyArithmetic].
#'
#' # The function
#' `populate(start, end)` returns elements `start` to `end` (from 1, both included) as a vector of the mode. It runs
#' in
#' another R process, which the pager starts when it is needed and keeps: not in yours. Variables that it uses must be
#' its
#' own (a function made within a function takes them along) or be named in `globals`; packages are used by
#' `pkg::name`. It may use
#' other lazy vectors. Several calls may run at once in several processes, for any part, in any order, again and
#' again.
#'
#' # Errors
#' If the function fails, returns something else than `end - start + 1` elements of the mode, takes longer than
#' `deadline`, or its process is killed, the expression that used the elements is an error that says which elements of
#' which vector and why. Using them again tries again. Compiled code that reads through a pointer can't be
#' interrupted by an error: it sees `NaN`, -1 or 0xff, and the next use of the vector from R is the error.
#'
#' # Loops
#' A class makes R look for a method for each `x[i]`. In a loop over single elements use `for (value in x)`, or
#' `bare <- unclass(x)`, which is the same lazy memory without the class, and `bare[i]`: as quick as other vectors
#' that R does not keep itself.
#'
#' # What is lazy afterwards
#' `x[]` and `x[i]` with more than 65,536 positions are lazy; `as.vector(x)` is the ordinary vector of all elements.
#' Functions of base R give ordinary vectors. Some of them, `ifelse()`, `toupper()`, `sub()` and `substr()` among them,
#' copy all attributes of what they get, and so does `x[i] <- value` with a value of a wider type. Their ordinary result
#' has the class `"lazyVector"` as well: `is.lazy()` is `FALSE` for it, all methods treat it as what it is, and
#' `as.vector()` takes the class away.
#'
#' # Changing elements
#' `x[i] <- value` gives a private copy of the pages changed. With `writable = TRUE` all processes see the change;
#' changed chunks are kept in a file when memory is needed (`ONECOPY_SPILL`, default `/var/tmp`), or, for
#' `lazyBinary(write = TRUE)`, written back to the file.
#'
#' On R 4.6 this holds while the vector has one name: if it was assigned to and has got a second one since (`y <- x`,
#' or an error in a function that was given `x`), R copies all of it into an ordinary vector before the next
#' assignment, `is.lazy(x)` is `FALSE`, and nobody else sees that change. `x <- attachShared(sharedHandle(x))` before
#' it avoids that.
#'
#' # Strings
#' have no fixed size. Each lies in a record of `width` bytes (in UTF-8, to which `populate`'s strings are converted),
#' so that every process finds it; a longer one is an error that says how wide to make the vector. `NA` is kept.
#' Functions that ask R for a pointer to all elements (`sort()`, `order()`) make an ordinary vector of them in this
#' process.
#'
#' @param mode `"logical"`, `"integer"`, `"numeric"`, `"complex"`, `"raw"` or `"character"`.
#' @param length How many elements.
#' @param populate A function of `start` and `end`.
#' @param globals A named list: variables that `populate` finds.
#' @param chunk Bytes filled at once: a power of two from 4096 to 4194304.
#' @param deadline Seconds that filling one chunk may take.
#' @param writable `TRUE`: every process may write, and sees what others write.
#' @param description For error messages.
#' @param writeback A function of `start`, `end` and `values`, which keeps changed elements where `populate` will find
#'   them. The vector is then writable. It is called when memory is needed and by [lazyFlush()], which tells whether it
#'   worked, and when the last process lets go; if it fails, the elements stay in memory and it is called again later
#'   (for a minute after the last process has let go).
#' @param width For strings: bytes of the longest, in UTF-8.
#' @return A vector of class `lazyVector`.
#' @examples
#' squares <- lazyVector("numeric", 1e9, function(start, end) (start:end)^2)
#' squares[c(3, 5e8)]
#' @export
lazyVector <- function(mode, length, populate, globals = list(), chunk = 65536, deadline = 30, writable = FALSE,
                       description = "a function in R", writeback = NULL, width = 60) {
  check_closure(populate, "populate", "start, end")
  check_flag(writable, "writable")
  if (!is.list(globals) || (base::length(globals) && is.null(names(globals))))
    stop("`globals` must be a named list", call. = FALSE)
  if (!is.null(writeback)) {
    check_closure(writeback, "writeback", "start, end, values")
  }
  if (base::length(globals)) {
    environment(populate) <- list2env(globals, parent = environment(populate))
    if (!is.null(writeback)) environment(writeback) <- list2env(globals, parent = environment(writeback))
  }
  lazy_program(mode, length, list(populate = populate, writeback = writeback), NULL, chunk, deadline,
               writable || !is.null(writeback), description, !is.null(writeback), width)
}

#' @rdname lazyVector
#' @param from,by Element `i` is `from + (i - 1) * by`. Two integers make an integer vector.
#' @export
lazySequence <- function(from, by, length, chunk = 65536) {
  mode <- if (is.integer(from) && is.integer(by)) "integer" else "numeric"
  if (anyNA(c(from, by))) stop("`from` and `by` must not be NA", call. = FALSE)
  lazy_make(mode, length, list(kind = "sequence", from = from, by = by), NULL, 0L, chunk)
}

#' @rdname lazyVector
#' @export
lazySeq <- lazySequence

#' @rdname lazyVector
#' @param path A file.
#' @param offset Where the first element lies, in bytes.
#' @param stride Bytes from one element to the next; 0: the size of an element.
#' @param endian `"little"` or `"big"`.
#' @param write `TRUE`: the vector is writable, and what is changed is written to the file.
#' @param inPlace `TRUE`: a file whose elements lie as memory needs them (this machine's byte order, no stride, an
#'   `offset` that is a multiple of their size; not with `write`, and not on a network file system) is mapped where it
#'   lies. It is read as quickly as the kernel can, and its memory is the kernel's page cache, which does not count
#'   against the budget. A file that is removed or replaced stays what it was. `FALSE`: read in chunks, within the
#'   budget. `lazyStatus(x)[["inPlace"]]` is 1 if it is mapped.
#' @export
lazyBinary <- function(path, mode = "numeric", length = NULL, offset = 0, stride = 0, endian = .Platform$endian,
                       write = FALSE, chunk = 65536, inPlace = TRUE) {
  sizes <- c(logical = 4, integer = 4, numeric = 8, double = 8, complex = 16, raw = 1)
  mode <- check_choice(mode, "mode", names(sizes))
  size <- sizes[[mode]]
  endian <- check_choice(endian, "endian", c("little", "big"))
  path <- check_path(path)
  check_number(offset, "offset", "a whole number of bytes", least = 0)
  check_number(stride, "stride", "a whole number of bytes, or 0", least = 0)
  check_flag(write, "write")
  check_flag(inPlace, "inPlace")
  if (is.null(length)) {
    bytes <- file.size(path)
    if (is.na(bytes)) wrong_argument("path", paste0("a file; there is no such file: ", path))
    length <- max(0, floor((bytes - offset - size) / if (stride > 0) stride else size) + 1)
  }
  source <- list(kind = "file", path = path, offset = offset, stride = stride, swap = endian != .Platform$endian)
  lazy_make(mode, length, source, NULL, 0L, chunk, writable = write, write_back = write, in_place = inPlace)
}

lazy_make <- function(mode, length, source, kept, depth, chunk = 65536, deadline = 30, writable = FALSE,
                      write_back = FALSE, width = 0, in_place = FALSE) {
  .Call(oc_lazy_make, mode, length, source, list(chunk = chunk, deadline = deadline, writable = writable,
                                                 write_back = write_back, depth = depth, width = width,
                                                 in_place = in_place), kept)
}

# Bytes of a string with its size: as the library computes them.
lazy_record <- function(width, write_back) {
  if (!is.numeric(width) || base::length(width) != 1L || is.na(width) || width < 0)
    stop("`width` must be a number of bytes", call. = FALSE)
  record <- 4 + ceiling(max(width, 1) / 4) * 4
  if (write_back) 2^ceiling(log2(record)) else record
}

# A vector filled by R in a process of its own. `kept`: what its function reads must live as long as it does.
lazy_program <- function(mode, length, what, kept, chunk, deadline, writable, description, write_back = FALSE,
                         width = 0) {
  what$mode <- mode
  if (identical(mode, "character")) what$record <- lazy_record(width, write_back)
  .Call(oc_lazy_depth, TRUE)
  payload <- serialize(what, NULL)
  # Functions that read lazy vectors have processes of their own: a set of processes whose members wait for each
  # other's vectors could run out.
  depth <- .Call(oc_lazy_depth, FALSE) + 1L
  if (depth > 0L && is.null(kept)) kept <- what
  code <- sprintf(".libPaths(%s); quit('no', onecopy:::lazy_runner())", paste(deparse(.libPaths()), collapse = ""))
  command <- c(file.path(R.home("bin"), "Rscript"), "--vanilla", "-e", code, paste0("depth-", depth))
  lazy_make(mode, length, list(kind = "program", command = command, payload = payload, description = description),
            kept, depth, chunk, deadline, writable, write_back, width)
}

#' Look at lazy vectors, and say what is needed
#'
#' `lazyFill()` fills a part now and is an error if that fails; `lazyPrefetch()` begins to; `lazyPin()` fills it and
#' keeps it in memory until `lazyUnpin()`; `lazyRelease()` gives the memory back; `lazyFlush()` saves what was changed
#' in writable vectors. `lazyBudget()` tells how many bytes all lazy vectors of this store may hold in memory, and
#' changes it. `lazyUsage()` tells what of it is used.
#'
#' @param x A lazy vector.
#' @param from,to The part: elements from 1, both included.
#' @param bytes The new budget.
#' @return `is.lazy()`: `TRUE` or `FALSE`. `lazyStatus()`: bytes in all and in memory, chunks filled, given back and
#'   failed, bytes in the spill file, bytes of a chunk, and 1 if it is a file mapped in place. `lazyBudget()`: the
#'   budget. `lazyUsage()`: of all lazy vectors of this store: the budget; bytes in memory, at most so far, and pinned;
#'   chunks filled, given back and failed; how many processes use them; how many there are; the process that fills
#'   them. The others: `x`, invisibly.
#' @export
lazyStatus <- function(x) .Call(oc_lazy_status, x)
#' @rdname lazyStatus
#' @export
is.lazy <- function(x) .Call(oc_lazy_is, x)
#' @rdname lazyStatus
#' @export
lazyBudget <- function(bytes = NULL) .Call(oc_lazy_budget, bytes)
#' @rdname lazyStatus
#' @export
lazyUsage <- function() .Call(oc_lazy_usage)

lazy_range <- function(x, what, from, to) {
  .Call(oc_lazy_range, x, what, from, to)
  invisible(x)
}
#' @rdname lazyStatus
#' @export
lazyFill <- function(x, from = 1, to = length(x)) lazy_range(x, "fill", from, to)
#' @rdname lazyStatus
#' @export
lazyPrefetch <- function(x, from = 1, to = length(x)) lazy_range(x, "prefetch", from, to)
#' @rdname lazyStatus
#' @export
lazyRelease <- function(x, from = 1, to = length(x)) lazy_range(x, "release", from, to)
#' @rdname lazyStatus
#' @export
lazyFlush <- function(x, from = 1, to = length(x)) lazy_range(x, "flush", from, to)
#' @rdname lazyStatus
#' @export
lazyPin <- function(x, from = 1, to = length(x)) lazy_range(x, "pin", from, to)
#' @rdname lazyStatus
#' @export
lazyUnpin <- function(x, from = 1, to = length(x)) lazy_range(x, "unpin", from, to)
