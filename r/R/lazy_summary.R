#' Summaries of lazy vectors
#'
#' `lazyTable()` counts values, as [table()] does of an ordinary vector; `unique()`, `quantile()`, `median()` and
#' `summary()` of a lazy vector are those of base R. All of them read block by block: only what they found is in memory
#' of this process. `quantile()` reads several times; its answer is exact (type 7, R's default).
#'
#' @param x A lazy vector.
#' @param useNA `"ifany"`: `NA` is counted, too.
#' @return `lazyTable()`: a one-dimensional [table()].
#' @examples
#' x <- lazySequence(0L, 1L, 1e6) %% 7L
#' lazyTable(x)
#' quantile(x, c(0.1, 0.9))
#' @export
lazyTable <- function(x, useNA = c("no", "ifany")) {
  useNA <- check_choice(useNA, "useNA", c("no", "ifany"))
  found <- lazyReduce(x, function(b) {
    values <- unique(b)
    list(values, as.double(tabulate(match(b, values), length(values))))
  }, function(a, b) {
    values <- unique(c(a[[1L]], b[[1L]]))
    counts <- numeric(length(values))
    for (part in list(a, b)) {
      at <- match(part[[1L]], values)
      counts[at] <- counts[at] + part[[2L]]
    }
    list(values, counts)
  })
  known <- !is.na(found[[1L]])
  order <- order(found[[1L]][known])
  counts <- found[[2L]][known][order]
  names <- as.character(found[[1L]][known][order])
  if (useNA == "ifany" && any(!known)) {
    counts <- c(counts, sum(found[[2L]][!known]))
    names <- c(names, NA)
  }
  if (all(counts <= .Machine$integer.max)) counts <- as.integer(counts)
  structure(array(counts, length(counts), stats::setNames(list(names), "")), class = "table")
}

#' @rdname lazyTable
#' @param incomparables,... As in base R.
#' @exportS3Method
unique.lazyVector <- function(x, incomparables = FALSE, ...) {
  if (!is.lazy(x)) return(unique(lazy_unclass(x), incomparables, ...))
  lazyReduce(x, function(b) unique(b, incomparables, ...), function(a, b) unique(c(a, b), incomparables, ...))
}

#' @rdname lazyTable
#' @param probs,na.rm,names,type As in [quantile()].
#' @importFrom stats quantile
#' @exportS3Method
quantile.lazyVector <- function(x, probs = seq(0, 1, 0.25), na.rm = FALSE, names = TRUE, type = 7, ...) {
  if (!is.lazy(x)) return(stats::quantile(lazy_unclass(x), probs, na.rm, names, type, ...))
  if (type != 7) stop("only type 7 streams: for others, quantile(as.vector(x), type = ", type, ")", call. = FALSE)
  empty <- stats::quantile(numeric(), probs, names = names)  # checks probs, and makes the names
  n <- lazyReduce(x, function(b) c(length(b), sum(is.na(b))), `+`)
  if (n[2L] > 0 && !na.rm) stop("missing values and NaN's not allowed if 'na.rm' is FALSE", call. = FALSE)
  n <- n[1L] - n[2L]
  if (n == 0) return(empty)
  index <- 1 + (n - 1) * probs
  low <- floor(index)
  asked <- sort(unique(c(low, ceiling(index))))
  asked <- asked[!is.na(asked)]
  values <- lazy_ranked(x, asked)
  at <- function(k) values[match(k, asked)]
  out <- at(low)
  high <- at(ceiling(index))
  between <- which(index > low & high != out)
  h <- (index - low)[between]
  out[between] <- (1 - h) * out[between] + h * high[between]
  names(out) <- names(empty)
  out
}

# The values that sorting would bring to these ranks. Counts in ever narrower ranges, until few enough are left to sort.
lazy_ranked <- function(x, ranks, most = 2^17) {
  ends <- lazyReduce(x, function(b) c(sum(b == -Inf, na.rm = TRUE), sum(b == Inf, na.rm = TRUE), sum(!is.na(b))), `+`)
  out <- numeric(length(ranks))
  out[ranks <= ends[1L]] <- -Inf
  out[ranks > ends[3L] - ends[2L]] <- Inf
  inner <- which(ranks > ends[1L] & ranks <= ends[3L] - ends[2L])
  if (length(inner)) out[inner] <- lazy_ranked_among(x, is.finite, ranks[inner] - ends[1L], most)
  out
}

