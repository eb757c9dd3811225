# The page that describes SharedObject, from top to bottom: every example with the result that it shows.

test_that("quick example: a shared matrix is the matrix", {
  A1 <- matrix(1:9, 3, 3)
  A2 <- share(A1)
  expect_identical(capture.output(print(A2)), capture.output(print(A1)))
  expect_true(identical(A1, A2))
  expect_false(is.shared(A1))
  expect_true(is.shared(A2))
})

test_that("quick example: a cluster gets it", {
  skip_if_not_installed("parallel")
  A2 <- share(matrix(1:9, 3, 3))
  cl <- parallel::makeCluster(1)
  on.exit(parallel::stopCluster(cl))
  parallel::clusterExport(cl, "A2", envir = environment())
  expect_identical(parallel::clusterEvalQ(cl, onecopy::is.shared(A2)), list(TRUE))
  expect_identical(parallel::clusterEvalQ(cl, A2), list(matrix(1:9, 3, 3)))
})

test_that("quick example: only a handle is serialized", {
  x1 <- rep(0, 10000)
  x2 <- share(x1)
  expect_gt(length(serialize(x1, NULL)), 80000)
  expect_lte(length(serialize(x2, NULL)), 200)
  expect_identical(unserialize(serialize(x2, NULL)), x1)
})

test_that("from scratch", {
  expect_identical(SharedObject(mode = "integer", length = 6)[], integer(6))
  x <- SharedObject(mode = "integer", length = 6, attrib = list(dim = c(2L, 3L)))
  expect_identical(unshare(x), matrix(0L, 2, 3))
  expect_true(is.shared(x))
})

test_that("properties", {
  A2 <- share(matrix(1:9, 3, 3))
  p <- sharedObjectProperties(A2)
  expect_identical(names(p), c("dataId", "length", "totalSize", "dataType", "ownData", "copyOnWrite", "sharedSubset",
                               "sharedCopy"))
  expect_type(p$dataId, "character")
  expect_equal(p[-1], list(length = 9, totalSize = 36, dataType = 13, ownData = TRUE, copyOnWrite = TRUE,
                           sharedSubset = FALSE, sharedCopy = FALSE))
  expect_true(hasSharedMemory(p$dataId))
})

test_that("properties: get and set one by one", {
  A2 <- share(matrix(1:9, 3, 3), copyOnWrite = FALSE)
  setCopyOnWrite(A2, TRUE)
  expect_true(getCopyOnWrite(A2))
  expect_false(getSharedSubset(A2))
  expect_false(getSharedCopy(A2))
  setCopyOnWrite(A2, FALSE)
  setSharedSubset(A2, TRUE)
  setSharedCopy(A2, TRUE)
  expect_false(getCopyOnWrite(A2))
  expect_true(getSharedSubset(A2))
  expect_true(getSharedCopy(A2))
})

test_that("supported types: what cannot be shared", {
  x <- list(A = 1:3, B = as.symbol("x"))
  shared_x <- share(x)
  expect_identical(shared_x, x)
  message <- tryCatch(share(x, mustWork = TRUE), error = function(msg) msg$message)
  expect_identical(message, paste0(
    "The object of the class <name> cannot be shared.\n",
    "To suppress this error and return the same object,\n",
    "provide `mustWork = FALSE` as a function argument\n",
    "or change its default value in the package settings\n"))
  expect_true(is.shared(shared_x))
  expect_identical(is.shared(shared_x, depth = 1), list(A = TRUE, B = FALSE))
})

test_that("package options", {
  expect_identical(sharedObjectPkgOptions(), list(
    mustWork = FALSE, sharedAttributes = TRUE, copyOnWrite = TRUE, sharedSubset = FALSE, sharedCopy = FALSE,
    minLength = 3L))
  sharedObjectPkgOptions(mustWork = TRUE)
  expect_true(sharedObjectPkgOptions("mustWork"))
  expect_error(share(as.symbol("x")), "cannot be shared")
  expect_identical(share(as.symbol("x"), mustWork = FALSE), as.symbol("x"))
  sharedObjectPkgOptions(mustWork = FALSE)
  expect_false(sharedObjectPkgOptions(mustWork))
})

