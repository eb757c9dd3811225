# Called when something large that was shared is copied after all, and options(onecopy.report_copies = bytes) asks to
# know.
warn_copied <- function(bytes, why) {
  calls <- sys.calls()
  calls <- calls[seq_len(max(length(calls) - 1L, 0L))]
  where <- if (length(calls)) deparse(calls[[length(calls)]], width.cutoff = 60L, nlines = 1L) else "top level"
  warning(sprintf("onecopy: a shared vector of %.0f MB is copied in `%s`: %s.", bytes / 1e6, where, why), call. = FALSE)
}
