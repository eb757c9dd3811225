# What the R benchmarks share. Sourced by each script; see docs/benchmarks.md for the rows.

bench_folder <- function() {
  file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE)[1L])
  dirname(dirname(normalizePath(file)))
}

tiny <- identical(Sys.getenv("ONECOPY_BENCH_SIZE"), "tiny")
sized <- function(full, small) if (tiny) small else full

now <- function() as.numeric(proc.time()[["elapsed"]])
# Seconds; of `times` runs together, for proc.time() counts milliseconds.
time_of <- function(work, times = 1L) {
  begun <- Sys.time()
  for (i in seq_len(times)) work()
  as.numeric(difftime(Sys.time(), begun, units = "secs")) / times
}

# Ours and the baseline in turns, first and second place changing. Each is a function that returns its own sample.
interleaved <- function(rounds, ours, baseline) {
  taken <- list(ours = numeric(), baseline = numeric())
  rounds <- sized(rounds, 2L)
  ours()
  baseline()
  for (i in seq_len(rounds)) {
    if (i %% 2L == 0L) taken$ours <- c(taken$ours, ours())
    taken$baseline <- c(taken$baseline, baseline())
    if (i %% 2L == 1L) taken$ours <- c(taken$ours, ours())
  }
  taken
}

# The same for two pieces of work that are timed whole, each after a garbage collection of its own.
compare <- function(rounds, ours, baseline, times = 1L) {
  interleaved(rounds, function() { gc(FALSE); time_of(ours, times) }, function() { gc(FALSE); time_of(baseline, times) })
}

as_json <- function(x) {
  if (is.character(x)) return(encodeString(x, quote = "\""))
  paste0("[", paste(format(x, digits = 9, scientific = TRUE, trim = TRUE), collapse = ","), "]")
}

ratio_at_least <- function(value) list(of = "ratio", at = "least", value = value)
ratio_at_most <- function(value) list(of = "ratio", at = "most", value = value)
at_least <- function(value) list(of = "ours", at = "least", value = value)
at_most <- function(value) list(of = "ours", at = "most", value = value)
no_goal <- list(of = "", at = "", value = 0)

write_line <- function(fields) {
  line <- paste0("{", paste0("\"", names(fields), "\":", vapply(fields, as_json, ""), collapse = ","), "}")
  file <- Sys.getenv("ONECOPY_BENCH_ROWS")
  if (nzchar(file)) cat(line, "\n", sep = "", file = file, append = TRUE) else cat(line, "\n", sep = "")
}

write_row <- function(id, what, unit, against, taken, goal = no_goal, note = "") {
  write_line(list(part = "r", id = id, what = what, unit = unit, against = against, ours = as.numeric(taken$ours),
                  baseline = as.numeric(taken$baseline), goal_of = goal$of, goal_at = goal$at, goal = goal$value,
                  note = note))
}

not_run <- function(id, what, why) write_line(list(part = "r", id = id, what = what, not_run = why))

# What this process alone pays for, in bytes: anonymous memory, that is its heap and the pages it has copied by writing
# to them. Pages of the store don't count. (Private_Dirty would count those that no other process maps at the moment.)
private_memory <- function() {
  gc(full = TRUE)
  gc(full = TRUE)
  lines <- readLines("/proc/self/smaps_rollup")
  as.numeric(strsplit(grep("^Anonymous:", lines, value = TRUE), " +")[[1L]][2L]) * 1024
}

# Workers as users have them. What is sent to them goes through R's serialize().
start_workers <- function(n) {
  cluster <- parallel::makePSOCKcluster(n)
  parallel::clusterCall(cluster, function(path, library) {
    .libPaths(c(library, .libPaths()))
    loadNamespace("onecopy")
    assign("private_memory", path, globalenv())
    NULL
  }, private_memory, Sys.getenv("ONECOPY_RLIB"))
  cluster
}

mega <- function(bytes) sprintf("%.1f MB", bytes / 1e6)
