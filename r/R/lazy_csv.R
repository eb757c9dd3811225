#' Files and tables as lazy columns
#'
#' `lazyCsv()` makes a data frame of lazy columns of a CSV file, `lazyText()` a lazy character vector of the lines of a
#' text. One scan finds out where records begin, the type of each column and the longest strings; after that nothing is
#' read before it is touched, and then about a megabyte of the file. Plain R code uses them: `sum(d$x)`, `d[5:10, ]`,
#' `d$name[d$x > 3]`. All processes share what was read.
#'
#' # Types
#' Columns are logical (`TRUE`, `FALSE`), integer, double (also whole numbers beyond 2^31) or character. Dates and times
#' stay text, which compares as it should when it is written as `2026-01-31`; `colClasses = c(day = "Date")` gives days
#' since 1970, which [.Date()] makes dates of, and `"POSIXct"` seconds since 1970 in UTC. An empty field, or one of
#' `na.strings`, is `NA`; a quoted one is what stands between the quotes. Quoted fields may hold separators and line
#' ends; a quote within is written twice.
#'
#' @param path The file. It must not change while the columns are used: a touch is an error then.
#' @param columns Names of columns; `NULL`: all.
#' @param colClasses A named vector: types of some columns, instead of those that the scan finds: `"logical"`,
#'   `"integer"`, `"numeric"`, `"character"`, `"Date"`, `"POSIXct"`. A value that is none of that type is an error with
#'   its line.
#' @param sep,quote One character each; `quote = ""` if there are none.
#' @param header `FALSE`: the first record is data, and columns are called `V1`, `V2`, ...
#' @param na.strings What stands for nothing.
#' @param encoding `"UTF-8"` or `"Latin-1"`.
#' @param badRows Records with too many or too few fields, or with text after a closing quote: `"error"` tells their
#'   lines, `"skip"` leaves them out with a warning.
#' @param progress `TRUE` shows a bar while the file is scanned; or a function of bytes done and bytes in all.
#' @param frame `FALSE`: a list of columns.
#' @param chunk,deadline As in [lazyVector()].
#' @return `lazyCsv()`: a data frame, or a list, of vectors of class `lazyVector`. `lazyText()`: such a vector.
#' @examples
#' file <- tempfile(fileext = ".csv")
#' write.csv(data.frame(id = 1:1000, name = rep(c("a", "b"), 500)), file, row.names = FALSE)
#' d <- lazyCsv(file)
#' sum(d$id[d$name == "a"])
#' @export
lazyCsv <- function(path, columns = NULL, colClasses = NULL, sep = ",", quote = "\"", header = TRUE,
                    na.strings = c("", "NA"), encoding = "UTF-8", badRows = c("error", "skip"),
                    progress = interactive(), frame = TRUE, chunk = 65536, deadline = 60) {
  lazy_needs("data.table", "lazyCsv()")
  badRows <- check_choice(badRows, "badRows", c("error", "skip"))
  encoding <- check_choice(encoding, "encoding", c("UTF-8", "Latin-1"))
  check_flag(header, "header")
  check_flag(frame, "frame")
  file <- lazy_file(path)
  csv <- list(file = file, sep = sep, quote = quote, missing = na.strings,
              encoding = encoding)
  found <- lazy_csv_scan(csv, header, colClasses, badRows, progress)
  wanted <- lazy_choose(columns, found$csv$names, file$path)
  made <- lapply(wanted, function(name) {
    populate <- lazy_csv_fill(found$csv, match(name, found$csv$names), found$kinds[[name]], found$starts, found$offsets)
    lazy_column(lazy_csv_mode(found$kinds[[name]]), found$rows, populate, found$widths[[name]],
                sprintf("column '%s' of %s", name, file$path), chunk, deadline)
  })
  names(made) <- wanted
  lazy_frame(made, found$rows, frame)
}

lazy_csv_block <- 2^20
lazy_csv_longest <- 64 * 2^20
lazy_csv_kinds <- c("null", "logical", "integer", "double", "character", "Date", "POSIXct")
lazy_csv_mode <- function(kind) switch(kind, null = "logical", Date = , POSIXct = "double", kind)

