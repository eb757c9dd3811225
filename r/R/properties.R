#' Properties of a shared object
#'
#' * `dataId`: the id of its memory; with `/` and a number if it is a part of a larger object.
#' * `length`, `totalSize` (bytes of its data), `dataType` (R's type number).
#' * `ownData`: whether this process made it.
#' * `copyOnWrite`, `sharedSubset`, `sharedCopy`: may be changed; see [share()].
#' * for character vectors `unitSize` (bytes of a code) and `uniqueChar` (different values), if values repeat.
#'
#' @param x A shared vector; lists are answered element by element.
#' @param ... Nothing to get all; names, as symbols or strings, to get some; `name = value` to set.
#' @param literal If `FALSE`, symbols are variables that hold the names.
#' @param value `TRUE` or `FALSE`.
#' @return The properties (one value or a list), `NULL` if `x` is not shared; setters return the old value,
#'   invisibly, and it is an error if `x` is not shared.
#' @examples
#' x <- share(1:9)
#' sharedObjectProperties(x)
#' getCopyOnWrite(x)
#' setSharedCopy(x, TRUE)
#' getSharedCopy(x)
#' @export
setGeneric("sharedObjectProperties", function(x, ..., literal = TRUE) standardGeneric("sharedObjectProperties"))

settable_properties <- c("copyOnWrite", "sharedSubset", "sharedCopy")

#' @rdname sharedObjectProperties
#' @export
setMethod("sharedObjectProperties", "ANY", function(x, ..., literal = TRUE) {
  check_flag(literal, "literal")
  dots <- read_dots(as.list(substitute(list(...)))[-1L], literal, parent.frame())
  with_properties(x, dots)
})

with_properties <- function(x, dots) {
  if (is_container(x)) {
    answer <- lapply(elements_of(x), with_properties, dots = dots)
    return(if (length(dots$set)) invisible(answer) else answer)
  }
  all <- if (is.atomic(x)) .Call(oc_properties, x)
  if (is.null(all)) return(NULL)
  if (is.character(x)) {
    all <- all[c("dataId", "length", "unitSize", "totalSize", "dataType", "uniqueChar", "ownData", "copyOnWrite",
                 "sharedSubset", "sharedCopy")]
  } else {
    all <- all[c("dataId", "length", "totalSize", "dataType", "ownData", settable_properties)]
  }
  if (length(dots$set)) {
    bad <- setdiff(names(dots$set), settable_properties)
    if (length(bad)) {
      stop("The property `", bad[1L], "` can't be set; ", paste(settable_properties, collapse = ", "), " can.",
           call. = FALSE)
    }
    old <- all[names(dots$set)]
    for (n in names(dots$set)) .Call(oc_set_flag, x, n, check_option(n, dots$set[[n]]))
    return(invisible(one_or_list(old)))
  }
  if (!length(dots$asked)) return(all)
  bad <- setdiff(dots$asked, names(all))
  if (length(bad)) {
    stop("There is no property `", bad[1L], "`; there are ", paste(names(all), collapse = ", "), ".", call. = FALSE)
  }
  one_or_list(all[dots$asked])
}

get_property <- function(x, name) with_properties(x, list(asked = name, set = list()))

set_property <- function(x, name, value) {
  if (!is.logical(value) || length(value) != 1L || is.na(value)) {
    stop("`value`, the new ", name, ", must be TRUE or FALSE.", call. = FALSE)
  }
  # Or somebody would go on believing that it is set.
  if (!is.shared(x)) stop("`x` is not shared, so its ", name, " can't be set: share() it first.", call. = FALSE)
  invisible(with_properties(x, list(asked = character(), set = structure(list(value), names = name))))
}

#' @rdname sharedObjectProperties
#' @export
getCopyOnWrite <- function(x) get_property(x, "copyOnWrite")
#' @rdname sharedObjectProperties
#' @export
getSharedSubset <- function(x) get_property(x, "sharedSubset")
#' @rdname sharedObjectProperties
#' @export
getSharedCopy <- function(x) get_property(x, "sharedCopy")
#' @rdname sharedObjectProperties
#' @export
setCopyOnWrite <- function(x, value) set_property(x, "copyOnWrite", value)
#' @rdname sharedObjectProperties
#' @export
setSharedSubset <- function(x, value) set_property(x, "sharedSubset", value)
#' @rdname sharedObjectProperties
#' @export
setSharedCopy <- function(x, value) set_property(x, "sharedCopy", value)
