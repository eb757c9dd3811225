# Objects that travel as descriptors: the connections of processx, and channels between processes that run.

bundle <- function() {
  list(
    numbers = c(1.5, NA, NaN, Inf), integers = c(1:10, NA), logicals = c(TRUE, NA, FALSE), complex = c(1+2i, NA),
    bytes = as.raw(0:255), strings = c("a", NA, "", "\u00e4\u20ac"), factor = factor(c("x", "y", "x")),
    matrix = matrix(as.numeric(1:6), 2, dimnames = list(c("a", "b"), NULL)), date = as.Date("2024-02-29") + 0:3,
    time = as.POSIXct("2024-02-29 12:00:00", tz = "UTC"), scalar = 42, one_string = "s", one_logical = NA,
    empty = numeric(0), nothing = NULL, nested = list(list(1:3, "x"), pairlist(a = 1)),
    frame = data.frame(i = 1:5, s = letters[1:5], stringsAsFactors = TRUE), formula = y ~ x, call = quote(f(x)),
    fun = function(x) x + 1, long = as.numeric(1:1e5)
  )
}

same <- function(x, y) isTRUE(all.equal(x, y, check.environment = FALSE))

test_that("a child has the data that it is given at birth", {
  skip_if_not_installed("processx")
  skip_if_not_installed("callr")
  x <- bundle()
  con <- shareConnection(x)
  expect_s3_class(con, "processx_connection")
  work <- function() {
    y <- onecopy::receiveShared(3)
    before <- y$long[2]
    z <- y$long
    z[2] <- -1
    list(y, before = before, after = y$long[2], shared = onecopy::is.shared(y$long))
  }
  children <- lapply(1:3, function(i) {
    callr::r_bg(work, connections = list(con), poll_connection = FALSE, libpath = .libPaths())
  })
  for (p in children) {
    p$wait(60000)
    got <- p$get_result()
    expect_true(same(got[[1]], x))
    expect_identical(names(got[[1]]), names(x))
    expect_identical(got[[1]]$factor, x$factor)
    expect_identical(got[[1]]$frame, x$frame)
    expect_identical(got[[1]]$scalar, 42)
    expect_identical(c(got$before, got$after), c(2, 2))
    expect_true(got$shared)
  }
})

test_that("several connections are descriptors 3, 4, ...", {
  skip_if_not_installed("processx")
  skip_if_not_installed("callr")
  cons <- list(shareConnection(1:1000), shareConnection(letters))
  p <- callr::r_bg(function() list(sum(onecopy::receiveShared(3)), onecopy::receiveShared(4L)[26]),
                   connections = cons, poll_connection = FALSE, libpath = .libPaths())
  p$wait(60000)
  expect_identical(p$get_result(), list(500500L, "z"))
})

test_that("the data may be written while the children boot", {
  skip_if_not_installed("processx")
  skip_if_not_installed("callr")
  con <- shareConnection(later = TRUE)
  children <- lapply(1:2, function(i) {
    callr::r_bg(function() sum(onecopy::receiveShared(3, timeout = 60)[[1]]), connections = list(con),
                poll_connection = FALSE, libpath = .libPaths())
  })
  fillConnection(con, list(as.numeric(1:1e5)))
  for (p in children) {
    p$wait(60000)
    expect_identical(p$get_result(), sum(as.numeric(1:1e5)))
  }
  expect_error(fillConnection(con, 1:10), class = "onecopy_invalid_argument")
  expect_error(fillConnection(shareConnection(1:10), 1:10), "later")
  expect_error(shareConnection(), "missing")
  expect_error(shareConnection(1, later = TRUE), "fillConnection")
})

test_that("a child whose data never comes gets an error, and in time", {
  skip_if_not_installed("processx")
  con <- shareConnection(later = TRUE)
  fd <- processx::conn_get_fileno(con)
  expect_error(receiveShared(fd, timeout = 0.05), class = "onecopy_timeout")
  attr(con, "onecopy_pending") <- NULL
  gc()
  expect_error(receiveShared(fd, timeout = 30), class = "onecopy_peer_closed")
})

