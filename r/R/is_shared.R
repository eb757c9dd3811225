#' Is an object shared?
#'
#' @param x Any R object.
#' @param ... For methods.
#' @param depth 0: one logical for all of `x`. More: containers are answered element by element, so many levels deep.
#' @param showAttributes Whether to answer for attributes too, as attributes named `<name>Shared` of the answer.
#' @return With `depth = 0`, `TRUE` if `x` is shared or holds anything that is; else a list like `x`. A vector that was
#'   changed since it was shared is not shared any more, and neither is one whose memory is gone.
#' @examples
#' x <- share(list(A = 1:3, B = as.symbol("x")))
#' is.shared(x)
#' is.shared(x, depth = 1)
#' @export
setGeneric("is.shared", function(x, ..., depth = 0, showAttributes = FALSE) standardGeneric("is.shared"))

#' @rdname is.shared
#' @export
setMethod("is.shared", "ANY", function(x, ..., depth = 0, showAttributes = FALSE) {
  check_number(depth, "depth", "one number of 0 or more", least = 0)
  check_flag(showAttributes, "showAttributes")
  answer_shared(x, depth, showAttributes, list())
})

answer_shared <- function(x, depth, attributes, seen) {
  container <- is_container(x)
  answer <- if (container && depth > 0) {
    lapply(elements_of(x), answer_shared, depth = depth - 1, attributes = attributes, seen = c(seen, x))
  } else {
    holds_shared(x, seen)
  }
  if (attributes && !isS4(x)) {
    held <- attributes(x)
    for (a in setdiff(names(held), c("class", "names"))) {
      attr(answer, paste0(a, "Shared")) <- answer_shared(held[[a]], depth, FALSE, seen)
    }
  }
  answer
}

is_container <- function(x) {
  is.list(x) || (is.pairlist(x) && !is.null(x)) || (isS4(x) && !is.function(x)) ||
    (is.environment(x) && !is_system_environment(x))
}

elements_of <- function(x) {
  if (is.environment(x)) return(environment_elements(x))
  if (isS4(x)) {
    slots <- lapply(stats_names(slot_names(x)), function(s) attr(x, s, exact = TRUE))
    if (is.list(x)) slots <- c(slots, unclass(x))
    return(slots)
  }
  if (is.pairlist(x)) return(as.list(x))
  unclass(x)
}

stats_names <- function(x) structure(as.list(x), names = x)

# The bindings of an environment, without running active ones.
environment_elements <- function(x) {
  labels <- ls(x, all.names = TRUE)
  labels <- labels[!vapply(labels, bindingIsActive, NA, env = x)]
  mget(labels, envir = x)
}

holds_shared <- function(x, seen) {
  found <- .Call(oc_holds_shared, x)
  if (!is.na(found)) return(found)
  # There are environments in it.
  if (is.environment(x)) {
    if (is_system_environment(x) || any(vapply(seen, identical, NA, x))) return(FALSE)
    seen <- c(seen, x)
  }
  if (!is_container(x)) return(FALSE)
  for (item in elements_of(x)) if (holds_shared(item, seen)) return(TRUE)
  FALSE
}
