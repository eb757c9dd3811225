test_that("what is no record, or not there, is refused with the reason", {
  expect_error(attachRecord(), "Give one of")
  expect_error(attachRecord(name = "a", path = "b"), "Give one of")
  expect_error(attachRecord(name = "nobody-made-this-record"), class = "onecopy_not_found")
  expect_error(attachRecord(path = tempfile()), class = "onecopy_not_found")
  expect_error(attachRecord(path = NA_character_), class = "onecopy_invalid_argument")
  x <- share(c(1, 2, 3))
  expect_error(attachRecord(sharedHandle(x)), class = "onecopy_wrong_type")
  damaged <- tempfile()
  writeBin(as.raw(0:255), damaged)
  on.exit(unlink(damaged))
  expect_error(attachRecord(path = damaged), class = "onecopy_corrupt")
  expect_error(withRecord(list(), 1), "record", class = "onecopy_invalid_argument")
  stale <- structure(list(pointer = 1), class = "onecopyRecord")
  expect_error(stale$bar, class = "onecopy_invalid_argument")
})

test_that("R makes records that lie as C compilers lay them out", {
  path <- tempfile()
  state <- createRecord("Foo", c(flag = "bool", bar = "int32", label = "char[8]", wide = "float64", row = "float32[3]"),
                        path = path, values = list(bar = 7, label = "h\u00e9"))
  expect_identical(names(state), c("flag", "bar", "label", "wide", "row"))
  expect_identical(as.list(state), list(flag = FALSE, bar = 7L, label = "h\u00e9", wide = 0, row = c(0, 0, 0)))
  state$bar <- 31337L
  withRecord(state, { state$wide <- 2.5; state$row <- 1:3 })
  again <- attachRecord(path = path)
  expect_identical(again$bar, 31337L)
  expect_identical(again$row, c(1, 2, 3))
  # Made by two, it is the same one, and keeps what it has.
  same <- createRecord("Foo", c(flag = "bool", bar = "int32", label = "char[8]", wide = "float64", row = "float32[3]"),
                       path = path, values = list(bar = 0))
  expect_identical(same$bar, 31337L)
  expect_error(createRecord("Foo", c(flag = "bool", bar = "int64"), path = path), class = "onecopy_wrong_type")
  expect_error(createRecord("Other", c(flag = "bool"), path = path), class = "onecopy_wrong_type")
})

test_that("records have names, or handles, and outlive who made them", {
  state <- createRecord("Pair", c(bar = "int32", baz = "int32"), name = "pair of the tests")
  expect_identical(attachRecord(name = "pair of the tests")$bar, 0L)
  out <- in_child(function() {
    state <- onecopy::attachRecord(name = "pair of the tests")
    for (i in 1:1000) onecopy::withRecord(state, { state$bar <- state$bar + 1L; state$baz <- state$baz - 1L })
    onecopy::sharedHandle(onecopy::createRecord("Kept", c(x = "float64"), name = "kept by the tests", keep = TRUE,
                                                values = list(x = 4)))
  })
  expect_identical(as.list(state), list(bar = 1000L, baz = -1000L))
  expect_identical(attachRecord(out)$x, 4)
  freeSharedMemory(sub(".*:([0-9a-f]+)$", "\\1", out))
  expect_error(attachRecord(out), class = "onecopy_not_found")
  nameless <- createRecord("Pair", c(bar = "int32"))
  nameless$bar <- 5L
  expect_identical(attachRecord(sharedHandle(nameless))$bar, 5L)
})

test_that("what is no struct, or does not fit it, is refused and nothing is made", {
  path <- tempfile()
  for (bad in list(c(a = "int33"), c(a = "int32[0]"), c(a = "int32["), c("int32"), c(a = "int32", a = "int32"), c(a = NA),
                   list(a = "int32"), character(), c(a = "char"), c(a = "char[2,2]"), c(a = "float64[2000000000]"))) {
    expect_error(createRecord("Foo", bad, path = path))
  }
  fields <- c(a = "int8", b = "char[2]")
  for (bad in list(list(a = 128), list(a = 1.5), list(b = "long"), list(c = 1), list(1), list(a = 1, a = 2))) {
    expect_error(createRecord("Foo", fields, path = path, values = bad))
  }
  expect_error(createRecord(1, fields, path = path), class = "onecopy_invalid_argument")
  expect_error(createRecord("Foo", fields, path = path, name = "a"), "not both")
  expect_error(createRecord("Foo", fields, path = path, keep = TRUE), "keep")
  expect_error(createRecord("Foo", fields, path = file.path(tempfile(), "none")), class = "onecopy_not_found")
  expect_false(file.exists(path))
})
