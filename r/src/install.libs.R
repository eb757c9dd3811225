# The package's library, the program it starts, and the core as a static library for other packages.
dest <- file.path(R_PACKAGE_DIR, paste0("libs", R_ARCH))
dir.create(dest, recursive = TRUE, showWarnings = FALSE)
file.copy(Sys.glob(paste0("*", SHLIB_EXT)), dest, overwrite = TRUE)
# The pager, beside the library that starts it.
file.copy("onecopy-pager", dest, overwrite = TRUE, copy.mode = TRUE)
lib <- file.path(R_PACKAGE_DIR, paste0("lib", R_ARCH))
dir.create(lib, recursive = TRUE, showWarnings = FALSE)
file.copy("libonecopy.a", lib, overwrite = TRUE)
