# Says of each message that its parent sends what kind of error it is, or ok; then that it still lives.
library(onecopy)

open_now <- function() length(list.files("/proc/self/fd"))
kind_of <- function(wrong) if (is.null(wrong$kind)) class(wrong)[1L] else wrong$kind

verdict <- function(parent) {
  got <- tryCatch(receiveSharedMessage(parent, timeout = 60), onecopy_error = identity)
  if (inherits(got, "error")) return(kind_of(got))
  for (one in got$objects) {
    if (inherits(one, "onecopy_error")) return(kind_of(one))
    wrong <- tryCatch({ sum(one); NULL }, error = identity)
    if (!is.null(wrong)) return(kind_of(wrong))
  }
  rm(got)
  "ok"
}

parent <- inheritedChannel()
before <- open_now()
repeat {
  said <- verdict(parent)
  if (said == "peer_closed") break
  invisible(gc())
  extra <- open_now() - before
  cat(if (extra <= 4) said else paste0(said, ", and ", extra, " descriptors left open"), "\n", sep = "")
  flush(stdout())
}
cat("lives\n")
