# Handles in flight, objects that are gone, other processes.

test_that("a worker that has not loaded the package uses the shared memory", {
  s <- share(as.numeric(1:1000))
  answer <- in_child(function(x) list(sum(x), onecopy::is.shared(x), length(serialize(x, NULL))), list(s))
  expect_identical(answer[1:2], list(500500, TRUE))
  expect_lte(answer[[3]], 200)
})

test_that("an object outlives its creator while its handle is in flight", {
  h <- in_child(function() onecopy::sharedHandle(onecopy::share(c(1, 2, 3))))
  expect_identical(attachShared(h)[], c(1, 2, 3))
  x <- in_child(function() onecopy::share(c(4, 5, 6)))
  expect_true(is.shared(x))
  expect_identical(x[], c(4, 5, 6))
  back <- in_child(function(x) x, list(x))
  expect_identical(back[], c(4, 5, 6))
})

test_that("what nobody holds is gone", {
  s <- share(as.numeric(1:1000))
  id <- sharedObjectProperties(s, dataId)
  expect_true(hasSharedMemory(id))
  rm(s)
  gc()
  expect_false(hasSharedMemory(id))
})

test_that("a part keeps the whole", {
  s <- share(list(a = c(1, 2, 3), b = c("x", "y", "z")))
  part <- s$b
  rm(s)
  gc()
  expect_identical(part[], c("x", "y", "z"))
})

test_that("an object that is gone is an error where it is used, not where it arrives", {
  values <- list(c(1, 2, 3), 1:3, c(TRUE, NA, FALSE), c("a", "b", "c"), as.raw(1:3), c(1i, 2i, 3i))
  for (v in values) {
    s <- share(v)
    wire <- serialize(s, NULL)
    freeSharedMemory(sharedObjectProperties(s, dataId))
    # Still held here, and still good: what travels now is the data.
    expect_true(identical(s, v))
    expect_true(identical(in_child(function(x) x, list(s)), v))
    rm(s)
    gc()
    x <- unserialize(wire)
    expect_identical(typeof(x), typeof(v))
    expect_length(x, 3)
    expect_false(is.shared(x))
    expect_error(x[1], class = "onecopy_not_found")
    expect_error(x[[1]], class = "onecopy_error")
    expect_error(print(x), class = "onecopy_error")
    expect_error(x == x[2], class = "onecopy_error")
    expect_error(unshare(x), class = "onecopy_error")
    expect_error(share(x), class = "onecopy_error")
    expect_error(share(list(x)), class = "onecopy_error")
    expect_identical(typeof(unserialize(serialize(x, NULL))), typeof(v))
  }
  d <- share(data.frame(a = as.numeric(1:5), b = 1:5))
  wire <- serialize(d, NULL)
  freeSharedMemory(sharedObjectProperties(d$a, dataId))
  rm(d)
  gc()
  d <- unserialize(wire)
  expect_s3_class(d, "data.frame")
  expect_error(d$a[1], class = "onecopy_not_found")
})

test_that("garbage in place of a handle", {
  expect_error(attachShared("nonsense"), class = "onecopy_invalid_argument")
  expect_error(attachShared(""), class = "onecopy_error")
  expect_error(attachShared(NA_character_), "handle")
  expect_error(attachShared(1), "handle")
  expect_error(attachShared(c("a", "b")), "handle")
  expect_error(attachShared(), "Give one of")
  expect_error(attachShared("a", name = "b"), "Give one of")
  expect_error(attachShared(name = "there is no such name"), class = "onecopy_not_found")
  expect_error(attachShared(path = "/nowhere/at/all"), class = "onecopy_not_found")
  h <- sharedHandle(share(c(1, 2, 3)))
  parts <- strsplit(h, ":")[[1]]
  other_host <- paste(c(parts[1:2], "0123456789abcdef", parts[4], strrep("a", 32)), collapse = ":")
  expect_error(attachShared(other_host), class = "onecopy_wrong_host")
  gone <- sub("[0-9a-f]{32}", strrep("a", 32), h)
  expect_error(attachShared(gone), class = "onecopy_not_found")
  expect_error(attachShared(paste0(h, "/99999")), class = "onecopy_error")
  state <- serialize(share(as.numeric(1:100)), NULL)
  # The last 52 bytes are ours and the mark of no attributes; before them is R's own frame, which R doesn't check.
  for (i in length(state) - 51:4) {
    broken <- state
    broken[i] <- xor(broken[i], as.raw(0x5a))
    try(suppressWarnings(length(unserialize(broken))), silent = TRUE)
  }
  succeed()
})

