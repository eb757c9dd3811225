# A child of processx that is given mixed R objects at birth, beside callr, which writes a file that the child reads.
#
#   Rscript bench/r/callr.R [MEGABYTES]        or ONECOPY_BENCH_MEGABYTES; 200 if nothing is said
source(file.path(dirname(dirname(sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L]))), "support", "bench.R"))
suppressPackageStartupMessages(library(onecopy))
for (peer in c("callr", "processx")) {
  if (!requireNamespace(peer, quietly = TRUE)) {
    not_run("callr", "a child that is given data at birth", paste(peer, "is not installed"))
    quit("no")
  }
}

said <- c(commandArgs(trailingOnly = TRUE), Sys.getenv("ONECOPY_BENCH_MEGABYTES"), "200")
megabytes <- sized(as.numeric(said[nzchar(said)][1L]), 2)
stopifnot(is.finite(megabytes), megabytes > 0, megabytes <= 2000)

# Numbers, text, a data frame with factors and dates, a matrix, and a thousand small parts.
mixed <- function(megabytes) {
  n <- megabytes * 1e6
  doubles <- runif(n * 0.4 / 8)
  words <- paste0("word", 1:1000)
  rows <- as.integer(n * 0.3 / (8 + 4 + 4 + 8))
  # Not of this function's environment, which both ways would send along as data, with all that is in it.
  done <- function(x) x + 1
  environment(done) <- globalenv()
  list(
    doubles = doubles, integers = sample.int(1000L, n * 0.1 / 4, replace = TRUE),
    text = sample(words, n * 0.1 / 8, replace = TRUE),
    frame = data.frame(x = runif(rows), i = seq_len(rows), f = factor(sample(words[1:20], rows, replace = TRUE)),
                       day = as.Date("2024-01-01") + sample.int(365L, rows, replace = TRUE)),
    matrix = matrix(runif(n * 0.1 / 8), ncol = 10L), parts = lapply(1:1000, function(i) list(id = i, name = words[i])),
    model = stats::as.formula("y ~ x", globalenv()), done = done)
}

# What every child does: it looks at each part, and says how long it took until it had the data and what it pays for it.
look <- function(x, begun, private_memory) {
  had <- as.numeric(difftime(Sys.time(), begun, units = "secs"))
  sum <- x$doubles[1] + x$integers[1] + nchar(x$text[1]) + x$frame$x[1] + x$matrix[1] + x$parts[[1000]]$id + x$done(1)
  c(had = had, sum = sum, memory = private_memory())
}

ours_child <- function(look, private_memory) {
  loadNamespace("onecopy")
  begun <- Sys.time()
  look(onecopy::receiveShared(3), begun, private_memory)
}

x <- mixed(megabytes)
expected <- look(x, Sys.time(), function() 0)[["sum"]]
took <- list(ours = list(), baseline = list())

check <- function(answer, which) {
  stopifnot(isTRUE(all.equal(answer[["sum"]], expected)))
  took[[which]] <<- c(took[[which]], list(answer))
}

ours <- function() {
  gc(FALSE)
  time_of(function() {
    con <- shareConnection(x)
    p <- callr::r_bg(ours_child, list(look, private_memory), connections = list(con), poll_connection = FALSE,
                     libpath = .libPaths())
    p$wait()
    check(p$get_result(), "ours")
    close(con)
  })
}
# callr's child has its arguments when the function begins; the file that it reads them from is read before. So what
# the child itself can time is nothing, and the file is read once more to know.
baseline <- function() {
  gc(FALSE)
  time_of(function() {
    check(callr::r(function(x, look, private_memory) look(x, Sys.time(), private_memory), list(x, look, private_memory),
                   libpath = .libPaths()), "baseline")
  })
}
nothing <- function() time_of(function() callr::r(function() 1, libpath = .libPaths()))

taken <- interleaved(3L, ours, baseline)
size <- sprintf("%.0f MB of mixed R objects", megabytes)
boots <- stats::median(vapply(1:3, function(i) nothing(), 0))
write_row("callr-at-birth", paste("a child that is given", size, "at birth: start, unpack, look, end"), "s",
          "callr::r with the data as its argument", taken,
          note = sprintf("a child that is given nothing takes %.2f s", boots))
of <- function(which, part) vapply(took[[which]], function(answer) answer[[part]], 0)
write_row("callr-memory", paste("private memory of that child, with", size), "bytes",
          "callr::r with the data as its argument",
          list(ours = of("ours", "memory"), baseline = of("baseline", "memory")))

# Reading, alone: what it takes to have the data where it is wanted.
file <- tempfile()
con <- shareConnection(x)
taken <- interleaved(
  5L,
  function() { gc(FALSE); time_of(function() receiveShared(con)) },
  function() { gc(FALSE); saveRDS(x, file, compress = FALSE); time_of(function() readRDS(file)) }
)
unlink(file)
write_row("callr-unpack", paste("unpack", size, "in place"), "s", "readRDS() of the file that callr writes", taken)
taken <- interleaved(
  3L,
  function() { gc(FALSE); time_of(function() close(shareConnection(x))) },
  function() { gc(FALSE); time_of(function() saveRDS(x, file, compress = FALSE)) }
)
unlink(file)
write_row("callr-write", paste("write", size, "for any number of children"), "s", "saveRDS(), for one", taken)

# The write happens once: three children beside one.
if (megabytes > 500) {
  not_run("callr-several", "several children that are given data at birth", "at this size they would take all memory")
  quit("no")
}
children <- sized(3L, 2L)
several <- function(start) time_of(function() for (p in lapply(seq_len(children), start)) { p$wait(); p$get_result() })
taken <- interleaved(
  2L,
  function() {
    gc(FALSE)
    con <- NULL
    several(function(i) {
      if (is.null(con)) con <<- shareConnection(x)
      callr::r_bg(ours_child, list(look, private_memory), connections = list(con), poll_connection = FALSE,
                  libpath = .libPaths())
    })
  },
  function() {
    gc(FALSE)
    several(function(i) callr::r_bg(function(x, look, private_memory) look(x, Sys.time(), private_memory),
                                    list(x, look, private_memory), libpath = .libPaths()))
  }
)
write_row("callr-several", paste(children, "children that are each given", size), "s",
          "callr::r_bg with the data as argument", taken)
