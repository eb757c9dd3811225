# Parquet and compressed files, which Python reads for R.
python <- Sys.getenv("ONECOPY_PYTHON", "python3")
needed <- shQuote("import onecopy, pyarrow, zstandard")
ready <- suppressWarnings(system2(python, c("-c", needed), stdout = FALSE, stderr = FALSE)) == 0
skip_if_not(ready, paste(python, "has no onecopy, pyarrow and zstandard"))
run <- function(...) {
  code <- tempfile(fileext = ".py")
  writeLines(enc2utf8(c(...)), code, useBytes = TRUE)
  stopifnot(system2(python, code) == 0)
}

test_that("columns of Parquet are R's", {
  path <- tempfile("a b ", fileext = ".parquet")
  run("import pyarrow as pa, pyarrow.parquet as pq, datetime as d",
      "n = 25000",
      "def gaps(make): return [None if i % 7 == 3 else make(i) for i in range(n)]",
      "t = pa.table({'flag': gaps(lambda i: i % 2 == 0), 'small': pa.array(gaps(lambda i: i - 5), pa.int16()),",
      "  'whole': pa.array(range(n), pa.int32()), 'big': pa.array(gaps(lambda i: i * 10**9), pa.int64()),",
      "  'real': gaps(lambda i: i / 8), 'single': pa.array([i / 2 for i in range(n)], pa.float32()),",
      "  'näme %': gaps(lambda i: f'wörd {i}'), 'code': pa.array([f'c{i % 5}' for i in range(n)]).dictionary_encode(),",
      "  'day': gaps(lambda i: d.date(1969, 12, 30) + d.timedelta(i)),",
      "  'at': gaps(lambda i: d.datetime(1970, 1, 1) + d.timedelta(seconds=i - 2, milliseconds=500))})",
      sprintf("pq.write_table(t, %s, row_group_size=6000)", deparse(path)))
  p <- lazyParquet(path)
  i <- 0:24999
  gap <- function(x) replace(x, i %% 7 == 3, NA)
  expect_s3_class(p, "data.frame")
  expect_equal(lazyStatus(p$big)[["fills"]], 0)
  expect_identical(as.list(lapply(p, as.vector)), list(
    flag = gap(i %% 2 == 0), small = gap(i - 5L), whole = i, big = gap(i * 1e9), real = gap(i / 8), single = i / 2,
    `näme %` = gap(sprintf("wörd %d", i)), code = sprintf("c%d", i %% 5L),
    day = gap(as.numeric(i - 2)), at = gap(i - 1.5)))
  expect_true(is.na(p$real[4]) && !is.nan(p$real[4]))
  expect_identical(p[p$whole > 24997, "big"], gap(i * 1e9)[24999:25000])
  some <- lazyParquet(path, columns = c("whole", "flag"), frame = FALSE)
  expect_identical(names(some), c("whole", "flag"))
  expect_identical(sum(some$whole), sum(i))
  expect_identical(in_child(function(p) p$code[7], list(p)), "c1")
  expect_error(lazyParquet(path, columns = "z"), "no column 'z'")
  writeLines("no parquet", path)
  lazyRelease(p$whole)
  expect_error(p$whole[9], "changed")
  expect_error(lazyParquet(path), "no Parquet file")
  expect_error(lazyParquet(tempfile()), "no such file")
})

test_that("numbers that R does not have are errors of the touch", {
  path <- tempfile(fileext = ".parquet")
  run("import pyarrow as pa, pyarrow.parquet as pq",
      "t = pa.table({'a': pa.array([1, 2**60]), 'b': pa.array([-2**31, 5], pa.int32())})",
      sprintf("pq.write_table(t, %s)", deparse(path)))
  p <- lazyParquet(path)
  expect_error(p$a[1], "1152921504606846976")
  expect_error(p$b[2], "-2147483648")
})

test_that("compressed numbers", {
  path <- tempfile("packed ", fileext = ".zst")
  run("import zstandard, bz2, array", "n = 60000", "whole = array.array('d', range(n)).tobytes()",
      "frames = [zstandard.compress(whole[i:i + 100000]) for i in range(0, len(whole), 100000)]",
      sprintf("open(%s, 'wb').write(b''.join(frames))", deparse(path)),
      "packed = bz2.compress(array.array('i', range(n)).tobytes())",
      sprintf("open(%s, 'wb').write(packed)", deparse(paste0(path, ".bz2"))))
  x <- lazyCompressed(path)
  expect_identical(length(x), 60000L)
  expect_identical(x[c(60000, 1)], c(59999, 0))
  expect_identical(sum(x), sum(as.numeric(0:59999)))
  y <- lazyCompressed(paste0(path, ".bz2"), "integer", offset = 8, length = 10)
  expect_identical(as.vector(y), 2:11)
  expect_identical(lazyCompressed(path, "raw", compression = "zstd")[9:10], as.raw(c(0, 0)))
  expect_error(lazyCompressed(path, length = 1e6), "60000")
  expect_error(lazyCompressed(path, compression = "lz4"), "must be one of")
  expect_error(lazyCompressed(path, offset = -1), "offset")
  writeLines("nothing that was packed", path)
  expect_error(lazyCompressed(path), "damaged")
})

test_that("a Python that is not there, or has no onecopy, is told", {
  path <- tempfile()
  file.create(path)
  expect_error(lazyParquet(path, python = "/nowhere/python"), "no program /nowhere/python.*ONECOPY_PYTHON")
  bare <- tempfile()
  writeLines(c("#!/bin/sh", "echo \"ModuleNotFoundError: No module named 'onecopy'\" >&2; exit 1"), bare)
  Sys.chmod(bare, "755")
  expect_error(lazyParquet(path, python = bare), "No module named 'onecopy'.*name it in `python`")
})
