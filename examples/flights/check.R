# Compares the answers of all processes with each other and with plain R's, and prints what each process cost.
out <- Sys.getenv("FLIGHTS_OUT")
read <- function(worker) {
  lines <- read.delim(file.path(out, paste0(worker, ".tsv")), header = FALSE, quote = "", comment.char = "",
                      col.names = c("topic", "what", "value"), colClasses = c("character", "character", "numeric"))
  cbind(worker = worker, lines)
}
workers <- c("carriers.R", "regression.R", "routes.py", "hours.py", "carriers.cpp")
plain <- read("owner.R")
shared <- do.call(rbind, lapply(workers, read))
number <- function(table, topic, what) table$value[table$topic == topic & table$what == what]

# ---- answers
wrong <- 0
cat("\nanswers, each compared with plain R on the plain table\n")
for (worker in workers) for (topic in unique(shared$topic[shared$worker == worker & shared$topic != "measured"])) {
  theirs <- shared[shared$worker == worker & shared$topic == topic, ]
  ours <- plain[plain$topic == topic, ]
  same <- setequal(theirs$what, ours$what) &&
    isTRUE(all.equal(theirs$value, ours$value[match(theirs$what, ours$what)], tolerance = 1e-9))
  wrong <- wrong + !same
  cat(sprintf("  %-13s %-17s %3d numbers  %s\n", worker, topic, nrow(theirs), if (same) "same" else "DIFFERENT"))
  if (!same) print(merge(theirs[-1], ours[-1], by = c("topic", "what"), all = TRUE))
}

# ---- what it cost
MB <- function(bytes) sprintf("%.1f MB", bytes / 1e6)
measured <- function(worker, what) number(shared[shared$worker == worker, ], "measured", what)
region <- as.numeric(Sys.getenv("FLIGHTS_REGION_BYTES"))
copies <- c(R = number(plain, "table", "r_bytes"), Python = as.numeric(Sys.getenv("FLIGHTS_PYTHON_BYTES")),
            "C++" = region)
language <- c("R", "R", "Python", "Python", "C++")
cat(sprintf("\n%-13s %-8s %12s %18s %18s %18s %10s\n", "process", "language", "to attach", "private memory,",
            "private memory,", "a copy of its own", "work"))
cat(sprintf("%-13s %-8s %12s %18s %18s %18s %10s\n", "", "", "", "once attached", "work done", "would take", ""))
for (i in seq_along(workers)) {
  cat(sprintf("%-13s %-8s %9.2f ms %18s %18s %18s %8.2f s\n", workers[i], language[i],
              1000 * measured(workers[i], "attach_seconds"), paste0("+", MB(measured(workers[i], "attached_bytes"))),
              paste0("+", MB(measured(workers[i], "grown_bytes"))), MB(copies[[language[i]]]),
              measured(workers[i], "work_seconds")))
}
grown <- sum(sapply(workers, measured, "grown_bytes"))
cat(sprintf("\n%s rows x %d columns were shared in %.2f s: one region of %s.\n",
            format(number(plain, "table", "rows"), big.mark = ","), number(plain, "table", "columns"),
            number(plain, "sharing", "seconds"), MB(region)))
cat(sprintf("Five processes used it with %s of private memory; five copies would have taken %s.\n", MB(grown),
            MB(sum(copies[language]))))
cat(sprintf("Sending %s rows to one R worker by serialize() takes %.2f s.\n",
            format(number(plain, "table", "sending_rows"), big.mark = ","), number(plain, "table", "sending_seconds")))
if (wrong > 0) {
  cat(sprintf("\n%d answers differ.\n", wrong))
  quit(status = 1)
}
cat("All answers agree.\n")
