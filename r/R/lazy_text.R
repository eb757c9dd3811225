#' @rdname lazyCsv
#' @export
lazyText <- function(path, encoding = "UTF-8", progress = interactive(), chunk = 65536, deadline = 60) {
  file <- lazy_file(path)
  encoding <- check_choice(encoding, "encoding", c("UTF-8", "Latin-1"))
  tell <- lazy_progress(progress, file$size, paste("scanning", file$path))
  opened <- file(file$path, "rb")
  on.exit(close(opened))
  starts <- offsets <- 0
  rows <- at <- longest <- 0
  rest <- raw()
  repeat {
    more <- readBin(opened, "raw", lazy_csv_block)
    if (!length(more) && length(rest)) more <- as.raw(10L)  # a last line without an end
    bytes <- c(rest, more)
    if (!length(bytes)) break
    found <- .Call(oc_text_lines, bytes)
    count <- length(found$ends)
    end <- if (count) found$ends[count] else 0
    if (count) {
      rows <- rows + count
      longest <- max(longest, found$longest)
      at <- min(at + end, file$size)
      starts <- c(starts, rows)
      offsets <- c(offsets, at)
    }
    rest <- if (end < length(bytes)) bytes[(end + 1):length(bytes)] else raw()
    tell(at)
  }
  tell(file$size)
  lazy_same_file(file)
  # A byte of Latin-1 takes two in UTF-8.
  lazy_column("character", rows, lazy_text_fill(file, encoding, starts, offsets),
              if (encoding == "UTF-8") longest else 2 * longest, paste("the lines of", file$path), chunk, deadline)
}

lazy_text_fill <- function(file, encoding, starts, offsets) {
  force(list(file, encoding, starts, offsets))
  function(start, end) {
    lazy_same_file(file)
    lazy_pieces(starts, start, end, function(at) {
      lazy_cached(paste(file$path, file$changed, encoding, at), function() {
        bytes <- lazy_bytes(file, offsets[at], offsets[at + 1L])
        if (any(bytes == as.raw(0L))) stop("there are NUL bytes in ", file$path, ": it is no text")
        text <- strsplit(rawToChar(bytes), "\n", fixed = TRUE, useBytes = TRUE)[[1L]]
        Encoding(text) <- if (encoding == "UTF-8") "UTF-8" else "latin1"
        if (encoding == "UTF-8" && !all(validUTF8(text))) stop(file$path, " is not UTF-8: say encoding = \"Latin-1\"?")
        sub("\r$", "", text)
      })
    })
  }
}
