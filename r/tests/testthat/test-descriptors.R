# Descriptors and messages: children of processx, other users, other languages, and what may go wrong on the way.

# R CMD check refuses one that is found by the PATH: it may be of another R.
rscript <- file.path(R.home("bin"), "Rscript")

# Runs R code in a child of processx that has `con` as its descriptor 3; answers with the lines that it printed.
in_process <- function(con, code, command = rscript, before = character()) {
  script <- tempfile(fileext = ".R")
  writeLines(code, script)
  out <- tempfile()
  p <- processx::process$new(command, c(before, "--vanilla", script), connections = list(con), stdout = out, stderr = "2>&1")
  list(process = p, lines = function() {
    p$wait(60000)
    if (p$is_alive()) p$kill()
    readLines(out)
  })
}

test_that("process$new gives a child its data at birth, in place and private on write", {
  skip_if_not_installed("processx")
  x <- list(numbers = as.numeric(1:1e5), names = c("a", NA), frame = data.frame(i = 1:3, f = factor(c("u", "v", "u"))))
  con <- shareConnection(x)
  child <- in_process(con, '
    library(onecopy)
    x <- receiveShared(3)
    cat(is.shared(x$numbers), sum(x$numbers), is.na(x$names[2]), levels(x$frame$f), nrow(x$frame), "\\n")
    y <- x$numbers
    y[1] <- -1
    cat(x$numbers[1], y[1], "\\n")')
  expect_identical(child$lines(), c("TRUE 5000050000 TRUE u v 3 ", "1 -1 "))
})

test_that("the data is written once, however many children there are", {
  skip_if_not_installed("processx")
  con <- shareConnection(later = TRUE)
  code <- '
    library(onecopy)
    x <- receiveShared(3, timeout = 60)
    cat(sum(x), grep("memfd:", readLines("/proc/self/maps"), value = TRUE)[1], sep = "\\n")'
  children <- lapply(1:4, function(i) in_process(con, code))  # they boot while the data is written
  fillConnection(con, as.numeric(1:1e5))
  said <- lapply(children, function(child) child$lines())
  for (lines in said) expect_identical(lines[1], "5000050000")
  # The same memory: one inode of the one memfd, mapped by all.
  inodes <- vapply(said, function(lines) strsplit(lines[2], " +")[[1]][5], "")
  expect_length(unique(inodes), 1)
  mine <- system2("stat", c("-L", "-c", "%i", sprintf("/proc/%d/fd/%d", Sys.getpid(), processx::conn_get_fileno(con))), stdout = TRUE)
  expect_identical(inodes[1], mine)
})

test_that("more kinds of objects arrive as they were", {
  skip_if_not_installed("processx")
  setClass("Point", representation(x = "numeric", label = "character"), where = globalenv())
  on.exit(removeClass("Point", where = globalenv()))
  environment_with <- new.env()
  environment_with$a <- 1:10
  latin <- "\xe4"
  Encoding(latin) <- "latin1"
  x <- list(s4 = new("Point", x = as.numeric(1:100), label = "p"), environment = environment_with, latin = latin,
            wide = stats::setNames(as.list(1:1000), paste0("n", 1:1000)), array = array(1:24, 2:4),
            pairs = pairlist(a = 1, 2), expression = expression(a + b), many = as.character(1:1e4),
            weights = structure(1:3, class = "special", note = list("deep", 1)), negative_zero = -0, symbol = as.name("s"))
  con <- shareConnection(x)
  y <- receiveShared(con)
  for (name in setdiff(names(x), "environment")) expect_identical(y[[name]], x[[name]])
  expect_identical(y$environment$a, 1:10)
  expect_identical(1 / y$negative_zero, -Inf)
})

test_that("a descriptor is found in /proc, and is not changed by who receives it", {
  skip_if_not_installed("processx")
  con <- shareConnection(as.numeric(1:1e5))
  path <- sprintf("/proc/%d/fd/%d", Sys.getpid(), processx::conn_get_fileno(con))
  out <- system2(rscript, c("--vanilla", "-e", shQuote(sprintf(
    'library(onecopy); c <- processx::conn_create_file("%s"); x <- receiveShared(c); x[1] <- -1; cat(sum(x))', path))),
    stdout = TRUE)
  expect_identical(out, "5000049998")
  expect_identical(sum(receiveShared(con)), 5000050000)
})

test_that("a process of another user reads and cannot write", {
  skip_if_not_installed("processx")
  skip_if(system2("id", "-u", stdout = TRUE) != "0", "only root can become another user")
  skip_if(!nzchar(Sys.which("setpriv")), "there is no setpriv")
  # The library may lie where others have no access: a copy that they can read.
  library <- tempfile("onecopy-for-nobody-", "/dev/shm")
  on.exit(unlink(library, recursive = TRUE))
  dir.create(library)
  parts <- file.path(find.package("onecopy"), c("DESCRIPTION", "INDEX", "NAMESPACE", "Meta", "R", "libs"))
  dir.create(file.path(library, "onecopy"))
  file.copy(parts[file.exists(parts)], file.path(library, "onecopy"), recursive = TRUE)
  script <- file.path(library, "look.R")
  writeLines(sprintf('
    .libPaths("%s")
    Sys.setenv(ONECOPY_DIR = file.path(tempdir(), "store"))
    x <- onecopy::receiveShared(3)
    cat(system2("id", "-u", stdout = TRUE), sum(x), onecopy::is.shared(x), "\\n")
    x[1] <- -1
    cat(x[1], "\\n")
    wrote <- suppressWarnings(system("printf bad 1<>/proc/self/fd/3", ignore.stderr = TRUE)) == 0
    cut <- suppressWarnings(system("truncate -s 0 /proc/self/fd/3", ignore.stderr = TRUE)) == 0
    cat(wrote, cut, "\\n")', library), script)
  system2("chmod", c("-R", "a+rX", library))
  con <- shareConnection(as.numeric(1:1e5))
  out <- file.path(library, "out")
  p <- processx::process$new("setpriv", c("--reuid=65534", "--regid=65534", "--clear-groups", "env", "-u", "R_LIBS",
                             rscript, "--vanilla", script), connections = list(con), stdout = out, stderr = "2>&1", wd = "/")
  p$wait(60000)
  expect_identical(readLines(out), c("65534 5000050000 TRUE ", "-1 ", "FALSE FALSE "))
  expect_identical(receiveShared(con)[1:2], c(1, 2))
})

test_that("a channel is handed to a child at birth", {
  skip_if_not_installed("processx")
  ends <- channelPair()
  con <- processx::conn_create_fd(channelDescriptor(ends[[2]]), close = FALSE)
  child <- in_process(con, '
    library(onecopy)
    parent <- channelFromDescriptor(3)
    sendShared(parent, sum(receiveShared(parent, timeout = 60)))
    try(receiveShared(parent, timeout = 60), silent = TRUE)')
  close(ends[[2]])
  sendShared(ends[[1]], as.numeric(1:1e5))
  expect_identical(receiveShared(ends[[1]], timeout = 60), 5000050000)
  close(ends[[1]])
  expect_identical(child$lines(), character())
  expect_identical(child$process$get_exit_status(), 0L)
  expect_error(channelDescriptor(1), "channel")
  expect_error(inheritedChannel(), class = "onecopy_invalid_argument")
})

test_that("a message has bytes and any number of objects", {
  ends <- channelPair()
  sendSharedMessage(ends[[1]], "h\u00e9llo", list(1:3, as.numeric(1:1e5), share(letters), NULL))
  got <- receiveSharedMessage(ends[[2]], timeout = 30)
  expect_identical(rawToChar(got$bytes), enc2utf8("h\u00e9llo") |> `Encoding<-`("unknown"))
  expect_identical(got$objects[[1]], 1:3)
  expect_identical(got$objects[[2]], as.numeric(1:1e5))
  expect_identical(got$objects[[3]], letters)
  expect_null(got$objects[[4]])
  sendSharedMessage(ends[[1]], as.raw(1:10))
  expect_identical(receiveShared(ends[[2]], timeout = 30), as.raw(1:10))
  sendSharedMessage(ends[[1]])
  expect_identical(receiveSharedMessage(ends[[2]], timeout = 30), list(bytes = raw(), objects = list()))
  sendSharedMessage(ends[[1]], objects = lapply(1:400, function(i) rep(i, 1000)))
  got <- receiveSharedMessage(ends[[2]], timeout = 30)$objects
  expect_identical(vapply(got, function(x) x[1000], 1L), 1:400)
  # What is gone by the time that it is received is an error in its place.
  x <- share(as.numeric(1:1e5))
  y <- share(as.numeric(1:1e5))
  sendSharedMessage(ends[[1]], objects = list(x, y))
  freeSharedMemory(sub(".*:([0-9a-f]+).*", "\\1", sharedHandle(x)))
  rm(x)
  invisible(gc())
  got <- receiveSharedMessage(ends[[2]], timeout = 30)$objects
  expect_s3_class(got[[1]], "onecopy_not_found")
  expect_identical(got[[2]][3], 3)
  expect_error(sendSharedMessage(ends[[1]], 1), class = "onecopy_invalid_argument")
  expect_error(sendSharedMessage(ends[[1]], c("a", "b")), "one string")
  expect_error(sendSharedMessage(ends[[1]], objects = 1:3), "list")
  expect_error(sendSharedMessage(1), "channel")
  expect_error(receiveSharedMessage(3), "channel")
})

test_that("a running session works for several rounds, and its death is noticed", {
  skip_if_not_installed("callr")
  listener <- listenShared()
  session <- callr::r_session$new(callr::r_session_options(libpath = .libPaths()))
  on.exit(session$kill())
  session$call(function(path) {
    channel <- onecopy::connectShared(path)
    repeat {
      x <- onecopy::receiveShared(channel, timeout = 60)
      before <- x$numbers[1]
      x$numbers[1] <- -1  # stays here
      onecopy::sendShared(channel, list(before = before, after = x$numbers[1], shared = onecopy::is.shared(x$text),
                                        frame = x$frame))
    }
  }, list(attr(listener, "path")))
  channel <- acceptShared(listener, timeout = 60)
  x <- share(list(numbers = as.numeric(1:1e5), text = as.character(1:1e4), frame = data.frame(a = 1:3, b = letters[1:3])))
  for (round in 1:3) {
    sendShared(channel, x)
    got <- receiveShared(channel, timeout = 60)
    expect_identical(got, list(before = 1, after = -1, shared = TRUE, frame = x$frame))
  }
  expect_identical(x$numbers[1], 1)
  session$kill()
  expect_error(receiveShared(channel, timeout = 60), class = "onecopy_peer_closed")
  expect_error(for (i in 1:1000) sendShared(channel, x, timeout = 10), class = "onecopy_peer_closed")
})
