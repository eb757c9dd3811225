#' Arithmetic on lazy vectors
#'
#' `+ - * / ^ %% %/%`, comparisons, `& | !`, `is.na()`, mathematical functions of one element, `round()`, `signif()`,
#' `log()`,
#' `as.integer()` and its kin, `c()`, `rev()` and `x[i]` with more than 65,536 positions give lazy vectors: nothing is
#' computed before it is touched, and an expression of any depth stores no intermediate result. R itself computes each
#' part, in the process that the pager keeps for functions, so types, recycling, `NA` and overflow are R's own.
#'
#' `sum()`, `prod()`, `range()`, `min()`, `max()`, `any()`, `all()`, `mean()`, and `lazyReduce()` read block by block
#' in this process:
#' the intermediate result of `sum(x + y > 0)` is never in memory. Sums of doubles are added block by block, so the
#' last
#' digits may differ from those of `sum()` over an ordinary vector. `cumsum()` and its kin compute an ordinary vector.
#' `x[i]` with a lazy logical `i` gives an ordinary vector of what was selected.
#'
#' @param x A lazy vector.
#' @param map A function of one ordinary vector: a block of elements.
#' @param reduce A function of two results of `map`, giving one.
#' @param block Elements in a block.
#' @return `lazyReduce()`: what `reduce` makes of all blocks, first to last.
#' @examples
#' x <- lazySequence(0, 1, 1e7)
#' sum(x * 2 > 1e7)
#' lazyReduce(x, function(b) tabulate(b %% 3 + 1, 3), `+`)
#' @name lazyArithmetic
#' @export
lazyReduce <- function(x, map, reduce, block = 131072) {
  check_function(map, "map", "block")
  check_function(reduce, "reduce", "a, b")
  check_number(block, "block", "a number of elements of at least 1", least = 1)
  if (!is.lazy(x) && !is.atomic(x)) wrong_argument("x", "a vector")
  node <- lazy_node(x)
  n <- lazy_length(node)
  if (n == 0) return(map(lazy_empty(node)))
  result <- NULL
  for (first in seq(1, n, by = block)) {
    part <- map(lazy_part(node, first, min(n, first + block - 1)))
    result <- if (first == 1) part else reduce(result, part)
  }
  result
}

lazy_long <- 65536

# A node is a lazy vector without attributes, an ordinary vector, or a list of class lazy_node: op, args, length, extra.
lazy_node <- function(x) {
  if (!is.lazy(x)) return(as.vector(lazy_unclass(x)))
  kept <- .Call(oc_lazy_kept, x)
  if (inherits(kept, "lazy_node")) kept else .Call(oc_lazy_bare, x)
}
# Functions of base R keep the class of a lazy vector for the ordinary one that they have computed: ifelse() does. What
# a method gets may be such a vector.
lazy_unclass <- function(x) if (inherits(x, "lazyVector")) unclass(x) else x
lazy_length <- function(node) if (inherits(node, "lazy_node")) node$length else length(node)

# An empty vector of the node's type.
lazy_empty <- function(node) if (inherits(node, "lazy_node")) vector(node$mode, 0L) else vector(typeof(node), 0L)

lazy_expression <- function(op, args, length, attributes = NULL, extra = list()) {
  node <- structure(list(op = op, args = args, length = length, extra = extra, mode = NULL), class = "lazy_node")
  # Of one element each: base R lets operators that it does not know pass when there is nothing to compute.
  node$mode <- typeof(suppressWarnings(lazy_apply(node, lapply(args, function(arg) vector(typeof(lazy_empty(arg)), 1L)))))
  if (!node$mode %in% c("logical", "integer", "double", "complex", "raw", "character"))
    stop("lazy vectors can't be combined with a ", node$mode, " vector", call. = FALSE)
  made <- lazy_program(if (node$mode == "double") "numeric" else node$mode, length, list(node = node), node, 65536, 60,
                       FALSE, paste0("the expression ", op), width = lazy_width(node))
  if (!is.null(attributes$dim)) dim(made) <- attributes$dim
  made
}

