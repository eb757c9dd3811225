# Subsets of lazy vectors: short ones are ordinary vectors, long ones are lazy again.
#
# Which positions a lazy subset has is an index: positive whole numbers or NA (lazy, compact or ordinary), or a list
# that says how to compute them: so x[-1] and m[, 2] of a billion elements need no vector of positions.

#' @exportS3Method
`[.lazyVector` <- function(x, i, ..., drop = TRUE) {
  # One element, in loops.
  if (nargs() == 2L && !missing(i) && length(i) == 1L && is.numeric(i) && !is.na(i) && i >= 1 && i <= length(x))
    return(.subset2(x, i))
  if (!is.lazy(x)) {
    class(x) <- NULL
    return(NextMethod())
  }
  count <- nargs() - (!missing(drop)) - 1L
  if (count > 1L) {
    at <- lapply(seq_len(count), function(k) TRUE)
    if (!missing(i)) at[[1L]] <- i
    for (k in seq_len(count - 1L))
      if (!eval(call("missing", as.name(paste0("..", k))))) at[[k + 1L]] <- ...elt(k)
    return(lazy_block(x, at, drop))
  }
  if (count == 0L || missing(i)) return(x)
  if (is.factor(i)) i <- as.integer(i)
  n <- length(x)
  if (is.matrix(i) && !is.null(dim(x)) && ncol(i) == length(dim(x)) && is.numeric(i)) i <- lazy_rows(i, dim(x))
  if (is.logical(i) && n > lazy_long) return(if (length(i) == n) lazy_filter(x, i) else lazy_cycled(x, i))
  if (!is.lazy(i) || length(i) <= lazy_long) i <- as.vector(i)
  least <- if (is.numeric(i) && length(i)) lazy_least(i) else 0
  if (least < 0 && n - length(i) > lazy_long) return(lazy_without(x, i))
  if (least < 1 || length(i) <= lazy_long) return(.subset(x, i))
  lazy_expression("[", list(lazy_node(x)), length(i), extra = list(index = i))
}

lazy_least <- function(i) suppressWarnings(if (is.lazy(i)) min(i, na.rm = TRUE) else base::min(i, na.rm = TRUE))

# x[keep], as long as x: what is selected, in this process.
lazy_filter <- function(x, keep) {
  node <- lazy_node(x)
  keep <- lazy_node(keep)
  n <- lazy_length(node)
  do.call(c, lapply(seq(1, n, by = 131072), function(first) {
    last <- min(n, first + 131071)
    lazy_part(node, first, last)[lazy_part(keep, first, last)]
  }))
}

# x[c(TRUE, FALSE)]: a pattern that is recycled. A longer one than x asks for elements that are not there.
lazy_cycled <- function(x, pattern) {
  pattern <- as.vector(pattern)
  n <- max(length(x), length(pattern))
  each <- which(pattern | is.na(pattern))
  if (!length(pattern) || !length(each)) return(lazy_empty(lazy_node(x)))
  rest <- n %% length(pattern)
  count <- n %/% length(pattern) * length(each) + sum(each <= rest)
  index <- list(kind = "cycled", each = each, missing = is.na(pattern[each]), by = length(pattern))
  lazy_expression("[", list(lazy_node(x)), count, extra = list(index = index))
}

# x[-i]
lazy_without <- function(x, i) {
  if (anyNA(i)) stop("can't mix NAs with negative subscripts", call. = FALSE)
  if (any(i > 0)) stop("can't mix positive and negative subscripts", call. = FALSE)
  gone <- sort(unique(trunc(-as.double(i))))
  gone <- gone[gone >= 1 & gone <= length(x)]
  index <- list(kind = "without", before = gone - seq_along(gone) + 1)
  lazy_expression("[", list(lazy_node(x)), length(x) - length(gone), extra = list(index = index))
}

