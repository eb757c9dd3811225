# A million strings, all different or few values: R's functions on the shared vector beside the plain one.
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))
invisible(Sys.setlocale("LC_COLLATE", "C"))

n <- sized(1e6, 1e3)
operations <- list(
  list("nchar", "nchar(x)", function(x, some) nchar(x)),
  list("unique", "unique(x)", function(x, some) unique(x)),
  list("duplicated", "duplicated(x)", function(x, some) duplicated(x)),
  list("equal", "x == value", function(x, some) x == some[1L]),
  list("match", "match(values, x)", function(x, some) match(some, x)),
  list("table", "table(x)", function(x, some) table(x)),
  list("sort", "sort(x)", function(x, some) sort(x))
)

measure <- function(id, what, plain) {
  shared <- share(plain)
  some <- sample(plain, min(1000L, n))
  stopifnot(identical(shared[n], plain[n]))
  write_row(paste0(id, "-share"), sprintf("share(x), %s %s", format(n, big.mark = ",", scientific = FALSE), what), "s",
            "serialize(x, NULL)",
            compare(5L, function() share(plain), function() serialize(plain, NULL, xdr = FALSE)), ratio_at_most(2))
  sent <- serialize(shared, NULL)
  # The first touch makes R's own strings, once in a process; no goal.
  cold <- compare(3L, function() sum(nchar(share(plain))), function() sum(nchar(unserialize(serialize(plain, NULL)))))
  write_row(paste0(id, "-cold"), sprintf("share, then nchar(x) for the first time, %s", what), "s",
            "serialize, unserialize, nchar", cold)
  for (operation in operations) {
    work <- operation[[3L]]
    stopifnot(identical(work(shared, some), work(plain, some)))  # warms, too
    rounds <- if (operation[[1L]] %in% c("sort", "table")) 3L else 7L
    write_row(paste0(id, "-", operation[[1L]]), sprintf("%s, %s", operation[[2L]], what), "s", "a plain vector",
              compare(rounds, function() work(shared, some), function() work(plain, some)), ratio_at_most(2))
  }
}

measure("unique-strings", "different strings", sprintf("string number %d", sample.int(n)))
measure("repeated-strings", "strings of 100 values", sprintf("value %d", sample.int(100L, n, TRUE)))
