# Changes the state until its input is closed; prints how many steps it has done, now and then.
library(onecopy)

say <- function(...) {
  cat(..., "\n")
  flush(stdout())
}

repair <- function(state) {
  state$baz <- -state$bar
  say("repaired")
}

step <- function(state, dawdle) {
  withRecord(state, timeout = 60, repair = repair, {
    state$bar <- state$bar + 1L
    if (dawdle) Sys.sleep(0.003)
    state$baz <- state$baz - 1L
  })
}

state <- attachRecord(path = commandArgs(trailingOnly = TRUE)[[1L]])
input <- file("stdin", "r", blocking = FALSE)
steps <- 0L
while (length(readLines(input)) == 0L) {
  step(state, dawdle = runif(1) < 0.2)
  steps <- steps + 1L
  if (steps %% 10L == 0L) say("steps", steps)
  Sys.sleep(0.001)
}
say("done", steps)
