# Every exported function, every argument, every kind of wrong value: an error that names the argument and says what it
# must be. The table is complete: a function that is exported and not in it fails the last test.

wrong_values <- list(
  "NULL" = NULL, "NA" = NA, "NA_character_" = NA_character_, "NA_real_" = NA_real_, "NaN" = NaN,
  "no string" = character(), "no number" = numeric(), "empty list" = list(), "word" = "nonsense", "empty string" = "",
  "two words" = c("a", "b"), "two flags" = c(TRUE, FALSE), "two numbers" = c(1, 2), "negative" = -1, "fraction" = 1.5,
  "enormous" = 1e300, "infinite" = Inf, "complex" = 1i, "raw" = as.raw(1), "list" = list(1, "a"), "function" = mean,
  "environment" = globalenv(), "symbol" = quote(a), "formula" = y ~ x, "long" = strrep("x", 1e5), "line break" = "a\nb")

# Which of them an argument of a kind may be; all others must be refused.
fine <- list(
  flag = character(),
  number = c("negative", "fraction", "enormous", "infinite"),
  positive = c("fraction", "enormous", "infinite"),
  seconds = c("NULL", "fraction", "infinite", "NA", "enormous"),
  whole = character(),
  name = "word",
  text = c("word", "empty string", "long", "line break"),
  path = c("word", "line break"),
  handle = character(),
  ids = c("no string", "word", "two words"),
  "function" = "function",
  class = character())

vectors <- setdiff(names(wrong_values), c("empty list", "list", "function", "environment", "symbol", "formula"))

# `kind` of the argument, what else is fine for it, and the call. `named`: what the message calls the argument.
argument <- function(name, kind, call, also = character(), named = name) {
  list(name = name, allowed = c(fine[[kind]], also), call = call, named = named)
}

refuses <- function(f, argument) {
  for (label in setdiff(names(wrong_values), argument$allowed)) {
    what <- sprintf("%s(%s = %s)", f, argument$name, label)
    problem <- tryCatch({
      suppressWarnings(argument$call(wrong_values[[label]]))
      NULL
    }, error = identity)
    if (is.null(problem)) {
      fail(paste(what, "is taken"))
      next
    }
    # What R's own functions say when they are given something they can't use helps nobody.
    said <- substr(conditionMessage(problem), 1, 400)
    useless <- "LENGTH or similar|^invalid '|^'arg' |argument is of length|non-numeric argument|has length > 1"
    if (grepl(argument$named, said) && !grepl(useless, said)) succeed() else fail(paste0(what, " says: ", said))
  }
}

handle <- "handle|one string"
objects <- new.env()
objects$x <- share(as.numeric(1:100))
objects$file <- tempfile()
writeBin(as.raw(0:255), objects$file)
objects$csv <- tempfile(fileext = ".csv")
write.csv(data.frame(a = 1:5, b = letters[1:5]), objects$csv, row.names = FALSE)
objects$ends <- channelPair()
objects$listener <- listenShared()
lazy_here <- !inherits(try(lazySequence(0, 1, 10)[1], silent = TRUE), "try-error")
if (lazy_here) objects$lazy <- lazySequence(0, 1, 1000)
objects$record <- tryCatch(example_package()$tally_at(tempfile()), condition = function(c) NULL)

lazy_part_function <- function(f) list(
  argument("x", "class", function(v) f(v), named = "`x`.*lazy"),
  argument("from", "whole", function(v) f(objects$lazy, from = v)),
  argument("to", "whole", function(v) f(objects$lazy, to = v)))
sequence_function <- function(f) list(
  argument("from", "number", function(v) f(v, 1, 10)),
  argument("by", "number", function(v) f(1, v, 10)),
  argument("length", "whole", function(v) f(1, 1, v)),
  argument("chunk", "whole", function(v) f(1, 1, 10, chunk = v)))
setter <- function(f) list(
  argument("x", "class", function(v) f(v, TRUE), named = "`x`.*share"),
  argument("value", "flag", function(v) f(objects$x, v)))

