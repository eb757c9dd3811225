# A condition as those that the library raises, of class onecopy_<kind>; to be given to stop(). Bytes that are no UTF-8
# are shown by their numbers: R's functions refuse text that holds them.
onecopy_error <- function(kind, ..., remedy = "") {
  message <- iconv(enc2utf8(paste0(...)), "UTF-8", "UTF-8", sub = "byte")
  structure(class = c(paste0("onecopy_", kind), "onecopy_error", "error", "condition"),
            list(message = message, call = NULL, kind = kind, remedy = remedy))
}

# What arguments must be: each function returns the value, or says the argument's name and what it has to be.
wrong_argument <- function(name, must) stop(onecopy_error("invalid_argument", "`", name, "` must be ", must, "."))

check_flag <- function(x, name) {
  if (is.logical(x) && length(x) == 1L && !is.na(x)) x else wrong_argument(name, "TRUE or FALSE")
}

check_number <- function(x, name, must = "one number, not NA", least = -Inf) {
  if (is.numeric(x) && length(x) == 1L && !is.na(x) && x >= least) x else wrong_argument(name, must)
}

check_path <- function(x, name = "path") {
  if (!is.character(x) || length(x) != 1L || is.na(x) || !nzchar(x)) wrong_argument(name, "one path, not NA")
  path.expand(x)
}

check_function <- function(x, name, arguments) {
  if (!is.function(x)) wrong_argument(name, paste0("a function(", arguments, ")"))
  x
}

# A function that another process shall run takes its variables with it; a primitive has no place for them.
check_closure <- function(x, name, arguments) {
  if (is.primitive(x)) wrong_argument(name, paste0("a closure: function(", arguments, ") ..."))
  check_function(x, name, arguments)
}

# The first choice where the argument was left at its default, which is all of them.
check_choice <- function(x, name, choices) {
  if (identical(x, choices)) return(choices[1L])
  found <- if (is.character(x) && length(x) == 1L) pmatch(x, choices) else NA
  if (is.na(found)) wrong_argument(name, paste0("one of \"", paste(choices, collapse = "\", \""), "\""))
  choices[found]
}

check_name <- function(x) {
  if (is.character(x) && length(x) == 1L && !is.na(x) && nzchar(x)) x
  else wrong_argument("name", "one string of 1 to 120 bytes, on one line")
}

# For functions with `...`: names that none of them has.
check_names <- function(given, allowed, caller) {
  labels <- names(given)
  if (is.null(labels)) labels <- rep("", length(given))
  bad <- labels[!labels %in% allowed]
  if (length(bad)) {
    stop(caller, "() has no argument ", if (nzchar(bad[1L])) paste0("`", bad[1L], "`") else "without a name",
         "; it has ", paste(allowed, collapse = ", "), ".", call. = FALSE)
  }
}