test_that("descriptors that are none, or hold something else, are errors", {
  expect_error(receiveShared(987654), class = "onecopy_error")
  expect_error(receiveShared("x"), "number of a descriptor")
  expect_error(receiveShared(-1), class = "onecopy_error")
  skip_if_not_installed("processx")
  path <- tempfile()
  writeLines("no region", path)
  con <- processx::conn_create_file(path)
  expect_error(receiveShared(con), class = "onecopy_permission")
})

test_that("objects of all types go over a channel", {
  ends <- channelPair()
  for (x in bundle()) {
    sendShared(ends[[1]], x)
    y <- receiveShared(ends[[2]], timeout = 30)
    expect_true(same(y, x))
    a <- attributes(x)
    plain <- setdiff(names(a), ".Environment")
    expect_identical(sort(as.character(names(attributes(y)))), sort(as.character(names(a))))
    expect_identical(attributes(y)[plain], a[plain])
  }
  sendShared(ends[[2]], bundle())
  expect_true(same(receiveShared(ends[[1]], timeout = 30), bundle()))
})

test_that("a shared object is sent as it is, and what was changed here is sent changed", {
  ends <- channelPair()
  x <- share(as.numeric(1:1e5))
  before <- nrow(listSharedObjects())
  sendShared(ends[[1]], x)
  y <- receiveShared(ends[[2]], timeout = 30)
  expect_identical(nrow(listSharedObjects()), before)
  expect_identical(sharedHandle(y), sharedHandle(x))
  x[1] <- -1
  sendShared(ends[[1]], x)
  expect_identical(receiveShared(ends[[2]], timeout = 30)[1:2], c(-1, 2))
  expect_identical(y[1], 1)
})

test_that("a session that runs already is given objects over a socket", {
  skip_if_not_installed("callr")
  listener <- listenShared()
  session <- callr::r_session$new(callr::r_session_options(libpath = .libPaths()))
  on.exit(session$kill())
  session$call(function(path) {
    channel <- onecopy::connectShared(path)
    repeat {
      x <- onecopy::receiveShared(channel, timeout = 60)
      if (identical(x, "stop")) break
      onecopy::sendShared(channel, x * 2)
    }
    "done"
  }, list(attr(listener, "path")))
  channel <- acceptShared(listener, timeout = 60)
  for (n in c(10, 1e5)) {
    sendShared(channel, as.numeric(seq_len(n)))
    expect_identical(receiveShared(channel, timeout = 60)[n], 2 * n)
  }
  sendShared(channel, "stop")
  session$poll_process(60000)
  expect_identical(session$read()$result, "done")
})

test_that("a process that is killed is an error on the other side, not a wait", {
  skip_if_not_installed("callr")
  listener <- listenShared()
  p <- callr::r_bg(function(path) {
    channel <- onecopy::connectShared(path)
    onecopy::sendShared(channel, as.numeric(1:1e5))
    Sys.sleep(600)
  }, list(attr(listener, "path")), libpath = .libPaths())
  channel <- acceptShared(listener, timeout = 60)
  x <- receiveShared(channel, timeout = 60)
  p$kill()
  expect_error(receiveShared(channel, timeout = 60), class = "onecopy_peer_closed")
  expect_identical(sum(x), sum(as.numeric(1:1e5)))
})

