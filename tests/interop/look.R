# Prints what R sees under each name given as an argument, one line of JSON each.
library(onecopy)
invisible(loadNamespace("bit64"))  # whose methods know 64-bit integers
plain <- function(x) {
  if (is.null(x)) return("null")
  if (is.data.frame(x) || (is.list(x) && !is.null(names(x))))
    return(paste0("{", paste0("\"", names(x), "\":", vapply(unclass(x), plain, ""), collapse = ","), "}"))
  if (is.list(x)) return(paste0("[", paste(vapply(x, plain, ""), collapse = ","), "]"))
  if (is.factor(x)) x <- as.character(x)
  if (inherits(x, "Date")) x <- format(x)
  if (inherits(x, "POSIXct")) x <- as.numeric(x)
  if (inherits(x, "integer64")) x <- as.character(x)
  one <- function(v) if (is.na(v)) "null" else if (is.character(v)) encodeString(v, quote = "\"") else
    if (is.logical(v)) tolower(as.character(v)) else if (is.infinite(v)) paste0("\"", v, "\"") else format(as.numeric(v), digits = 15)
  paste0("[", paste(vapply(as.vector(x), one, ""), collapse = ","), "]")
}
for (name in commandArgs(TRUE)) cat(plain(attachShared(name = name)), "\n", sep = "")