table <- list(
  share = list(
    argument("copyOnWrite", "flag", function(v) share(1:9, copyOnWrite = v)),
    argument("sharedSubset", "flag", function(v) share(1:9, sharedSubset = v)),
    argument("sharedCopy", "flag", function(v) share(1:9, sharedCopy = v)),
    argument("sharedAttributes", "flag", function(v) share(1:9, sharedAttributes = v)),
    argument("mustWork", "flag", function(v) share(1:9, mustWork = v)),
    argument("minLength", "positive", function(v) share(1:9, minLength = v)),
    argument("name", "name", function(v) share(1:9, name = v, replace = TRUE), also = "NULL", named = "name"),
    argument("replace", "flag", function(v) share(1:9, replace = v)),
    # A path is any text that names a file, relative to the working directory too.
    argument("path", "class", function(v) if (identical(v, strrep("x", 1e5)) || !is.character(v) || length(v) != 1L ||
      !v %in% c("nonsense", "a\nb")) share(1:9, path = v) else stop("path"), also = "NULL", named = "path|name"),
    argument("path", "class", function(v) share(1:9, path = file.path("/nowhere/at/all", "x")), named = "/nowhere"),
    argument("something else", "class", function(v) share(1:9, copyonwrite = v), named = "copyonwrite"),
    argument("nameless", "class", function(v) share(1:9, v), named = "without a name")),
  unshare = list(),
  is.shared = list(
    argument("depth", "positive", function(v) is.shared(objects$x, depth = v)),
    argument("showAttributes", "flag", function(v) is.shared(objects$x, showAttributes = v))),
  SharedObject = list(
    argument("mode", "class", function(v) SharedObject(v, 3)),
    argument("length", "whole", function(v) SharedObject("integer", v), named = "length|large|space|memory"),
    argument("attrib", "class", function(v) SharedObject("integer", 3, attrib = v), also = "empty list"),
    argument("copyOnWrite", "flag", function(v) SharedObject("integer", 3, copyOnWrite = v)),
    argument("keep", "flag", function(v) SharedObject("integer", 3, keep = v)),
    argument("name", "name", function(v) SharedObject("integer", 3, name = v, replace = TRUE), also = "NULL",
             named = "name"),
    argument("something else", "class", function(v) SharedObject("integer", 3, colour = v), named = "colour")),
  sharedHandle = list(
    argument("x", "class", function(v) sharedHandle(v)),
    argument("lease", "number", function(v) sharedHandle(objects$x, lease = v))),
  attachShared = list(
    argument("handle", "handle", function(v) attachShared(v), named = handle),
    argument("name", "handle", function(v) attachShared(name = v), named = "name"),
    argument("path", "handle", function(v) attachShared(path = v), named = "path|open"),
    argument("plain", "flag", function(v) attachShared(sharedHandle(objects$x), plain = v)),
    argument("minLength", "positive", function(v) attachShared(sharedHandle(objects$x), minLength = v)),
    argument("something else", "class", function(v) attachShared(sharedHandle(objects$x), plane = v), named = "plane")),
  getCopyOnWrite = list(), getSharedCopy = list(), getSharedSubset = list(),
  setCopyOnWrite = setter(setCopyOnWrite), setSharedCopy = setter(setSharedCopy),
  setSharedSubset = setter(setSharedSubset),
  sharedObjectProperties = list(
    argument("copyOnWrite", "flag", function(v) sharedObjectProperties(objects$x, copyOnWrite = v)),
    argument("dataId", "class", function(v) sharedObjectProperties(objects$x, dataId = v)),
    argument("literal", "flag", function(v) sharedObjectProperties(objects$x, literal = v)),
    argument("nothing", "class", function(v) sharedObjectProperties(objects$x, "nothing"), named = "nothing")),
  sharedObjectPkgOptions = list(
    argument("copyOnWrite", "flag", function(v) sharedObjectPkgOptions(copyOnWrite = v)),
    argument("minLength", "positive", function(v) sharedObjectPkgOptions(minLength = v),
             also = c("fraction", "enormous", "infinite")),
    argument("literal", "flag", function(v) sharedObjectPkgOptions(literal = v))),
  listSharedObjects = list(), sharedMemoryUsage = list(), sharedMemoryDoctor = list(), collectSharedMemory = list(),
  allocateSharedMemory = list(
    argument("size", "whole", function(v) allocateSharedMemory(v), also = c("no number", "two numbers")),
    argument("name", "name", function(v) freeSharedMemory(allocateSharedMemory(10, v)),
             also = c("no string", "empty string", "two words"), named = "name")),
  mapSharedMemory = list(argument("id", "class", function(v) mapSharedMemory(v), also = "no string", named = "id")),
  unmapSharedMemory = list(argument("id", "ids", function(v) unmapSharedMemory(v))),
  freeSharedMemory = list(argument("id", "ids", function(v) freeSharedMemory(v), named = "`id`|name")),
  hasSharedMemory = list(argument("id", "ids", function(v) hasSharedMemory(v), named = "`id`|name")),
  getSharedMemorySize = list(argument("id", "class", function(v) getSharedMemorySize(v), also = "no string",
                                      named = "id")),
  mapSharedFile = list(
    argument("path", "class", function(v) mapSharedFile(v)),
    argument("mode", "class", function(v) mapSharedFile(objects$file, v)),
    argument("offset", "whole", function(v) mapSharedFile(objects$file, offset = v)),
    argument("length", "whole", function(v) mapSharedFile(objects$file, length = v), also = "NULL"),
    argument("dim", "whole", function(v) mapSharedFile(objects$file, dim = v), also = c("NULL", "no number"),
             named = "dim|shape")),
  shareConnection = list(argument("later", "flag", function(v) shareConnection(1:9, later = v))),
  fillConnection = list(argument("con", "class", function(v) fillConnection(v, 1:9))),
  receiveShared = list(
    argument("from", "class", function(v) receiveShared(v, timeout = 0.01)),
    argument("timeout", "seconds", function(v) receiveShared(objects$ends[[1]], timeout = v))),
  sendShared = list(
    argument("to", "class", function(v) sendShared(v, 1)),
    argument("timeout", "seconds", function(v) sendShared(objects$ends[[1]], 1, timeout = v))),
  channelPair = list(),
  channelFromDescriptor = list(argument("fd", "class", function(v) channelFromDescriptor(v), named = "fd|descriptor")),
  inheritedChannel = list(),
  channelDescriptor = list(argument("channel", "class", function(v) channelDescriptor(v))),
  sendSharedMessage = list(
    argument("to", "class", function(v) sendSharedMessage(v)),
    argument("bytes", "class", function(v) sendSharedMessage(objects$ends[[1]], v), also = c("word", "raw", "long",
      "empty string", "line break")),
    argument("objects", "class", function(v) sendSharedMessage(objects$ends[[1]], raw(1), v), also = c("list",
      "empty list")),
    argument("timeout", "seconds", function(v) sendSharedMessage(objects$ends[[1]], raw(1), timeout = v))),
  receiveSharedMessage = list(
    argument("from", "class", function(v) receiveSharedMessage(v)),
    argument("timeout", "seconds", function(v) receiveSharedMessage(objects$ends[[1]], timeout = v))),
  listenShared = list(argument("path", "class", function(v) listenShared(v), also = c("word", "line break"),
                               named = "path|socket")),
  acceptShared = list(
    argument("listener", "class", function(v) acceptShared(v)),
    argument("timeout", "seconds", function(v) acceptShared(objects$listener, timeout = v))),
  connectShared = list(
    argument("path", "class", function(v) connectShared(v, timeout = 0.1), named = "path|connect|socket"),
    argument("timeout", "seconds", function(v) connectShared(tempfile(), timeout = v))),
  attachRecord = list(
    argument("handle", "handle", function(v) attachRecord(v), named = handle),
    argument("name", "handle", function(v) attachRecord(name = v), named = "name|record"),
    argument("path", "handle", function(v) attachRecord(path = v), named = "path|open")),
  createRecord = list(
    argument("type", "class", function(v) createRecord(v, c(bar = "int32"), path = tempfile()), also = c("word", "long",
      "line break"), named = "type|name"),
    argument("fields", "class", function(v) createRecord("Foo", v, path = tempfile()), named = "field"),
    argument("values", "class", function(v) createRecord("Foo", c(bar = "int32"), path = tempfile(), values = v),
             also = c("NULL", "empty list", "no string", "no number"), named = "values|coerce"),
    argument("keep", "flag", function(v) createRecord("Foo", c(bar = "int32"), name = "onecopy-bad-input", keep = v)),
    argument("name", "name", function(v) createRecord("Foo", c(bar = "int32"), name = v), also = "NULL",
             named = "name"),
    argument("path", "class", function(v) createRecord("Foo", c(bar = "int32"), path = v), also = c("NULL", "word",
      "line break"), named = "path|open|name")),
  shareCluster = list(argument("cl", "class", function(v) shareCluster(v, 1:9), named = "`cl`|cluster")),
  unshareCluster = list(argument("cl", "class", function(v) unshareCluster(v, 1:9), named = "`cl`|cluster")),
  withRecord = list(
    argument("record", "class", function(v) withRecord(v, 1)),
    argument("timeout", "seconds", function(v) withRecord(objects$record, 1, timeout = v)),
    argument("repair", "function", function(v) withRecord(objects$record, 1, repair = v), also = "NULL")))

