# Shares one object of each kind under the name r-<kind>, and waits until its input ends.
library(onecopy)
objects <- list(
  doubles = c(1.5, NA, -Inf, 3), integers = c(1L, NA, 3L), logicals = c(TRUE, NA, FALSE),
  strings = c("one", NA, "thr\u00e9\u00e9", ""), repeated = rep(c("a", "b", NA), 50),
  factor = factor(c("u", NA, "v"), levels = c("v", "u")), matrix = matrix(1:6 + 0, 2, dimnames = list(c("a", "b"), NULL)),
  dates = as.Date(c("2024-02-29", NA, "1970-01-01")),
  times = as.POSIXct(c(0, NA, 1709164800), origin = "1970-01-01", tz = "Europe/Berlin"),
  nested = list(a = 1:3 + 0, b = list(c("x", "y", "z"), NULL)),
  table = data.frame(n = c(1.5, NA, 3), s = c("p", NA, "q"), stringsAsFactors = FALSE))
held <- Map(function(x, name) share(x, name = paste0("r-", name), minLength = 1), objects, names(objects))
cat("ready\n")
invisible(readLines(file("stdin"), n = 1))
