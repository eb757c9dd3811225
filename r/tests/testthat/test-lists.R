# Long lists: views from R 4.3 on, ordinary lists of views before. What users see is the same.

test_that("lists of short vectors", {
  l <- lapply(1:1000, function(i) i * 1.5)
  names(l) <- paste0("n", 1:1000)
  s <- share(l)
  expect_identical(s[["n7"]], 10.5)
  expect_true(identical(unshare(s), l))
  expect_identical(sum(unlist(s)), sum(unlist(l)))
  expect_identical(unserialize(serialize(s, NULL))[[1000]], 1500)
  expect_identical(is.shared(s), getRversion() >= "4.3.0")
  expect_identical(attachShared(sharedHandle(share(l, minLength = 1)))[[3]][], 4.5)
})

test_that("long lists of everything", {
  l <- rep(list(1:10, "x", NULL, c(a = 1, b = 2, c = 3), list(1, letters), factor(c("u", "v", "u")), TRUE), 20)
  s <- share(l)
  expect_true(is.shared(s))
  expect_true(identical(unshare(s), l))
  expect_identical(lapply(s, length), lapply(l, length))
  expect_identical(s[c(1, NA, 500)], l[c(1, NA, 500)])
  expect_true(identical(unserialize(serialize(s, NULL)), l))
  expect_true(identical(attachShared(sharedHandle(s)), l))
  expect_identical(in_child(function(s) list(length(s), s[[4]][["b"]]), list(s)), list(140L, 2))
  t <- s
  t[[1]][2] <- 99L
  t[[2]] <- NULL
  expect_identical(t[[1]], replace(1:10, 2, 99L))
  expect_true(identical(unshare(s), l))
  expect_error(sharedHandle(t), "share")
  expect_identical(rev(s)[[1]], TRUE)
  expect_identical(c(s, 1)[[141]], 1)
  for (i in 1:5) gc(FALSE)
  expect_identical(s[[7]], TRUE)
})

test_that("a long list with a function in it keeps the function", {
  f <- local({
    n <- 0
    function() n <<- n + 1
  })
  s <- share(c(list(f), as.list(1:100), list(c(1, 2, 3))))
  expect_identical(s[[1]], f)
  s[[1]]()
  expect_identical(unserialize(serialize(s, NULL))[[1]](), 2)
})

test_that("a long list that is gone", {
  l <- lapply(1:100, function(i) c(i, 2, 3))
  s <- share(l)
  wire <- serialize(s, NULL)
  freeSharedMemory(sharedObjectProperties(s[[1]], dataId))
  rm(s)
  gc()
  x <- unserialize(wire)
  expect_length(x, 100)
  expect_error(sum(x[[1]]), class = "onecopy_not_found")
})