if (lazy_here) table <- c(table, list(
  lazyVector = list(
    argument("mode", "class", function(v) lazyVector(v, 10, function(start, end) start:end)),
    argument("length", "whole", function(v) lazyVector("integer", v, function(start, end) start:end)),
    argument("populate", "function", function(v) lazyVector("integer", 10, v)),
    argument("globals", "class", function(v) lazyVector("integer", 10, function(start, end) start:end, globals = v),
             also = "empty list"),
    argument("chunk", "whole", function(v) lazyVector("integer", 10, function(start, end) start:end, chunk = v)),
    argument("deadline", "class", function(v) lazyVector("integer", 10, function(start, end) start:end, deadline = v),
             also = "fraction", named = "deadline"),
    argument("writable", "flag", function(v) lazyVector("integer", 10, function(start, end) start:end, writable = v)),
    argument("description", "text", function(v)
      lazyVector("integer", 10, function(start, end) start:end, description = v)),
    argument("writeback", "function", function(v)
      lazyVector("integer", 10, function(start, end) start:end, writeback = v), also = "NULL")),
  lazySequence = sequence_function(lazySequence), lazySeq = sequence_function(lazySeq), lazyUsage = list(),
  lazyBinary = list(
    argument("path", "class", function(v) lazyBinary(v)),
    argument("mode", "class", function(v) lazyBinary(objects$file, v)),
    argument("length", "whole", function(v) lazyBinary(objects$file, length = v), also = "NULL"),
    argument("offset", "whole", function(v) lazyBinary(objects$file, offset = v)),
    argument("stride", "whole", function(v) lazyBinary(objects$file, stride = v)),
    argument("endian", "class", function(v) lazyBinary(objects$file, endian = v)),
    argument("write", "flag", function(v) lazyBinary(objects$file, write = v)),
    argument("inPlace", "flag", function(v) lazyBinary(objects$file, inPlace = v)),
    argument("chunk", "whole", function(v) lazyBinary(objects$file, chunk = v))),
  lazyReduce = list(
    argument("x", "class", function(v) lazyReduce(v, length, `+`), also = vectors),
    argument("map", "function", function(v) lazyReduce(objects$lazy, v, `+`)),
    argument("reduce", "function", function(v) lazyReduce(objects$lazy, sum, v)),
    argument("block", "positive", function(v) lazyReduce(objects$lazy, sum, `+`, block = v))),
  lazyCsv = list(
    argument("path", "class", function(v) lazyCsv(v)),
    argument("columns", "class", function(v) lazyCsv(objects$csv, columns = v), also = c("NULL", "two words"),
             named = "column"),
    argument("sep", "class", function(v) lazyCsv(objects$csv, sep = v)),
    argument("quote", "class", function(v) lazyCsv(objects$csv, quote = v), also = "empty string"),
    argument("header", "flag", function(v) lazyCsv(objects$csv, header = v)),
    argument("encoding", "class", function(v) lazyCsv(objects$csv, encoding = v)),
    argument("badRows", "class", function(v) lazyCsv(objects$csv, badRows = v)),
    argument("frame", "flag", function(v) lazyCsv(objects$csv, frame = v)),
    argument("chunk", "whole", function(v) lazyCsv(objects$csv, chunk = v)),
    argument("deadline", "class", function(v) lazyCsv(objects$csv, deadline = v), also = "fraction")),
  lazyParquet = list(
    argument("path", "class", function(v) lazyParquet(v)),
    argument("frame", "flag", function(v) lazyParquet(objects$csv, frame = v))),
  lazyCompressed = list(
    argument("path", "class", function(v) lazyCompressed(v)),
    argument("mode", "class", function(v) lazyCompressed(objects$csv, v)),
    argument("compression", "class", function(v) lazyCompressed(objects$csv, compression = v), also = "NULL")),
  lazyText = list(
    argument("path", "class", function(v) lazyText(v)),
    argument("encoding", "class", function(v) lazyText(objects$csv, encoding = v)),
    argument("chunk", "whole", function(v) lazyText(objects$csv, chunk = v)),
    argument("deadline", "class", function(v) lazyText(objects$csv, deadline = v), also = "fraction")),
  lazySql = list(
    argument("table", "class", function(v) lazySql(":memory:", v, "id"), also = c("word", "empty string", "long",
      "line break")),
    argument("key", "class", function(v) lazySql(":memory:", "t", v), also = c("word", "empty string", "long",
      "line break")),
    argument("database", "class", function(v) lazySql(v, "t", "id"), named = "database|connect|driver|table|`path`")),
  lazyTable = list(
    argument("x", "class", function(v) lazyTable(v), also = vectors),
    argument("useNA", "class", function(v) lazyTable(objects$lazy, useNA = v))),
  lazyStatus = list(argument("x", "class", function(v) lazyStatus(v), named = "`x`.*lazy")),
  is.lazy = list(),
  lazyBudget = list(argument("bytes", "whole", function(v) lazyBudget(v), also = "NULL")),
  lazyFill = lazy_part_function(lazyFill), lazyPrefetch = lazy_part_function(lazyPrefetch),
  lazyRelease = lazy_part_function(lazyRelease), lazyFlush = lazy_part_function(lazyFlush),
  lazyPin = lazy_part_function(lazyPin), lazyUnpin = lazy_part_function(lazyUnpin)))

