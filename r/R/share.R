#' Share an object
#'
#' Puts one copy of an object into memory that all processes of this user can use in place, and returns an object that
#' looks and behaves like the original. Send it to parallel workers as usual: only a short handle travels, and the
#' workers use the same memory. The memory is given back when the last process lets go of it, also when processes are
#' killed.
#'
#' Vectors of all basic types are shared, with their attributes; lists, pairlists, data frames and S4 objects element
#' by element, all in one region; environments (and R6 objects) in place: each binding is replaced by its shared
#' version. What has no elements to share (symbols, functions, external pointers) is passed through.
#'
#' A list of 64 elements or more is shared as a whole from R 4.3 on, however short its elements: it travels as one handle,
#' and an element is made when it is asked for. Before R 4.3 each element is shared by itself; those shorter than
#' `minLength`, a million scalars for instance, stay as they are and travel as data.
#'
#' # Writing
#' With `copyOnWrite = TRUE` a shared vector is as safe as any R value: `y <- x; y[1] <- 0` changes `y` alone, and
#' costs the pages written, not the size of `x`. With `copyOnWrite = FALSE` assignments write to the shared memory, and
#' every process sees them: `x[i] <- value` on any variable that refers to the vector. Arithmetic never does (`-x` is a
#' new vector). A value of a richer type (a double into an integer vector) makes R build a new, unshared vector.
#' Character vectors and lists are always copy-on-write.
#'
#' @param x Any R object.
#' @param ... For methods: packages may define methods of this S4 generic for their classes.
#' @param copyOnWrite `FALSE`: every process sees what any process writes.
#' @param sharedSubset `TRUE`: `x[i]` is shared again.
#' @param sharedCopy `TRUE`: the copy that R makes before a change is shared again (numeric types).
#' @param sharedAttributes `FALSE`: attributes stay as they are and travel with the handle.
#' @param mustWork `TRUE`: an error if `x` holds anything that cannot be shared.
#' @param minLength Vectors with fewer elements are not shared.
#' @param name A name by which other processes can find the object: `attachShared(name = )`. It is an error if another
#'   object has it, unless `replace`.
#' @param replace Whether `name` may be taken from another object (which stays until its holders let go).
#' @param path A file to hold the object instead of memory: it stays until the file is deleted.
#' @return The shared object; `x` itself if there is nothing to share in it.
#' @seealso [is.shared()], [unshare()], [attachShared()], [sharedObjectPkgOptions()]
#' @examples
#' A1 <- matrix(1:9, 3, 3)
#' A2 <- share(A1)
#' identical(A1, A2)
#' is.shared(A2)
#'
#' x1 <- share(1:4)
#' x2 <- x1
#' x2[1] <- 10L
#' x1
#' @export
setGeneric("share", function(x, ...) standardGeneric("share"))

#' @rdname share
#' @export
setMethod("share", "ANY", function(x, ..., copyOnWrite, sharedSubset, sharedCopy, sharedAttributes, mustWork,
                                   minLength, name = NULL, replace = FALSE, path = NULL) {
  reject_dots(...)
  settings <- current_options()
  check_flag(replace, "replace")
  if (!is.null(name)) check_name(name)
  if (!is.null(path)) path <- check_path(path)
  given <- list()
  if (!missing(copyOnWrite)) given$copyOnWrite <- check_option("copyOnWrite", copyOnWrite)
  if (!missing(sharedSubset)) given$sharedSubset <- check_option("sharedSubset", sharedSubset)
  if (!missing(sharedCopy)) given$sharedCopy <- check_option("sharedCopy", sharedCopy)
  if (!missing(sharedAttributes)) given$sharedAttributes <- check_option("sharedAttributes", sharedAttributes)
  if (!missing(mustWork)) given$mustWork <- check_option("mustWork", mustWork)
  if (!missing(minLength)) given$minLength <- check_option("minLength", minLength)
  settings[names(given)] <- given
  named <- !is.null(name) || !is.null(path)
  if (!named) {
    # What is shared already is not shared twice.
    settable <- given[names(given) %in% c("copyOnWrite", "sharedSubset", "sharedCopy")]
    # Nor is there anything to do for what is too short to be shared.
    nothing_to_do <- !length(settable) || !is.shared(x)
    if (nothing_to_do && !settings$mustWork && .Call(oc_fully_shared, x, settings$minLength)) return(x)
    if (is.atomic(x) && length(x) < settings$minLength) return(x)
  } else if (is.atomic(x) && !is.null(x)) {
    settings$minLength <- 0L
  }
  if (!can_hold_shared(x)) {
    if (settings$mustWork) stop(cannot_share(class(x)))
    if (named) {
      stop("An object of class <", class(x)[1L], "> cannot be given a name: it cannot be shared.", call. = FALSE)
    }
    return(x)
  }
  settings$name <- name
  settings$replace <- replace
  settings$path <- if (is.null(path)) NULL else normalizePath(path, mustWork = FALSE)
  settings$progress <- progress_display()
  .Call(oc_share, x, settings)
})

