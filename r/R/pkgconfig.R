# How other packages build against the C++ interface: not exported, as in SharedObject, because it is for Makevars.
#
#   ONECOPY_LIBS = $(shell "${R_HOME}/bin/Rscript" --vanilla -e 'onecopy:::pkgconfig("PKG_LIBS")')
#   PKG_LIBS = $(ONECOPY_LIBS)
#
# The headers are found by `LinkingTo: onecopy`; "PKG_CPPFLAGS" is for builds without it.
pkgconfig <- function(what = c("PKG_LIBS", "PKG_CPPFLAGS")) {
  what <- match.arg(what)
  arch <- .Platform$r_arch
  answer <- if (what == "PKG_LIBS") {
    library <- system.file(paste0("lib", if (nzchar(arch)) paste0("/", arch)), "libonecopy.a", package = "onecopy")
    paste(shQuote(library), "-pthread")
  } else {
    paste0("-I", shQuote(system.file("include", package = "onecopy")))
  }
  cat(answer)
  invisible(answer)
}
