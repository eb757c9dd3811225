# A file of 16-bit numbers n as the vector of scale * n + offset. Nothing is read before it is touched; all processes of
# this user share what was read. With writable = TRUE, x[i] <- value goes to the file when the memory is needed, or by
# lazyFlush(x).
scaledFile <- function(path, scale = 1, offset = 0, writable = FALSE) {
  attachShared(.Call(scaled_file, normalizePath(path, mustWork = FALSE), as.double(scale), as.double(offset),
                     isTRUE(writable)))
}