test_that("names", {
  s <- share(c(1, 2, 3), name = "prices")
  expect_identical(attachShared(name = "prices")[], c(1, 2, 3))
  expect_error(share(c(4, 5, 6), name = "prices"), class = "onecopy_exists")
  expect_identical(attachShared(name = "prices")[], c(1, 2, 3))
  t <- share(c(4, 5, 6), name = "prices", replace = TRUE)
  expect_identical(attachShared(name = "prices")[], c(4, 5, 6))
  expect_identical(s[], c(1, 2, 3))
  expect_identical(in_child(function() onecopy::attachShared(name = "prices")[2]), 5)
  expect_error(share(1:3, name = 7), "name")
  expect_error(share(1:3, name = "a\nb"), class = "onecopy_error")
  expect_error(share(1:3, name = strrep("x", 5000)), class = "onecopy_error")
  expect_error(share(as.symbol("x"), name = "symbol"), "cannot be given a name")
})

test_that("files", {
  path <- tempfile(fileext = ".onecopy")
  s <- share(list(a = c(1, 2, 3), b = letters), path = path)
  expect_true(file.exists(path))
  expect_identical(unshare(attachShared(path = path)), list(a = c(1, 2, 3), b = letters))
  expect_identical(unserialize(serialize(s, NULL))$b[], letters)
  expect_lte(wire_size(s$a), 300)
  expect_identical(in_child(function(x) x$b[2], list(s)), "b")
  writeBin(as.raw(1:100), path2 <- tempfile())
  expect_error(attachShared(path = path2), class = "onecopy_corrupt")
  unlink(c(path, path2))
})

test_that("saveRDS keeps the handle; unshare keeps the data", {
  s <- share(as.numeric(1:1000))
  saveRDS(s, path <- tempfile())
  expect_lt(file.size(path), 400)
  expect_identical(readRDS(path)[], as.numeric(1:1000))
  saveRDS(unshare(s), path)
  expect_gt(file.size(path), 400)
  unlink(path)
})

test_that("forked children", {
  skip_if_not_installed("parallel")
  s <- share(as.numeric(1:1e5))
  # In a process that has no children of callr: see test-parallel.R.
  found <- in_child(function(s) {
    sums <- parallel::mclapply(1:4, function(i) {
      total <- sum(s)
      y <- s
      y[1] <- i
      s <<- NULL
      gc()
      total + y[1]
    }, mc.cores = 2, mc.preschedule = FALSE)
    made <- parallel::mclapply(1:2, function(i) onecopy::share(as.numeric(1:10) * i), mc.cores = 2)
    list(sums, s[1:2], made[[2]][])
  }, list(s))
  expect_identical(found, list(lapply(1:4, function(i) 5000050000 + i), c(1, 2), as.numeric(1:10) * 2))
  expect_identical(s[1:2], c(1, 2))
  expect_true(hasSharedMemory(sharedObjectProperties(s, dataId)))
})

test_that("a killed process leaves nothing", {
  skip_if_not_installed("callr")
  p <- callr::r_bg(function() {
    x <- onecopy::share(as.numeric(1:1000))
    cat(onecopy::sharedObjectProperties(x, dataId), "\n", sep = "")
    flush(stdout())
    Sys.sleep(60)
  }, stdout = "|", libpath = .libPaths())
  id <- character()
  while (!length(id) && p$is_alive()) {
    p$poll_io(1000)
    id <- p$read_output_lines(n = 1)
  }
  expect_true(hasSharedMemory(id))
  p$kill()
  p$wait()
  collectSharedMemory()
  expect_false(hasSharedMemory(id))
})

test_that("writable objects: workers write, the master sees it", {
  x <- SharedObject("numeric", 100, attrib = list(dim = c(10L, 10L)), copyOnWrite = FALSE)
  in_child(function(x) {
    x[3, ] <- 1:10
    NULL
  }, list(x))
  expect_identical(x[3, ], as.numeric(1:10))
  y <- attachShared(sharedHandle(x))
  y[1, 1] <- 7
  expect_identical(x[1, 1], 7)
  z <- attachShared(sharedHandle(x), copyOnWrite = TRUE)
  z[1, 1] <- 8
  expect_identical(x[1, 1], 7)
  x[2, 2] <- 5
  x[5, ] <- x[3, ] * 2
  expect_identical(y[5, ], (1:10) * 2)
  expect_error(setCopyOnWrite(share(1:3), FALSE), class = "onecopy_permission")
})