exported <- getNamespaceExports("onecopy")
exported <- exported[!grepl("^\\.__", exported)]

for (f in names(table)) {
  test_that(paste0(f, "() refuses wrong arguments, by name"), {
    if (f == "withRecord") example_package()
    if (f == "lazyCsv") skip_if_not_installed("data.table")
    if (f == "lazySql") skip_if_not_installed("DBI")
    old <- sharedObjectPkgOptions()
    for (one in table[[f]]) refuses(f, one)
    do.call(sharedObjectPkgOptions, old)
    succeed()
  })
}

test_that("functions of any object take any object", {
  for (label in names(wrong_values)) {
    v <- wrong_values[[label]]
    expect_identical(share(v), v, info = label)
    expect_identical(unshare(v), v, info = label)
    expect_false(is.shared(v), info = label)
    if (!is.list(v) && !is.environment(v)) {
      expect_null(getCopyOnWrite(v), info = label)
      expect_null(getSharedCopy(v), info = label)
      expect_null(getSharedSubset(v), info = label)
      expect_null(sharedObjectProperties(v), info = label)
    }
    expect_false(is.lazy(v), info = label)
  }
  expect_s3_class(listSharedObjects(), "data.frame")
  expect_s3_class(sharedMemoryUsage(), "data.frame")
  expect_s3_class(sharedMemoryDoctor(), "data.frame")
  expect_type(collectSharedMemory(), "list")
  expect_length(channelPair(), 2)
})

