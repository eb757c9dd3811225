# Four processes compute on files of several times the budget. See README.md.
suppressPackageStartupMessages(library(onecopy))

piece <- 250000  # rows written at once
cities <- 100

bytes_of <- function(text) {
  unit <- toupper(substring(text, nchar(text)))
  power <- match(unit, c("K", "M", "G", "T"))
  bytes <- suppressWarnings(as.numeric(if (is.na(power)) text else substring(text, 1, nchar(text) - 1)))
  if (is.na(bytes) || bytes <= 0) stop(text, " is no size: use bytes, or a text like 64M", call. = FALSE)
  if (is.na(power)) bytes else bytes * 1024^power
}

# A CSV file (id, city, weight) and one of doubles, each of about `size` bytes; and what is true of them.
make_files <- function(folder, size) {
  set.seed(7)
  truth <- c(sum = 0, above = 0, joined = 0, selected = 0)
  names <- sprintf("city %02d", seq_len(cities) - 1)
  factors <- (seq_len(cities) - 1) / cities
  csv <- file(file.path(folder, "people.csv"), "w")
  on.exit(close(csv))
  writeLines("id,city,weight", csv)
  rows <- 0
  while (file.size(file.path(folder, "people.csv")) < size) {
    city <- sample.int(cities, piece, TRUE)
    weight <- round(runif(piece), 9)
    writeLines(sprintf("%d,%s,%.9f", as.integer(rows + seq_len(piece)), names[city], weight), csv)
    flush(csv)
    rows <- rows + piece
    truth["sum"] <- truth["sum"] + sum(weight)
    truth["joined"] <- truth["joined"] + sum(factors[city] * weight)
    truth["selected"] <- truth["selected"] + sum(weight[city == 8])
  }
  binary <- file(file.path(folder, "numbers.f8"), "wb")
  on.exit(close(binary), add = TRUE)
  count <- 0
  while (count * 8 < size) {
    numbers <- runif(piece)
    writeBin(numbers, binary)
    count <- count + piece
    truth["above"] <- truth["above"] + sum(numbers > 0.9)
  }
  truth
}

# Plain R; that the vectors are lazy is nowhere to be seen.
work <- function(task, people, numbers) {
  answer <- switch(task,
    sum = sum(people$weight),
    above = sum(numbers > 0.9),
    selected = sum(people$weight[people$city == "city 07"]),
    joined = {
      factors <- data.frame(city = sprintf("city %02d", 0:99), factor = (0:99) / 100)
      total <- 0
      for (first in seq(1, nrow(people), by = 50000)) {
        rows <- people[first:min(first + 49999, nrow(people)), ]
        both <- merge(rows, factors, by = "city")
        total <- total + sum(both$weight * both$factor)
      }
      total
    })
  list(task = task, answer = answer, process = Sys.getpid())
}

draw <- function(samples, budget, path) {
  grDevices::png(path, 800, 400)
  on.exit(grDevices::dev.off())
  plot(samples$seconds, samples$held / 2^20, type = "l", xlab = "seconds", ylab = "MiB",
       main = "What lazy vectors hold", ylim = c(0, budget / 2^20 * 1.2))
  abline(h = budget / 2^20, col = "red", lty = 2)
  legend("bottomright", c("in memory", "budget"), col = c("black", "red"), lty = 1:2)
}

run <- function(folder, budget, times, png) {
  truth <- make_files(folder, budget * times)
  for (file in list.files(folder, full.names = TRUE))
    cat(sprintf("%s: %.0f MiB, %.1f budgets\n", basename(file), file.size(file) / 2^20, file.size(file) / budget))
  people <- lazyCsv(file.path(folder, "people.csv"), progress = FALSE)
  numbers <- lazyBinary(file.path(folder, "numbers.f8"))
  begun <- proc.time()[["elapsed"]]
  held <- function() lazyUsage()[["resident"]]
  samples <- list()
  tasks <- names(truth)
  workers <- lapply(tasks, function(task) parallel::mcparallel(work(task, people, numbers)))
  answers <- list()
  while (length(workers)) {
    samples[[length(samples) + 1L]] <- c(proc.time()[["elapsed"]] - begun, held())
    done <- parallel::mccollect(workers, wait = FALSE, timeout = 0.05)
    answers <- c(answers, done)
    workers <- Filter(function(worker) !worker$pid %in% names(done), workers)
  }
  samples[[length(samples) + 1L]] <- c(proc.time()[["elapsed"]] - begun, held())
  samples <- data.frame(seconds = vapply(samples, `[`, 1, 1L), held = vapply(samples, `[`, 1, 2L))
  wrong <- 0
  for (found in answers) {
    if (inherits(found, "try-error")) stop(found)
    expected <- truth[[found$task]]
    good <- isTRUE(all.equal(found$answer, expected, tolerance = 1e-9))
    wrong <- wrong + !good
    cat(sprintf("%s in process %d: %.10g, %s\n", found$task, found$process, found$answer,
                if (good) "as expected" else sprintf("but it is %.10g", expected)))
  }
  usage <- lazyUsage()
  cat(sprintf("%.0f chunks filled, %.0f given back in %.1f s\n", usage[["fills"]], usage[["evictions"]],
              max(samples$seconds)))
  cat(sprintf("in memory at most %.1f MiB of %.1f\n", max(samples$held) / 2^20, budget / 2^20))
  if (nzchar(png)) {
    draw(samples, budget, png)
    cat("drawn:", png, "\n")
  }
  if (wrong || max(samples$held) > budget) 1L else 0L
}

main <- function(given) {
  options <- list(budget = "64M", times = "4", png = "")
  for (k in seq(1, by = 2, length.out = length(given) / 2)) {
    name <- sub("^--", "", given[k])
    if (!name %in% names(options)) stop("usage: main.R [--budget 64M] [--times 4] [--png FILE]", call. = FALSE)
    options[[name]] <- given[k + 1]
  }
  budget <- bytes_of(options$budget)
  before <- lazyBudget()
  folder <- tempfile("bigger-", Sys.getenv("TMPDIR", "/var/tmp"))
  dir.create(folder)
  on.exit({
    unlink(folder, recursive = TRUE)
    lazyBudget(before)
  })
  lazyBudget(budget)
  run(folder, budget, as.numeric(options$times), options$png)
}

status <- main(commandArgs(TRUE))
quit(status = status)