cannot_share <- function(classes) {
  onecopy_error(
    "cannot_share",
    "The object of the class <", classes[1L], "> cannot be shared.\n",
    "To suppress this error and return the same object,\n",
    "provide `mustWork = FALSE` as a function argument\n",
    "or change its default value in the package settings\n"
  )
}

reject_dots <- function(...) {
  if (!...length()) return(invisible())
  labels <- names(list(...))
  labels <- labels[nzchar(labels)]
  stop("share() has no argument ", if (length(labels)) paste0("`", labels, "`", collapse = ", ") else "without a name",
       "; see ?share for the ones it has.", call. = FALSE)
}

# Whether there can be anything to share in x at all.
can_hold_shared <- function(x) {
  if (is.environment(x)) return(!is_system_environment(x))
  if (is.expression(x)) return(FALSE)
  (is.atomic(x) && !is.null(x)) || is.list(x) || is.pairlist(x) && !is.null(x) || (isS4(x) && !is.function(x))
}

is_system_environment <- function(x) {
  identical(x, globalenv()) || identical(x, baseenv()) || identical(x, emptyenv()) || isNamespace(x) ||
    grepl("^package:", environmentName(x))
}

# Slots that are attributes; `.Data` is the object itself.
slot_names <- function(x) setdiff(methods::slotNames(x), c(".Data", "class"))

# Called while a list is written: whether the class of an S4 element has a share() of its own.
hasShareMethod <- function(x) {
  method <- methods::selectMethod("share", class(x), optional = TRUE)
  !is.null(method) && !identical(as.character(method@defined), "ANY")
}

progress_display <- function() {
  if (!interactive()) return(NULL)
  shown <- FALSE
  function(done, total) {
    if (total < 2e9) return(invisible())
    shown <<- TRUE
    cat(sprintf("\rsharing: %.1f of %.1f GB", done / 1e9, total / 1e9), file = stderr())
    if (done >= total) cat("\n", file = stderr())
  }
}

#' A shared vector from scratch
#'
#' Makes a shared vector of zeros, for results that workers write.
#'
#' @param mode One of `"raw"`, `"logical"`, `"integer"`, `"numeric"`, `"complex"`.
#' @param length Number of elements.
#' @param attrib A list of attributes, such as `list(dim = c(2L, 3L))`.
#' @param ... `copyOnWrite`, `sharedSubset`, `sharedCopy`, `name`, `replace`: as in [share()].
#' @return A shared vector. Its memory is mutable: `setCopyOnWrite(x, FALSE)` lets assignments write to it.
#' @examples
#' SharedObject(mode = "integer", length = 6)
#' SharedObject(mode = "integer", length = 6, attrib = list(dim = c(2L, 3L)))
#' @export
SharedObject <- function(mode = c("raw", "logical", "integer", "numeric", "complex"), length, attrib = list(), ...) {
  if (missing(length)) stop("`length` is missing: give the number of elements.", call. = FALSE)
  mode <- check_choice(mode, "mode", c("raw", "logical", "integer", "numeric", "complex"))
  if (!is.list(attrib) || (base::length(attrib) && is.null(names(attrib)))) {
    stop("`attrib` must be a named list.", call. = FALSE)
  }
  settings <- current_options()
  given <- list(...)
  allowed <- c("copyOnWrite", "sharedSubset", "sharedCopy", "name", "replace", "keep")
  check_names(given, allowed, "SharedObject")
  for (n in setdiff(names(given), "name")) check_flag(given[[n]], n)
  if (!is.null(given$name)) check_name(given$name)
  settings[names(given)] <- given
  dims <- attrib$dim
  if (!is.null(dims)) dims <- as.integer(dims)
  x <- .Call(oc_empty, mode, length, dims, settings)
  for (a in setdiff(names(attrib), "dim")) attr(x, a) <- attrib[[a]]
  if (base::length(dims) == 1L) dim(x) <- dims
  x
}