test_that("text that is no UTF-8", {
  broken <- "no such\xff"
  expect_false(hasSharedMemory(broken))
  expect_false(hasSharedMemory("\u00c0"))
  expect_error(freeSharedMemory("a\xff\n"), "`id`")
  expect_error(mapSharedFile(broken), "no such file: no such<ff>")
  if (lazy_here) for (read in list(lazyBinary, lazyText)) expect_error(read(broken), "no such file: no such<ff>")
})

test_that("names of options and properties that there are not", {
  x <- share(c(1, 2, 3))
  expect_warning(sharedObjectPkgOptions(copyOnwrite = TRUE), "copyOnwrite.*there are.*copyOnWrite")
  expect_error(sharedObjectProperties(x, "copyonwrite"), "copyonwrite.*there are.*copyOnWrite")
  expect_error(sharedObjectProperties(x, copyonwrite = TRUE), "copyonwrite.*can")
  expect_error(share(x, minlength = 3), "minlength.*\\?share")
  expect_error(attachShared(sharedHandle(x), plane = TRUE), "plane.*it has.*plain")
  expect_error(SharedObject("integer", 3, nam = "x"), "nam.*it has.*name")
})

test_that("handles of the wrong kind", {
  x <- share(c(1, 2, 3))
  expect_error(attachRecord(sharedHandle(x)), class = "onecopy_wrong_type")
  other_host <- sub("^onecopy:1:[0-9a-f]+", paste0("onecopy:1:", strrep("0", 16)), sharedHandle(x))
  other_host <- sub("[0-9a-f]{32}", strrep("b", 32), other_host)
  expect_error(attachShared(other_host), "host|machine", class = "onecopy_error")
  expect_error(attachShared(paste0(sharedHandle(x), "/99")), class = "onecopy_error")
  expect_error(attachShared(sub("onecopy:1", "onecopy:9", sharedHandle(x))), class = "onecopy_error")
  id <- allocateSharedMemory(8)
  expect_identical(unshare(attachShared(sub("[0-9a-f]{32}", id, sharedHandle(x)))), raw(8))
  expect_error(attachRecord(sub("[0-9a-f]{32}", id, sharedHandle(x))), class = "onecopy_wrong_type")
  freeSharedMemory(id)
  if (!is.null(objects$record)) expect_error(objects$record$nothing, "nothing")
  if (lazy_here) {
    h <- sharedHandle(objects$lazy)
    expect_identical(attachShared(h)[3], 2)
    expect_error(attachRecord(h), class = "onecopy_error")
    for (f in list(lazyFill, lazyPin, lazyStatus)) expect_error(f(x), "not a lazy vector")
  }
})