# `among`: which elements of a block count.
lazy_ranked_among <- function(x, among, ranks, most) {
  found <- lazyReduce(x, function(b) {
    b <- b[among(b)]
    if (length(b)) c(length(b), min(b), max(b)) else c(0, Inf, -Inf)
  }, function(a, b) c(a[1L] + b[1L], min(a[2L], b[2L]), max(a[3L], b[3L])))
  low <- found[2L]
  high <- found[3L]
  if (low == high) return(rep(low, length(ranks)))
  if (found[1L] <= most) return(sort(as.double(lazyReduce(x, function(b) b[among(b)], c)))[ranks])
  bins <- 4096
  bin <- function(b) pmin(floor((b / 2 - low / 2) / (high / 2 - low / 2) * bins), bins - 1) + 1  # halves: no overflow
  before <- c(0, cumsum(lazyReduce(x, function(b) as.double(tabulate(bin(b[among(b)]), bins)), `+`)))
  out <- numeric(length(ranks))
  where <- findInterval(ranks - 1, before)
  for (k in unique(where)) {
    here <- where == k
    out[here] <- lazy_ranked_among(x, function(b) {
      inside <- among(b)
      inside[inside] <- bin(b[inside]) == k
      inside
    }, ranks[here] - before[k], most)
  }
  out
}

#' @importFrom stats median
#' @exportS3Method
median.lazyVector <- function(x, na.rm = FALSE, ...) {
  if (!is.lazy(x)) return(stats::median(lazy_unclass(x), na.rm, ...))
  if (!na.rm && anyNA(x)) return(lazy_empty(lazy_node(x))[NA_integer_])
  n <- lazyReduce(x, function(b) sum(!is.na(b)), `+`)
  if (n == 0) return(lazy_empty(lazy_node(x))[NA_integer_])
  half <- (n + 1) %/% 2
  middle <- lazy_ranked(x, unique(c(half, n + 1 - half)))
  whole <- typeof(x) %in% c("integer", "logical") && length(middle) == 1L
  if (whole) as.vector(middle, typeof(x)) else mean(middle)
}

#' @exportS3Method
anyNA.lazyVector <- function(x, recursive = FALSE) {
  node <- lazy_node(x)
  n <- lazy_length(node)
  for (first in if (n > 0) seq(1, n, by = 131072))
    if (anyNA(lazy_part(node, first, min(n, first + 131071)))) return(TRUE)
  FALSE
}

# diff.default() gives its ordinary result the class of x.
#' @exportS3Method
diff.lazyVector <- function(x, lag = 1L, differences = 1L, ...) {
  if (!is.lazy(x) || !is.null(dim(x))) {
    rows <- dim(x)
    x <- as.vector(x)
    dim(x) <- rows
    return(diff(x, lag, differences, ...))
  }
  for (number in list(lag, differences))
    if (length(number) != 1L || is.na(number) || number < 1L)
      stop("'lag' and 'differences' must be integers >= 1", call. = FALSE)
  for (k in seq_len(differences)) {
    n <- length(x)
    if (lag >= n) return(lazy_empty(lazy_node(x)))
    x <- x[(1 + lag):n] - x[1:(n - lag)]
  }
  x
}

#' @exportS3Method
summary.lazyVector <- function(object, ..., digits) {
  if (!is.lazy(object) || !is.numeric(object)) return(summary.default(as.vector(object), ...))
  missing <- lazyReduce(object, function(b) sum(is.na(b)), `+`)
  five <- unname(quantile(object, na.rm = TRUE))
  out <- c(five[1:3], mean(object, na.rm = TRUE), five[4:5])
  names(out) <- c("Min.", "1st Qu.", "Median", "Mean", "3rd Qu.", "Max.")
  # R 4.6 changed the name.
  if (missing > 0) out <- c(out, stats::setNames(missing, names(summary(c(0, NA)))[7L]))
  class(out) <- c("summaryDefault", "table")
  out
}