# Bytes that the strings of a node have at most: as.character() makes no longer ones of numbers.
lazy_width <- function(node) {
  if (inherits(node, "lazy_node")) {
    if (node$mode != "character") return(52)
    return(max(4, vapply(node$args, lazy_width, 1)))
  }
  if (!is.character(node)) return(52)
  if (is.lazy(node)) return(.Call(oc_lazy_width, node))
  max(4, nchar(node, "bytes", keepNA = FALSE))
}

lazy_apply <- function(node, values) switch(node$op,
  `[` = values[[1L]], c = do.call(c, values), do.call(node$op, c(values, node$extra)))

# Elements first to last of a node, as an ordinary vector.
lazy_part <- function(node, first, last) {
  if (!inherits(node, "lazy_node")) {
    if (is.lazy(node)) return(.Call(oc_lazy_read, node, first, last))
    return(node[first:last])
  }
  if (node$op == "[") return(lazy_pick(node$args[[1L]], node$extra$index, first, last))
  if (node$op == "c") return(lazy_joined(node, first, last))
  suppressWarnings(lazy_apply(node, lapply(node$args, lazy_recycled, first, last)))
}

lazy_recycled <- function(arg, first, last) {
  n <- lazy_length(arg)
  if (n == 1) return(lazy_part(arg, 1, 1))
  if (last <= n) return(lazy_part(arg, first, last))
  parts <- list()
  while (first <= last) {
    from <- (first - 1) %% n + 1
    to <- min(n, from + last - first)
    parts[[length(parts) + 1L]] <- lazy_part(arg, from, to)
    first <- first + to - from + 1
  }
  do.call(c, parts)
}

# Positions in the result that come from each argument of c().
lazy_joined <- function(node, first, last) {
  parts <- list(lazy_empty(node))
  before <- 0
  for (arg in node$args) {
    n <- lazy_length(arg)
    from <- max(first, before + 1)
    to <- min(last, before + n)
    if (from <= to) parts[[length(parts) + 1L]] <- lazy_part(arg, from - before, to - before)
    before <- before + n
  }
  do.call(c, parts)
}

#' @exportS3Method
Ops.lazyVector <- function(e1, e2) {
  args <- if (missing(e2)) list(e1) else list(e1, e2)
  args <- lapply(args, function(x) if (is.lazy(x)) x else lazy_unclass(x))
  if (!any(vapply(args, is.lazy, NA))) return(do.call(.Generic, args))
  for (arg in args)
    if (!is.atomic(arg) || is.null(arg) || (is.object(arg) && !is.lazy(arg)))
      stop("lazy vectors can't be combined with ", class(arg)[1L], call. = FALSE)
  lengths <- vapply(args, length, 1)
  n <- if (any(lengths == 0)) 0 else max(lengths)
  if (n > 0 && any(n %% lengths != 0))
    warning("longer object length is not a multiple of shorter object length", call. = FALSE)
  dims <- Filter(Negate(is.null), lapply(args, dim))
  if (length(dims) == 2L && !identical(dims[[1L]], dims[[2L]])) stop("non-conformable arrays", call. = FALSE)
  lazy_expression(.Generic, lapply(args, lazy_node), n, list(dim = if (length(dims)) dims[[1L]]))
}

#' @exportS3Method
Math.lazyVector <- function(x, ...) {
  if (!is.lazy(x)) return(get(.Generic, baseenv())(lazy_unclass(x), ...))
  if (startsWith(.Generic, "cum")) return(get(.Generic, baseenv())(as.vector(x)))
  lazy_expression(.Generic, list(lazy_node(x)), length(x), list(dim = dim(x)), list(...))
}