test_that("channels say what is wrong with their arguments", {
  ends <- channelPair()
  expect_error(receiveShared(ends[[1]], timeout = 0.01), class = "onecopy_timeout")
  expect_error(receiveShared(ends[[1]], timeout = -1), class = "onecopy_invalid_argument")
  expect_error(receiveShared(ends[[1]], timeout = "x"), class = "onecopy_invalid_argument")
  expect_error(sendShared("x", 1), "channel")
  expect_error(sendShared(ends[[1]]), "missing")
  close(ends[[2]])
  expect_error(receiveShared(ends[[1]], timeout = 30), class = "onecopy_peer_closed")
  expect_error(sendShared(ends[[2]], 1), class = "onecopy_invalid_argument")
  expect_output(print(ends[[2]]), "closed")
  expect_output(print(ends[[1]]), "descriptor")
  expect_error(connectShared(tempfile(), timeout = 1), class = "onecopy_not_found")
  expect_error(channelFromDescriptor(0), class = "onecopy_error")
  expect_error(acceptShared(1), "listenShared")
  again <- unserialize(serialize(ends[[1]], NULL))
  expect_error(receiveShared(again), class = "onecopy_invalid_argument")
})

test_that("a file is used where it lies", {
  path <- tempfile()
  writeBin(as.numeric(1:10000), path)
  x <- mapSharedFile(path, "numeric")
  expect_identical(sum(x), sum(as.numeric(1:10000)))
  expect_identical(x[c(1, 10000)], c(1, 10000))
  expect_identical(mapSharedFile(path, "numeric", offset = 64, length = 2)[1:2], c(9, 10))
  expect_identical(dim(mapSharedFile(path, "numeric", dim = c(100, 100))), c(100L, 100L))
  expect_identical(length(mapSharedFile(path)), 80000L)
  y <- x
  y[1] <- -1
  expect_identical(x[1], 1)
  expect_identical(readBin(path, "numeric", 1), 1)
  ends <- channelPair()
  sendShared(ends[[1]], x)
  before <- nrow(listSharedObjects())
  y <- receiveShared(ends[[2]], timeout = 30)
  expect_identical(y[10000], 10000)
  sendShared(ends[[2]], y)  # and on, as the file it is: nothing new in the store
  expect_identical(receiveShared(ends[[1]], timeout = 30)[1], 1)
  expect_identical(nrow(listSharedObjects()), before)
  expect_identical(unserialize(serialize(x, NULL))[10000], 10000)
  expect_error(mapSharedFile(tempfile()), "No such file|path")
  expect_error(mapSharedFile(path, "numeric", offset = 8), class = "onecopy_invalid_argument")
  expect_error(mapSharedFile(path, "numeric", length = 10001), class = "onecopy_invalid_argument")
  expect_error(mapSharedFile(path, "numeric", dim = c(3, 3)), class = "onecopy_invalid_argument")
  expect_error(mapSharedFile(tempdir()), class = "onecopy_invalid_argument")
})

test_that("a received file that its sender cuts later is an error and not the end of R", {
  path <- tempfile()
  writeBin(as.numeric(1:100000), path)
  ends <- channelPair()
  sendShared(ends[[1]], mapSharedFile(path, "numeric"))
  x <- receiveShared(ends[[2]], timeout = 30)
  expect_identical(x[100000], 100000)
  system2("truncate", c("-s", "4096", path))
  for (use in list(sum, range, function(x) x + 1, function(x) x[2:3], function(x) { x[1] <- 0; x[2] }, unshare)) {
    expect_error(use(x), class = "onecopy_corrupt")
  }
  expect_error({ sendShared(ends[[2]], x); receiveShared(ends[[1]], timeout = 30) }, class = "onecopy_corrupt")
  sendShared(ends[[1]], "still usable")
  expect_identical(receiveShared(ends[[2]], timeout = 30), "still usable")
})

test_that("a file that is cut short is an error and not the end of R", {
  path <- tempfile()
  writeBin(as.numeric(1:100000), path)
  x <- mapSharedFile(path, "numeric")
  expect_identical(x[100000], 100000)
  expect_identical(x + 1, as.numeric(1:100000) + 1)
  con <- file(path, "r+b")
  seek(con, 800, rw = "write")
  truncate(con)
  close(con)
  Sys.sleep(0.05)  # the file was looked at for `x + 1`, and is at most once in a tick of the kernel's clock
  for (use in list(function(x) x + 1, sort, range, function(x) c(x, 1), function(x) rep(x, 2)))
    expect_error(use(x), class = "onecopy_corrupt")
})
