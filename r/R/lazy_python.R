#' Files that Python reads for R
#'
#' `lazyParquet()` makes a data frame of lazy columns of a Parquet file, `lazyCompressed()` a lazy vector of the numbers
#' in a file that is compressed with zstd or bzip2. R has no library of its own for these here: they need a Python with
#' onecopy, and pyarrow or zstandard. It is run once, and later by the pager when elements are touched; the elements are
#' R's, and all else is as for other lazy vectors.
#'
#' Parquet's row groups are read as a whole, so those of 100,000 rows or so serve best. Booleans are logical, whole numbers
#' of up to 32 bits integer, other numbers double; whole numbers beyond 2^53 are an error of the touch. Dates are days and
#' times are seconds since 1970 (in UTC), for [.Date()] and [.POSIXct()].
#'
#' A compressed file of many frames (pzstd, pbzip2, files one after the other) is read from the frame where the touch is;
#' one of a single frame from its start, or from where the last touch ended: in sequence that is fast, going back is not.
#'
#' @param path The file. It must not change while the columns are used: a touch is an error then.
#' @param columns Names of columns; `NULL`: all.
#' @param frame `FALSE`: a list of columns.
#' @param chunk,deadline As in [lazyVector()].
#' @param python The program: a Python that has onecopy.
#' @param mode `"numeric"`, `"integer"`, `"complex"` or `"raw"`, in this machine's byte order.
#' @param length How many elements; `NULL`: all.
#' @param offset Where the first lies, in unpacked bytes.
#' @param compression `"zstd"` or `"bz2"`; `NULL`: as the name ends.
#' @return `lazyParquet()`: a data frame or a list of vectors of class `lazyVector`; `lazyCompressed()`: such a vector.
#' @export
lazyParquet <- function(path, columns = NULL, frame = TRUE, chunk = 65536, deadline = 60,
                        python = Sys.getenv("ONECOPY_PYTHON", "python3")) {
  file <- lazy_file(path)
  check_flag(frame, "frame")
  made <- lazy_from_python(python, c("parquet", file$path, chunk, deadline, columns), file$path)
  if (!is.null(columns)) made <- made[columns]
  lazy_frame(made, if (length(made)) length(made[[1L]]) else 0, frame)
}

#' @rdname lazyParquet
#' @export
lazyCompressed <- function(path, mode = "numeric", length = NULL, offset = 0, compression = NULL, chunk = 65536,
                           deadline = 300, python = Sys.getenv("ONECOPY_PYTHON", "python3")) {
  file <- lazy_file(path)
  mode <- check_choice(mode, "mode", c("numeric", "double", "integer", "complex", "raw"))
  for (number in list(length, offset))
    if (!is.null(number) && (!is.numeric(number) || base::length(number) != 1L || is.na(number) || number < 0))
      stop("`length` and `offset` must be numbers from 0 on", call. = FALSE)
  number <- function(x) if (is.null(x)) "" else format(x, scientific = FALSE)
  compression <- if (is.null(compression)) "" else check_choice(compression, "compression", c("zstd", "bz2"))
  lazy_from_python(python, c("compressed", file$path, chunk, deadline, mode, number(offset), number(length),
                             compression), file$path)[[1L]]
}

# Attaches what a Python program has made. Its handles keep the vectors until then.
lazy_from_python <- function(python, arguments, path) {
  told <- tempfile()
  on.exit(unlink(told))
  code <- "import sys; from onecopy._lazy.for_r import main; sys.exit(main())"
  said <- tryCatch(
    suppressWarnings(system2(python, shQuote(enc2utf8(c("-c", code, arguments))), stdout = TRUE, stderr = told)),
    error = function(e) structure(character(), status = 127L))
  status <- attr(said, "status")
  if (!is.null(status)) {
    why <- if (file.exists(told)) readLines(told, warn = FALSE, encoding = "UTF-8")
    why <- utils::tail(why[nzchar(why)], 1L)
    if (!base::length(why) || status == 127) why <- paste("there is no program", python)
    if (status != 1 || grepl("ModuleNotFoundError|No module named", why))
      why <- paste0(why, ". A Python with onecopy and pyarrow is needed: name it in `python`, or in ONECOPY_PYTHON")
    stop("onecopy: can't read ", path, ": ", why, call. = FALSE)
  }
  parts <- regmatches(said, regexpr(" ", said), invert = TRUE)
  names <- vapply(parts, function(part) utils::URLdecode(part[2L]), "")
  Encoding(names) <- "UTF-8"
  stats::setNames(lapply(parts, function(part) attachShared(part[1L])), names)
}