# A populate function; its environment is small and goes to the process that fills.
lazy_csv_fill <- function(csv, number, kind, starts, offsets) {
  force(list(csv, number, kind, starts, offsets))
  function(start, end) {
    lazy_same_file(csv$file)
    lazy_pieces(starts, start, end, function(at) {
      key <- paste(c(csv$file$path, csv$file$changed, csv$sep, csv$quote, csv$missing, csv$encoding, kind, number,
                     offsets[at]), collapse = " ")
      lazy_cached(key, function() {
        block <- lazy_csv_records(csv, lazy_bytes(csv$file, offsets[at], offsets[at + 1L]), TRUE)
        lazy_csv_values(csv, block, number, kind)
      })
    })
  }
}

lazy_csv_records <- function(csv, block, final, most = .Machine$integer.max, fields = length(csv$names))
  .Call(oc_csv_records, block, final, csv$sep, csv$quote, fields, most)

# The columns `numbers` of a block's good records, as data.table reads them. `types`: NULL, or what they have to be.
lazy_csv_parse <- function(csv, block, numbers, types = NULL) {
  # Dates would need a class, which lazy vectors don't have.
  old <- options(datatable.old.fread.datetime.character = TRUE)
  on.exit(options(old))
  # R 4.5 takes what is no UTF-8 for the name of a file; of bytes it asks nothing.
  text <- block$text
  Encoding(text) <- "bytes"
  arguments <- list(text, header = FALSE, sep = csv$sep, quote = csv$quote, na.strings = csv$missing,
                    integer64 = "double", encoding = csv$encoding, select = numbers, strip.white = FALSE,
                    showProgress = FALSE, nThread = 1L, data.table = FALSE)
  if (!is.null(types)) arguments$colClasses <- split(numbers, types)
  read <- withCallingHandlers(do.call(data.table::fread, arguments), warning = function(w) {
    if (grepl("override column|forced to|lower type", conditionMessage(w))) invokeRestart("muffleWarning")
    stop(conditionMessage(w))
  })
  if (nrow(read) != length(block$starts)) stop("data.table found other records than there are")
  read <- read[match(paste0("V", numbers), names(read))]
  # data.table leaves quotes that are written twice as they are.
  if (block$doubled)
    for (k in which(vapply(read, is.character, NA)))
      read[[k]] <- gsub(strrep(csv$quote, 2L), csv$quote, read[[k]], fixed = TRUE)
  read
}

# One column of a block as elements of its kind.
lazy_csv_values <- function(csv, block, number, kind) {
  if (!length(block$starts)) return(vector(lazy_csv_mode(kind), 0L))
  type <- switch(kind, null = "logical", double = "numeric", Date = , POSIXct = "character", kind)
  values <- lazy_csv_parse(csv, block, number, type)[[1L]]
  made <- lazy_csv_cast(values, kind)
  bad <- which(is.na(made) & !is.na(values))
  if (length(bad)) stop("its values were of another type when it was scanned: ", dQuote(values[bad[1L]], FALSE))
  made
}

lazy_csv_cast <- function(values, kind) suppressWarnings(switch(kind,
  null = , logical = as.logical(values), integer = if (is.double(values)) NA_integer_[rep(1L, length(values))]
                                                   else as.integer(values),
  double = as.double(values), character = as.character(values),
  Date = as.double(as.Date(values, "%Y-%m-%d")), POSIXct = lazy_csv_times(values)))