test_that("objects that are gone", {
  x <- share(as.numeric(1:1000))
  h <- sharedHandle(x)
  wire <- serialize(x, NULL)
  id <- sharedObjectProperties(x, "dataId")
  freeSharedMemory(id)
  rm(x)
  gc()
  expect_error(attachShared(h), class = "onecopy_not_found")
  expect_false(hasSharedMemory(id))
  expect_error(getSharedMemorySize(id), class = "onecopy_not_found")
  expect_error(mapSharedMemory(id), class = "onecopy_not_found")
  expect_false(freeSharedMemory(id))
  late <- unserialize(wire)
  expect_length(late, 1000)
  for (use in list(sum, function(v) v[1], function(v) v + 1, sort, unshare, sharedHandle, share,
                   function(v) as.character(v)[1])) {
    expect_error(use(late), class = "onecopy_not_found")
  }
  expect_false(is.shared(late))
  expect_lte(length(serialize(late, NULL)), 200)
})

test_that("damaged regions in files", {
  path <- tempfile()
  share(list(n = as.numeric(1:1000), s = c("a", "b", NA)), path = path)
  bytes <- readBin(path, "raw", 1e5)
  set.seed(1)
  damaged <- tempfile()
  for (try in 1:300) {
    broken <- bytes
    at <- sample(min(length(bytes), 1024), 3)
    broken[at] <- as.raw(sample(0:255, 3, TRUE))
    if (try %% 3 == 0) broken <- broken[seq_len(sample(length(broken), 1))]
    writeBin(broken, damaged)
    # Either an error, or an object that can be used.
    problem <- tryCatch({
      x <- attachShared(path = damaged)
      capture.output(str(unshare(x)))
      NULL
    }, error = identity)
    expect_true(is.null(problem) || inherits(problem, "onecopy_error"),
                info = if (!is.null(problem)) conditionMessage(problem))
  }
  expect_error(attachRecord(path = path), class = "onecopy_error")
})

test_that("no exported function is left out of the table", {
  lazy <- if (lazy_here) character() else grep("^(lazy|is\\.lazy)", exported, value = TRUE)
  expect_setequal(names(table), setdiff(exported, lazy))
})
