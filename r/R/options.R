package_options <- new.env(parent = emptyenv())

default_options <- list(
  mustWork = FALSE, sharedAttributes = TRUE, copyOnWrite = TRUE,
  sharedSubset = FALSE, sharedCopy = FALSE, minLength = 3L
)

check_option <- function(name, value) {
  if (name == "minLength") {
    check_number(value, "minLength", "one number that is not negative", least = 0)
    return(as.integer(min(value, .Machine$integer.max)))
  }
  check_flag(value, name)
}

current_options <- function() mget(names(default_options), envir = package_options)

# What was given to `...`: names that are asked for, and values that are set.
# `literal`: symbols stand for themselves; otherwise they are evaluated.
read_dots <- function(expressions, literal, envir) {
  labels <- names(expressions)
  if (is.null(labels)) labels <- rep("", length(expressions))
  asked <- character()
  set <- list()
  for (i in seq_along(expressions)) {
    item <- expressions[[i]]
    if (nzchar(labels[i])) {
      set[labels[i]] <- list(eval(item, envir))
    } else {
      name <- if (literal && is.symbol(item)) as.character(item) else eval(item, envir)
      if (!is.character(name)) stop("Give the names as symbols or strings.", call. = FALSE)
      asked <- c(asked, name)
    }
  }
  if (length(asked) && length(set)) {
    stop("Names to look up and values to set can't be mixed in one call.", call. = FALSE)
  }
  list(asked = asked, set = set)
}

one_or_list <- function(x) if (length(x) == 1L) x[[1L]] else x

#' The package's options
#'
#' Looks up or changes the defaults of [share()].
#'
#' * `mustWork` (`FALSE`): an error for objects that cannot be shared, instead of returning them as they are.
#' * `sharedAttributes` (`TRUE`): attributes are shared too.
#' * `copyOnWrite` (`TRUE`): see [share()].
#' * `sharedSubset` (`FALSE`): the subset `x[i]` of a shared vector is shared again.
#' * `sharedCopy` (`FALSE`): a duplicate of a shared vector is shared again.
#' * `minLength` (`3`): shorter vectors are not shared.
#'
#' @param ... Nothing to get all options; names, as symbols or strings, to get some; `name = value` to set.
#' @param literal If `FALSE`, symbols are variables that hold the names.
#' @return The options asked for (one value, or a list); when setting, the old values, invisibly.
#' @examples
#' sharedObjectPkgOptions()
#' sharedObjectPkgOptions(mustWork = TRUE)
#' sharedObjectPkgOptions("mustWork")
#' sharedObjectPkgOptions(mustWork = FALSE)
#' @export
sharedObjectPkgOptions <- function(..., literal = TRUE) {
  check_flag(literal, "literal")
  dots <- read_dots(as.list(substitute(list(...)))[-1L], literal, parent.frame())
  known <- names(default_options)
  unknown <- setdiff(c(dots$asked, names(dots$set)), known)
  if (length(unknown)) {
    warning("There is no option ", paste0("`", unknown, "`", collapse = ", "), "; there are ",
            paste(known, collapse = ", "), ".", call. = FALSE)
  }
  if (length(dots$set)) {
    dots$set <- dots$set[names(dots$set) %in% known]
    checked <- Map(check_option, names(dots$set), dots$set)
    old <- mget(names(checked), envir = package_options)
    list2env(checked, envir = package_options)
    return(invisible(one_or_list(old)))
  }
  if (length(dots$asked)) {
    asked <- dots$asked[dots$asked %in% known]
    return(one_or_list(mget(asked, envir = package_options)))
  }
  current_options()
}
