# What the R workers share that has nothing to do with flights.

# Bytes that belong to this process alone: memory it allocated, and pages of shared memory that it wrote to.
privateBytes <- function() {
  invisible(gc())
  line <- grep("^Anonymous:", readLines("/proc/self/smaps_rollup"), value = TRUE)
  1024 * as.numeric(gsub("[^0-9]", "", line))
}

report <- new.env()

# Runs the attaching expression, then waits until every worker has attached.
attaching <- function(expression) {
  before <- privateBytes()
  seconds <- system.time(value <- expression)[["elapsed"]]
  report$attach <- seconds
  report$before <- before
  report$attached <- privateBytes() - before
  meet()
  value
}

meet <- function() {
  folder <- Sys.getenv("FLIGHTS_OUT")
  file.create(file.path(folder, paste0(Sys.getenv("FLIGHTS_WORKER"), ".ready")))
  while (!file.exists(file.path(folder, "go"))) Sys.sleep(0.01)
  report$working <- proc.time()[["elapsed"]]
}

# Writes the answers, a named numeric vector, and the measurements.
answer <- function(answers, topic) {
  out <- file.path(Sys.getenv("FLIGHTS_OUT"), paste0(Sys.getenv("FLIGHTS_WORKER"), ".tsv"))
  lines <- sprintf("%s\t%s\t%.17g", topic, names(answers), answers)
  cat(lines, file = out, sep = "\n", append = TRUE)
}

finish <- function() {
  out <- file.path(Sys.getenv("FLIGHTS_OUT"), paste0(Sys.getenv("FLIGHTS_WORKER"), ".tsv"))
  measured <- c(attach_seconds = report$attach, attached_bytes = report$attached,
                grown_bytes = privateBytes() - report$before,
                work_seconds = proc.time()[["elapsed"]] - report$working)
  cat(sprintf("measured\t%s\t%.17g", names(measured), measured), file = out, sep = "\n", append = TRUE)
}
