# The package's library, the program it starts, and the core as a static library for other packages.
dest <- file.path(R_PACKAGE_DIR, paste0("libs", R_ARCH))
dir.create(dest, recursive = TRUE, showWarnings = FALSE)
file.copy(Sys.glob(paste0("*", SHLIB_EXT)), dest, overwrite = TRUE)
# Which object file each symbol is from: R CMD check wants it to blame nobody for what the standard library calls.
if (file.exists("symbols.rds")) file.copy("symbols.rds", dest, overwrite = TRUE)
# The pager, beside the library that starts it.
file.copy("onecopy-pager", dest, overwrite = TRUE, copy.mode = TRUE)
lib <- file.path(R_PACKAGE_DIR, paste0("lib", R_ARCH))
dir.create(lib, recursive = TRUE, showWarnings = FALSE)
file.copy("libonecopy.a", lib, overwrite = TRUE)

# What debuggers want takes nine tenths of it. Kept where somebody means to debug the package.
strip <- Sys.which("strip")
if (nzchar(strip) && !nzchar(Sys.getenv("ONECOPY_KEEP_DEBUG"))) {
  made <- c(Sys.glob(file.path(dest, paste0("*", SHLIB_EXT))), file.path(dest, "onecopy-pager"), file.path(lib, "libonecopy.a"))
  for (file in made) system2(strip, c("--strip-debug", shQuote(file)))
}