# Rows of a matrix of subscripts as positions; rows with a 0 are left out, as R does.
lazy_rows <- function(i, dims) {
  storage.mode(i) <- "double"
  i <- trunc(i)
  if (any(i < 0, na.rm = TRUE)) stop("negative values are not allowed in a matrix subscript", call. = FALSE)
  if (any(i > rep(dims, each = nrow(i)), na.rm = TRUE)) stop("subscript out of bounds", call. = FALSE)
  i <- i[is.na(rowSums(i)) | rowSums(i == 0) == 0, , drop = FALSE]
  as.vector(1 + (i - 1) %*% c(1, cumprod(as.double(dims))[-length(dims)]))
}

# m[i, j] and its kin
lazy_block <- function(x, subscripts, drop) {
  dims <- dim(x)
  if (length(dims) != length(subscripts)) stop("incorrect number of dimensions", call. = FALSE)
  at <- Map(lazy_along, dims, subscripts, if (is.null(dimnames(x))) list(NULL) else dimnames(x))
  counts <- lengths(at)
  total <- prod(counts)
  names <- if (!is.null(dimnames(x))) Map(function(all, k) all[k], dimnames(x), at)
  index <- list(kind = "block", at = at, dim = as.double(dims))
  if (total <= lazy_long) {
    out <- array(lazy_pick(lazy_node(x), index, 1, total), counts, names)
    return(if (drop) drop(out) else out)
  }
  kept <- if (drop) which(counts > 1L) else seq_along(counts)
  out <- lazy_expression("[", list(lazy_node(x)), total, extra = list(index = index))
  if (length(kept) > 1L) dim(out) <- counts[kept]
  out
}

lazy_along <- function(size, i, names) {
  if (isTRUE(i)) return(seq_len(size))
  if (is.factor(i)) i <- as.integer(i)
  i <- as.vector(i)
  if (is.character(i)) i <- match(i, names, nomatch = size + 1)
  if (is.logical(i) && length(i) > size) stop("(subscript) logical subscript too long", call. = FALSE)
  if (is.numeric(i) && any(i >= size + 1, na.rm = TRUE)) stop("subscript out of bounds", call. = FALSE)
  seq_len(size)[i]
}

# Positions first to last of an index.
lazy_positions <- function(index, first, last) {
  if (!is.list(index) || inherits(index, "lazy_node")) return(lazy_part(lazy_node(index), first, last))
  p <- if (last < first) numeric() else seq(as.double(first), as.double(last))
  switch(index$kind,
    reversed = index$n - p + 1,
    without = p + findInterval(p, index$before),
    cycled = {
      k <- (p - 1) %% length(index$each) + 1
      out <- (p - 1) %/% length(index$each) * index$by + index$each[k]
      out[index$missing[k]] <- NA
      out
    },
    block = {
      p <- p - 1
      out <- 1
      stride <- 1
      for (k in seq_along(index$at)) {
        each <- index$at[[k]]
        out <- out + (each[p %% length(each) + 1] - 1) * stride
        p <- p %/% length(each)
        stride <- stride * index$dim[k]
      }
      out
    })
}

# Elements of a node at positions first to last of an index. Close positions are read at once.
lazy_pick <- function(arg, index, first, last) {
  at <- lazy_positions(index, first, last)
  n <- lazy_length(arg)
  out <- lazy_empty(arg)[rep(NA_integer_, length(at))]
  good <- which(!is.na(at) & at >= 1 & at < n + 1)
  if (!length(good)) return(out)
  at <- floor(at)
  low <- min(at[good])
  high <- max(at[good])
  if (high - low < 4 * length(good) + 8192) {  # at once
    out[good] <- lazy_part(arg, low, high)[at[good] - low + 1]
    return(out)
  }
  for (group in split(good, floor((at[good] - 1) / 8192))) {
    low <- min(at[group])
    out[group] <- lazy_part(arg, low, max(at[group]))[at[group] - low + 1]
  }
  out
}