test_that("copy-on-write", {
  x1 <- share(1:4)
  x2 <- x1
  expect_true(is.shared(x2))
  x2[1] <- 10L
  expect_false(is.shared(x2))
  expect_identical(x1[], 1:4)
  expect_identical(x2, c(10L, 2L, 3L, 4L))
})

test_that("copy-on-write off", {
  x1 <- share(1:4, copyOnWrite = FALSE)
  x2 <- x1
  expect_true(is.shared(x2))
  x2[1] <- 0L
  expect_true(is.shared(x2))
  expect_identical(x1[], c(0L, 2L, 3L, 4L))
  expect_identical(x2[], c(0L, 2L, 3L, 4L))
})

test_that("copy-on-write off: the page's surprise does not happen here", {
  x <- share(1:4, copyOnWrite = FALSE)
  expect_identical(-x, -(1:4))
  expect_identical(x[], 1:4)
  y <- x + 1L
  y <- sqrt(x)
  y <- !x
  y <- x * x
  expect_identical(x[], 1:4)
})

test_that("copy-on-write switched on later", {
  x1 <- share(1:4, copyOnWrite = FALSE)
  x2 <- x1
  x2[1] <- 0L
  expect_identical(x1[], c(0L, 2L, 3L, 4L))
  expect_identical(x2[], c(0L, 2L, 3L, 4L))
  setCopyOnWrite(x2, TRUE)
  x2[2] <- 0L
  expect_identical(x1[], c(0L, 2L, 3L, 4L))
  expect_identical(x2[], c(0L, 0L, 3L, 4L))
})

test_that("warning: a value of a richer type makes a regular object", {
  x1 <- share(1:4, copyOnWrite = FALSE)
  x2 <- x1
  x2[1] <- 1.5
  expect_false(is.shared(x2))
  expect_identical(x1[], 1:4)
})

test_that("shared copy", {
  x1 <- share(1:4)
  x2 <- x1
  expect_true(is.shared(x2))
  x2[1] <- 0L
  expect_false(is.shared(x2))

  x1 <- share(1:4, sharedCopy = TRUE)
  x2 <- x1
  expect_true(is.shared(x2))
  x2[1] <- 0L
  expect_true(is.shared(x2))
  expect_identical(x1[], 1:4)
  expect_identical(x2[], c(0L, 2L, 3L, 4L))
  expect_false(identical(sharedObjectProperties(x1, dataId), sharedObjectProperties(x2, dataId)))
})

test_that("listing", {
  x <- share(1:10)
  listed <- listSharedObjects()
  expect_identical(names(listed), c("Id", "size"))
  expect_true(sharedObjectProperties(x, dataId) %in% listed$Id)
  expect_equal(listed$size %% 4096, rep(0, nrow(listed)))
  id <- sharedObjectProperties(x, "dataId")
  freeSharedMemory(id)
  expect_false(id %in% listSharedObjects()$Id)
  expect_identical(x[], 1:10)
})

test_that("three levels of interface: a share method of one's own", {
  setClass("OnecopyTestBox", representation(inside = "numeric"))
  on.exit(removeClass("OnecopyTestBox"))
  setMethod("share", "OnecopyTestBox", function(x, ...) {
    x@inside <- share(x@inside + 1)
    x
  })
  on.exit(removeMethod("share", "OnecopyTestBox"), add = TRUE, after = FALSE)
  box <- share(new("OnecopyTestBox", inside = c(1, 2, 3)))
  expect_identical(box@inside[], c(2, 3, 4))
  held <- share(list(box = new("OnecopyTestBox", inside = c(1, 2, 3)), n = c(1, 2, 3)))
  expect_identical(held$box@inside[], c(2, 3, 4))
})

test_that("three levels of interface: shared memory", {
  id <- allocateSharedMemory(1000)
  expect_true(hasSharedMemory(id))
  expect_gte(getSharedMemorySize(id), 1000)
  pointer <- mapSharedMemory(id)
  expect_type(pointer, "externalptr")
  expect_true(unmapSharedMemory(id))
  expect_true(freeSharedMemory(id))
  expect_false(hasSharedMemory(id))
})
