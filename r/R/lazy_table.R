# What the sources of tables have in common: a file that must stay what it was, a cache, columns as a data frame.

lazy_file <- function(path) {
  path <- check_path(path)
  seen <- file.info(path, extra_cols = FALSE)
  if (is.na(seen$size) || seen$isdir)
    wrong_argument("path", paste0("a file; there is no such file: ", if (nchar(path, "bytes") > 200) "its name is too long" else path))
  list(path = normalizePath(path), size = seen$size, changed = as.numeric(seen$mtime))
}

lazy_same_file <- function(file) {
  seen <- file.info(file$path, extra_cols = FALSE)
  if (is.na(seen$size)) stop("can't read ", file$path, ": it is gone")
  if (seen$size != file$size || as.numeric(seen$mtime) != file$changed)
    stop(file$path, " was changed after it was scanned: make the lazy columns again")
}

lazy_bytes <- function(file, from, to) {
  opened <- file(file$path, "rb")
  on.exit(close(opened))
  seek(opened, from)
  bytes <- readBin(opened, "raw", to - from)
  if (length(bytes) != to - from) stop(file$path, " is shorter than when it was scanned")
  bytes
}

# Pieces that this process has read last, up to so many bytes: columns are filled piece after piece.
lazy_recent <- new.env()
lazy_recent$limit <- 64 * 2^20

lazy_cached <- function(key, make) {
  kept <- lazy_recent$kept
  if (is.null(kept[[key]])) {
    made <- make()
    kept[[key]] <- list(value = made, size = as.numeric(utils::object.size(made)))
    newer <- rev(cumsum(rev(vapply(kept, function(piece) piece$size, 1))))
    kept <- kept[newer <= lazy_recent$limit | seq_along(kept) == length(kept)]
    lazy_recent$kept <- kept
  }
  kept[[key]]$value
}

# Rows first to last, of pieces that begin at rows `starts` (from 0; one more at the end). read(k): all of piece k.
lazy_pieces <- function(starts, first, last, read) {
  at <- findInterval(first - 1, starts)
  parts <- list()
  while (at < length(starts) && starts[at] < last) {
    piece <- read(at)
    if (length(piece) != starts[at + 1L] - starts[at]) stop("it has other rows than when it was scanned")
    from <- max(first - starts[at], 1)
    to <- min(last - starts[at], length(piece))
    if (from <= to) parts[[length(parts) + 1L]] <- piece[from:to]
    at <- at + 1
  }
  do.call(c, parts)
}

# A lazy column: its type is that of the elements of the data frame.
lazy_column <- function(type, rows, populate, width, description, chunk, deadline, writeback = NULL) {
  lazy_program(if (type == "double") "numeric" else type, rows, list(populate = populate, writeback = writeback), NULL,
               chunk, deadline, !is.null(writeback), description, !is.null(writeback), width = max(4, width))
}

lazy_frame <- function(columns, rows, frame) {
  if (!frame) return(columns)
  if (rows > .Machine$integer.max)
    stop("a data frame has no more than 2^31 - 1 rows: say frame = FALSE for a list of columns", call. = FALSE)
  structure(columns, row.names = .set_row_names(rows), class = "data.frame")
}

# data.frame(), aggregate() and their kin ask for it.
#' @exportS3Method
as.data.frame.lazyVector <- function(x, ..., nm = deparse1(substitute(x))) {
  if (!is.null(dim(x))) return(as.data.frame(array(as.vector(x), dim(x)), ...))
  as.data.frame.vector(x, ..., nm = nm)
}

lazy_progress <- function(progress, total, what) {
  if (is.function(progress)) return(function(done) progress(done, total))
  if (!isTRUE(progress) || total <= 0) return(function(done) NULL)
  message("onecopy: ", what)
  bar <- utils::txtProgressBar(0, total, style = 3, file = stderr())
  function(done) {
    utils::setTxtProgressBar(bar, done)
    if (done >= total) close(bar)
  }
}

lazy_needs <- function(package, what) {
  if (!requireNamespace(package, quietly = TRUE))
    stop(what, " needs the package ", package, ": install it (Debian: r-cran-", tolower(package), ")", call. = FALSE)
}

lazy_choose <- function(columns, names, path) {
  if (!is.null(columns) && (!is.character(columns) || !length(columns))) wrong_argument("columns", "names of columns, or NULL")
  missing <- setdiff(columns, names)
  if (length(missing))
    stop("onecopy: ", path, " has no column ", sQuote(missing[1L], FALSE), "; it has ", paste(names, collapse = ", "),
         call. = FALSE)
  if (is.null(columns)) names else columns
}