lazy_csv_times <- function(values) {
  out <- rep(NA_real_, length(values))
  for (format in c("%Y-%m-%dT%H:%M:%OS", "%Y-%m-%d %H:%M:%OS", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d")) {
    rest <- is.na(out) & !is.na(values)
    if (!any(rest)) break
    out[rest] <- as.double(as.POSIXct(values[rest], tz = "UTC", format = format))
  }
  out
}

# Calls use(block, offset) for pieces of whole records from byte `from` on. Tells where they end, and the lines.
lazy_csv_blocks <- function(csv, from, line, use) {
  opened <- file(csv$file$path, "rb")
  on.exit(close(opened))
  seek(opened, from)
  rest <- raw()
  repeat {
    more <- readBin(opened, "raw", lazy_csv_block)
    bytes <- c(rest, more)
    final <- !length(more)
    if (!length(bytes)) break
    block <- lazy_csv_at(csv, line, lazy_csv_records(csv, bytes, final))
    if (block$end > 0) use(block, from, line)
    from <- from + block$end
    line <- line + block$lines
    rest <- if (block$end < length(bytes)) bytes[(block$end + 1):length(bytes)] else raw()
    if (length(rest) > lazy_csv_longest)
      stop(csv$file$path, ": the record of line ", line, " is longer than 64 MiB: is a quote not closed?",
           call. = FALSE)
    if (final) break
  }
}

lazy_csv_at <- function(csv, line, call) tryCatch(call, error = function(e)
  stop(csv$file$path, ", from line ", line, ": ", conditionMessage(e), call. = FALSE))

lazy_csv_header <- function(csv, header) {
  size <- 2^16
  start <- if (csv$file$size >= 3 && identical(lazy_bytes(csv$file, 0, 3), as.raw(c(0xef, 0xbb, 0xbf)))) 3 else 0
  repeat {
    bytes <- lazy_bytes(csv$file, start, min(csv$file$size, start + size))
    whole <- start + size >= csv$file$size
    first <- lazy_csv_at(csv, 1, lazy_csv_records(csv, bytes, whole, 1, 0))
    if (length(first$starts) || whole || size > lazy_csv_longest) break
    size <- size * 4
  }
  if (length(first$bad)) stop(csv$file$path, ": line ", first$bad[1L] + 1, " is no record", call. = FALSE)
  if (!length(first$starts)) stop(csv$file$path, ": there is nothing in it", call. = FALSE)
  names <- lazy_csv_fields(csv, first)
  if (!header) return(list(names = paste0("V", seq_along(names)), from = start, line = 1))
  empty <- is.na(names) | !nzchar(names)
  names[empty] <- paste0("V", seq_along(names))[empty]
  list(names = make.unique(names), from = start + first$end, line = 1 + first$lines)
}

# The fields of one record.
lazy_csv_fields <- function(csv, record) {
  text <- record$text
  if (csv$encoding == "Latin-1") Encoding(text) <- "latin1"
  names <- scan(text = sub("\r?\n$", "", text), what = "", sep = csv$sep, quote = csv$quote, quiet = TRUE,
                na.strings = character(), strip.white = FALSE, comment.char = "", allowEscapes = FALSE)
  enc2utf8(names)
}

lazy_csv_scan <- function(csv, header, asked, badRows, progress) {
  head <- lazy_csv_header(csv, header)
  csv$names <- head$names
  asked <- lazy_csv_asked(csv, asked)
  tell <- lazy_progress(progress, csv$file$size, paste("scanning", csv$file$path))
  count <- length(csv$names)
  kinds <- rep("null", count)
  kinds[match(names(asked), csv$names)] <- asked
  widths <- numeric(count)
  starts <- list(0)
  offsets <- list(head$from)
  looks <- list()
  bad <- character()
  rows <- 0
  lazy_csv_blocks(csv, head$from, head$line, function(block, from, line) {
    read <- lazy_csv_at(csv, line, lazy_csv_look(csv, block, line, asked))
    looks[[length(looks) + 1L]] <<- read$kinds
    kinds <<- mapply(lazy_csv_merged, kinds, read$kinds, USE.NAMES = FALSE)
    widths <<- pmax(widths, read$widths)
    if (length(block$bad)) bad <<- c(bad, lazy_csv_bad(block, line, count))
    rows <<- rows + length(block$starts)
    starts[[length(starts) + 1L]] <<- rows
    offsets[[length(offsets) + 1L]] <<- from + block$end
    tell(from + block$end)
  })
  tell(csv$file$size)
  if (length(bad)) {
    text <- paste0(csv$file$path, ": ", length(bad), if (length(bad) == 1L) " row is bad: " else " rows are bad: ",
                   paste(utils::head(bad, 5L), collapse = "; "))
    if (badRows == "error") stop(text, '. Mend them, or leave them out with badRows = "skip"', call. = FALSE)
    warning(text, "; left out", call. = FALSE)
  }
  offsets <- unlist(offsets)
  widths <- lazy_csv_other_widths(csv, kinds, looks, offsets, widths)
  lazy_same_file(csv$file)
  named <- function(values) stats::setNames(as.list(values), csv$names)
  list(csv = csv, kinds = named(kinds), widths = named(widths), starts = unlist(starts),
       offsets = offsets, rows = rows)
}

lazy_csv_bad <- function(block, line, count)
  sprintf("line %.0f: %s", line + block$bad, ifelse(block$fields > 0, paste0(block$fields, " fields, not ", count),
    ifelse(block$fields == -1, "text after a closing quote", "a quote that is not closed")))

lazy_csv_merged <- function(one, other) {
  if (other == "null" || one %in% c("Date", "POSIXct")) return(one)
  if (one == "null" || one == other) return(other)
  order <- c("integer", "double")
  if (one %in% order && other %in% order) "double" else "character"
}

# Kinds and widths of the columns in one block. Values that are not of the type asked for are an error with their line.
lazy_csv_look <- function(csv, block, line, asked) {
  count <- length(csv$names)
  if (!length(block$starts)) return(list(kinds = rep("null", count), widths = numeric(count)))
  read <- lazy_csv_parse(csv, block, seq_len(count))
  kinds <- vapply(read, function(x) if (is.logical(x) && all(is.na(x))) "null" else typeof(x), "", USE.NAMES = FALSE)
  for (name in names(asked)) {
    k <- match(name, csv$names)
    if (asked[[name]] == "character" && kinds[k] != "character")
      read[[k]] <- lazy_csv_parse(csv, block, k, "character")[[1L]]
    cast <- lazy_csv_cast(read[[k]], asked[[name]])
    bad <- which(is.na(cast) & !is.na(read[[k]]))
    if (length(bad))
      stop(sprintf("line %.0f: %s in column '%s' is not of type %s", line + block$starts[bad[1L]],
                   dQuote(read[[k]][bad[1L]], FALSE), name, asked[[name]]))
    kinds[k] <- asked[[name]]
  }
  list(kinds = kinds, widths = lazy_csv_widths(read))
}

lazy_csv_widths <- function(read) vapply(read, function(x)
  if (is.character(x)) max(0, nchar(enc2utf8(x), "bytes", keepNA = FALSE)) else 0, 1, USE.NAMES = FALSE)

# Columns that turned out to be text: how wide they are where they looked like something else.
lazy_csv_other_widths <- function(csv, kinds, looks, offsets, widths) {
  for (at in seq_along(looks)) {
    again <- which(kinds == "character" & !looks[[at]] %in% c("character", "null"))
    if (!length(again)) next
    block <- lazy_csv_records(csv, lazy_bytes(csv$file, offsets[at], offsets[at + 1L]), TRUE)
    text <- lazy_csv_parse(csv, block, again, rep("character", length(again)))
    widths[again] <- pmax(widths[again], lazy_csv_widths(text))
  }
  widths
}

lazy_csv_asked <- function(csv, asked) {
  if (is.null(asked)) return(character())
  if (is.null(names(asked))) stop("`colClasses` must have names: those of columns", call. = FALSE)
  lazy_choose(names(asked), csv$names, csv$file$path)
  asked <- vapply(asked, as.character, "")
  asked[asked == "numeric"] <- "double"
  unknown <- setdiff(asked, lazy_csv_kinds[-1L])
  if (length(unknown)) stop("`colClasses`: there are no lazy columns of ", unknown[1L], call. = FALSE)
  asked
}