#' @exportS3Method
Summary.lazyVector <- function(..., na.rm = FALSE) {
  f <- get(.Generic, baseenv())
  parts <- lapply(list(...), function(x) {
    if (!is.lazy(x)) return(f(lazy_unclass(x), na.rm = na.rm))
    whole <- .Generic == "sum" && typeof(lazy_empty(lazy_node(x))) %in% c("integer", "logical")
    # Counts of whole numbers are added as doubles, which hold them exactly, as R does in 64 bits.
    map <- if (whole) function(b) sum(as.double(b), na.rm = na.rm)
           else function(b) if (length(b)) suppressWarnings(f(b, na.rm = na.rm)) else f(b, na.rm = na.rm)
    total <- lazyReduce(x, map, function(a, b) f(a, b))
    if (!whole) return(total)
    if (!is.na(total) && abs(total) > .Machine$integer.max) {
      warning("integer overflow - use sum(as.numeric(.))", call. = FALSE)
      return(NA_integer_)
    }
    as.integer(total)
  })
  if (length(parts) == 1L) parts[[1L]] else do.call(f, c(parts, list(na.rm = na.rm)))
}

#' @exportS3Method
mean.lazyVector <- function(x, ..., na.rm = FALSE) {
  if (!is.lazy(x)) return(mean(lazy_unclass(x), ..., na.rm = na.rm))
  both <- lazyReduce(x, function(b) {
    if (na.rm) b <- b[!is.na(b)]
    list(if (is.complex(b)) sum(b) else sum(as.double(b)), length(b))
  }, function(a, b) list(a[[1L]] + b[[1L]], a[[2L]] + b[[2L]]))
  both[[1L]] / both[[2L]]
}

#' @exportS3Method
c.lazyVector <- function(...) {
  if (!any(vapply(list(...), is.lazy, NA))) return(do.call(c, lapply(list(...), lazy_unclass)))
  args <- lapply(unname(list(...)), lazy_node)
  lazy_expression("c", args, sum(vapply(args, lazy_length, 1)))
}

#' @exportS3Method
rev.lazyVector <- function(x) {
  if (!is.lazy(x)) return(rev(lazy_unclass(x)))
  if (length(x) == 0) return(x)
  n <- length(x)
  lazy_expression("[", list(lazy_node(x)), n, extra = list(index = list(kind = "reversed", n = n)))
}

lazy_cast <- function(op) function(x, ...) {
  if (!is.lazy(x)) return(get(op, baseenv())(lazy_unclass(x), ...))
  lazy_expression(op, list(lazy_node(x)), length(x))
}
#' @exportS3Method
as.integer.lazyVector <- lazy_cast("as.integer")
#' @exportS3Method
as.double.lazyVector <- lazy_cast("as.double")
#' @exportS3Method
as.logical.lazyVector <- lazy_cast("as.logical")
#' @exportS3Method
as.complex.lazyVector <- lazy_cast("as.complex")
#' @exportS3Method
as.character.lazyVector <- function(x, ...)
  if (is.lazy(x) && is.character(x)) x else lazy_cast("as.character")(x, ...)
#' @exportS3Method
is.na.lazyVector <- lazy_cast("is.na")

#' @exportS3Method
as.vector.lazyVector <- function(x, mode = "any") {
  if (!is.lazy(x)) return(as.vector(lazy_unclass(x), mode))
  all <- .Call(oc_lazy_read, x, 1, length(x))
  if (mode == "any") all else as.vector(all, mode)
}

#' @exportS3Method
print.lazyVector <- function(x, ...) {
  if (!is.lazy(x)) return(print(lazy_unclass(x), ...))
  n <- length(x)
  cat(sprintf("<lazy %s of %s elements%s>\n", typeof(x), format(n, big.mark = ",", scientific = FALSE),
              if (is.null(dim(x))) "" else paste0(", ", paste(dim(x), collapse = " x "))))
  if (n > 0) print(.Call(oc_lazy_read, x, 1, min(n, 10)))
  if (n > 10) cat("...\n")
  invisible(x)
}
