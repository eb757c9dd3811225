# The package's library, and the core as a static library for other packages.
dest <- file.path(R_PACKAGE_DIR, paste0("libs", R_ARCH))
dir.create(dest, recursive = TRUE, showWarnings = FALSE)
file.copy(Sys.glob(paste0("*", SHLIB_EXT)), dest, overwrite = TRUE)
lib <- file.path(R_PACKAGE_DIR, paste0("lib", R_ARCH))
dir.create(lib, recursive = TRUE, showWarnings = FALSE)
file.copy("libonecopy.a", lib, overwrite = TRUE)
