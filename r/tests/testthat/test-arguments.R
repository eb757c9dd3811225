# Bad input: an error that names the argument, and never the end of the process.

bad_values <- list(NULL, NA, "x", character(), c(TRUE, FALSE), list(), -1, 1e300, NaN, quote(a), mean, globalenv(), 1i,
                   strrep("x", 1e5), "\n", integer(), as.raw(1))

expect_no_crash <- function(f) {
  for (v in bad_values) tryCatch(suppressWarnings(f(v)), error = function(e) expect_true(nzchar(conditionMessage(e))))
  succeed()
}

test_that("share() names the argument that is wrong", {
  for (a in c("copyOnWrite", "sharedSubset", "sharedCopy", "sharedAttributes", "mustWork")) {
    for (v in list(NA, "x", 1, NULL, c(TRUE, TRUE))) {
      expect_error(do.call(share, c(list(1:10), structure(list(v), names = a))), a)
    }
  }
  for (v in list(-1, NA, "x", c(1, 2), NULL)) expect_error(share(1:10, minLength = v), "minLength")
  expect_error(share(1:10, copyOnwrite = TRUE), "copyOnwrite")
  expect_error(share(1:10, 7), "without a name")
  expect_error(share(1:10, path = "/nowhere/at/all/x"), "there is no directory /nowhere/at/all/",
               class = "onecopy_not_found")
  file <- tempfile(fileext = ".onecopy")
  on.exit(unlink(file))
  share(1:10, path = file)
  expect_error(share(1:10, path = file), "a file is there already", class = "onecopy_exists")
  expect_identical(share(1:10, minLength = 1e300), 1:10)
})

test_that("nothing brings the process down", {
  expect_no_crash(function(v) share(v))
  expect_no_crash(function(v) share(1:10, name = v, replace = TRUE))
  expect_no_crash(function(v) attachShared(v))
  expect_no_crash(function(v) attachShared(name = v))
  expect_no_crash(function(v) attachShared(path = v))
  expect_no_crash(function(v) sharedHandle(v))
  expect_no_crash(function(v) sharedHandle(share(1:10), lease = v))
  expect_no_crash(function(v) is.shared(v, depth = v))
  expect_no_crash(function(v) unshare(v))
  expect_no_crash(function(v) sharedObjectProperties(v))
  expect_no_crash(function(v) setCopyOnWrite(share(1:10), v))
  expect_no_crash(function(v) setSharedCopy(v, TRUE))
  expect_no_crash(function(v) SharedObject("integer", v))
  expect_no_crash(function(v) SharedObject(v, 3))
  expect_no_crash(function(v) SharedObject("integer", 4, attrib = v))
  expect_no_crash(function(v) freeSharedMemory(allocateSharedMemory(v)))
  expect_no_crash(function(v) freeSharedMemory(v))
  expect_no_crash(function(v) mapSharedMemory(v))
  expect_no_crash(function(v) unmapSharedMemory(v))
  expect_no_crash(function(v) hasSharedMemory(v))
  expect_no_crash(function(v) getSharedMemorySize(v))
})

test_that("SharedObject() from scratch", {
  for (mode in c("raw", "logical", "integer", "numeric", "complex")) {
    x <- SharedObject(mode, 5)
    expect_true(is.shared(x))
    expect_identical(unshare(x), vector(mode, 5))
  }
  expect_length(SharedObject("integer", 0), 0)
  expect_error(SharedObject("character", 3))
  expect_error(SharedObject("integer"), "length")
  expect_error(SharedObject("integer", -1), "length")
  expect_error(SharedObject("integer", 1.5), "length")
  expect_error(SharedObject("integer", 5, attrib = list(dim = c(2L, 3L))))
  expect_error(SharedObject("integer", 5, attrib = list(1)), "named")
  expect_error(SharedObject("integer", 5, foo = 1), "foo")
  expect_error(SharedObject("numeric", 1e15), class = "onecopy_error")
  expect_identical(names(SharedObject("integer", 3, attrib = list(names = c("a", "b", "c")))), c("a", "b", "c"))
})

test_that("properties and options that do not exist", {
  x <- share(1:10)
  expect_error(sharedObjectProperties(x, nothing), "nothing")
  expect_error(sharedObjectProperties(x, dataId = "5"), "dataId")
  expect_error(sharedObjectProperties(x, copyOnWrite = NA), "copyOnWrite")
  expect_warning(sharedObjectPkgOptions(nonsense = 1), "nonsense")
  expect_warning(sharedObjectPkgOptions("nonsense"), "nonsense")
  expect_error(sharedObjectPkgOptions(minLength = -1), "minLength")
  expect_error(sharedObjectPkgOptions(mustWork, sharedCopy = TRUE), "mixed")
  what <- "sharedCopy"
  expect_identical(sharedObjectProperties(x, what, literal = FALSE), FALSE)
  expect_identical(sharedObjectPkgOptions(what, literal = FALSE), FALSE)
  expect_null(sharedObjectProperties(1:10))
  expect_null(getCopyOnWrite(1:10))
  old <- setSharedSubset(x, TRUE)
  expect_false(old)
  l <- sharedObjectProperties(share(list(a = 1:10, b = letters)), dataType)
  expect_identical(l, list(a = 13L, b = 16L))
})

test_that("the memory API is vectorised", {
  ids <- allocateSharedMemory(c(10, 2000), name = c("", "onecopy-test-memory"))
  expect_identical(ids[2], "onecopy-test-memory")
  expect_identical(allocateSharedMemory(1000, "onecopy-test-memory"), ids[2])
  expect_error(allocateSharedMemory(1e6, "onecopy-test-memory"), class = "onecopy_exists")
  expect_identical(hasSharedMemory(c(ids, "none")), c(TRUE, TRUE, FALSE))
  expect_identical(getSharedMemorySize(ids), c(10, 2000))
  expect_error(getSharedMemorySize("none"), class = "onecopy_not_found")
  pointers <- mapSharedMemory(ids)
  expect_length(pointers, 2)
  expect_identical(unmapSharedMemory(ids), c(TRUE, TRUE))
  expect_identical(unmapSharedMemory(ids), c(FALSE, FALSE))
  expect_true(in_child(function(id) onecopy::hasSharedMemory(id), list(ids[1])))
  in_child(function(id) onecopy::freeSharedMemory(id), list(ids))
  expect_identical(hasSharedMemory(ids), c(FALSE, FALSE))
  expect_identical(freeSharedMemory(ids), c(FALSE, FALSE))
})

test_that("usage and doctor", {
  x <- share(as.numeric(1:1e5), name = "onecopy-usage")
  u <- sharedMemoryUsage()
  row <- u[u$name == "onecopy-usage", ]
  expect_gte(row$size, 8e5)
  expect_gte(row$holders, 1)
  expect_output(print(u), "onecopy-usage")
  d <- sharedMemoryDoctor()
  expect_true(all(d$state %in% c("ok", "warning", "error")))
  expect_true(all(nzchar(d$remedy[d$state != "ok"])))
})
