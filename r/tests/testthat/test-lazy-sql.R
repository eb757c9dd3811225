# Tables of SQLite and of a real PostgreSQL server as lazy columns.
skip_if_not_installed("DBI")
rows <- 20000L
ids <- 3 * (seq_len(rows) - 1)
sample_table <- data.frame(id = ids, half = seq_len(rows) / 2, gaps = ifelse(seq_len(rows) %% 7L == 0L, NA, seq_len(rows)),
                           word = ifelse(seq_len(rows) %% 9L == 0L, NA, sprintf("n\u00e4me %d", seq_len(rows) %% 10L)))
table_name <- "odd \"name"
quoted <- "\"odd \"\"name\""

# A server of our own, as an ordinary user, on a socket of its own; ends with this R.
postgres <- function() {
  if (!is.null(server$home)) return(server$home)
  tools <- rev(Sys.glob("/usr/lib/postgresql/*/bin/pg_ctl"))
  skip_if(!length(tools), "there is no PostgreSQL server here (Debian: postgresql)")
  skip_if_not_installed("RPostgreSQL")
  home <- tempfile("onecopy-pg-", "/tmp")
  dir.create(home, mode = "0700")
  root <- identical(Sys.info()[["effective_user"]], "root")
  if (root) system2("chown", c("65534:65534", home))
  run <- function(...) {
    command <- c(if (root) c("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
                 "env", paste0("HOME=", home), "LC_ALL=C", ...)
    log <- tempfile()
    status <- system2(command[1L], shQuote(command[-1L]), stdout = log, stderr = log)
    if (status != 0) stop(paste(readLines(log), collapse = "\n"))
  }
  old <- setwd(home)
  on.exit(setwd(old))
  run(file.path(dirname(tools[1L]), "initdb"), "-D", file.path(home, "data"), "-U", "me", "-A", "trust", "-E", "UTF8",
      "--no-sync")
  run(tools[1L], "-D", file.path(home, "data"), "-w", "-l", file.path(home, "log"), "-o",
      sprintf("-k %s -c listen_addresses='' -c fsync=off -c shared_buffers=16MB", home), "start")
  server$home <- home
  server$stop <- function() {
    try(run(tools[1L], "-D", file.path(home, "data"), "-m", "immediate", "-w", "stop"))
    unlink(home, recursive = TRUE)
    server$home <- NULL
  }
  reg.finalizer(server, function(e) if (!is.null(e$home)) e$stop(), onexit = TRUE)
  home
}
server <- new.env()

# A database with the table: what lazySql() takes, and a function that runs SQL in it.
databases <- list(
  sqlite = function() {
    skip_if_not_installed("RSQLite")
    path <- tempfile("a # b? ", fileext = ".sqlite")
    connect <- function() DBI::dbConnect(RSQLite::SQLite(), path)
    list(where = path, connect = connect)
  },
  postgres = function() {
    home <- postgres()
    connect <- function() DBI::dbConnect(RPostgreSQL::PostgreSQL(), host = home, user = "me", dbname = "postgres")
    environment(connect) <- list2env(list(home = home), parent = globalenv())
    list(where = connect, connect = connect)
  })
filled <- function(kind) {
  found <- databases[[kind]]()
  found$run <- function(text) {
    con <- found$connect()
    on.exit(DBI::dbDisconnect(con))
    suppressWarnings(DBI::dbGetQuery(con, text))
  }
  con <- found$connect()
  on.exit(DBI::dbDisconnect(con))
  suppressWarnings({
    DBI::dbGetQuery(con, paste("DROP TABLE IF EXISTS", quoted))
    DBI::dbGetQuery(con, paste("CREATE TABLE", quoted, "(id bigint PRIMARY KEY, half double precision, gaps bigint, word text)"))
    parts <- split(seq_len(rows), seq_len(rows) %/% 500L)
    for (k in parts) {
      t <- sample_table[k, ]
      text <- sprintf("(%.0f, %s, %s, %s)", t$id, format(t$half, trim = TRUE), ifelse(is.na(t$gaps), "NULL", t$gaps),
                      ifelse(is.na(t$word), "NULL", paste0("'", t$word, "'")))
      DBI::dbGetQuery(con, enc2utf8(paste("INSERT INTO", quoted, "VALUES", paste(text, collapse = ", "))))
    }
  })
  found
}

for (kind in names(databases)) {
  test_that(paste(kind, "columns are what the table holds"), {
    db <- filled(kind)
    d <- lazySql(db$where, table_name, "id")
    expect_identical(dim(d), c(rows, 4L))
    expect_equal(lazyStatus(d$half)[["fills"]], 0)
    expect_equal(as.vector(d$id), sample_table$id)
    expect_identical(as.vector(d$half), sample_table$half)
    expect_equal(as.vector(d$gaps), as.numeric(sample_table$gaps))
    expect_identical(as.vector(d$word), sample_table$word)
    some <- lazySql(db$where, table_name, "id", columns = c("word", "half"))
    expect_identical(names(some), c("word", "half"))
    expect_identical(some$word[19999], sample_table$word[19999])
    expect_identical(some[some$half < 2, ]$word, sample_table$word[1:3])
    expect_identical(in_child(function(d) sum(d$half), list(d)), sum(sample_table$half))
  })

  test_that(paste(kind, "gets changed rows, in a transaction"), {
    db <- filled(kind)
    d <- lazySql(db$where, table_name, "id", writeback = TRUE)
    half <- d$half
    half[11] <- -1
    half[9001:9003] <- 7
    lazyFlush(half)
    changed <- db$run(paste("SELECT id, half FROM", quoted, "WHERE half = -1 OR half = 7 AND id > 100 ORDER BY id"))
    expect_equal(as.numeric(changed$id), c(30, 27000, 27003, 27006))
    expect_equal(changed$half, c(-1, 7, 7, 7))
    gaps <- d$gaps
    gaps[2] <- NA
    gaps[7] <- 5L
    lazyRelease(gaps)
    expect_equal(as.numeric(db$run(paste("SELECT gaps FROM", quoted, "WHERE id IN (0, 3, 18) ORDER BY id"))$gaps), c(1, NA, 5))
    expect_equal(gaps[c(1, 2, 7)], c(1, NA, 5))

    # What a database refuses changes nothing, and loses nothing.
    db$run(if (kind == "postgres") paste("ALTER TABLE", quoted, "ADD CHECK (half < 1000000)")
           else paste("CREATE TRIGGER no BEFORE UPDATE ON", quoted,
                      "WHEN NEW.half >= 1000000 BEGIN SELECT RAISE(ABORT, 'too large'); END"))
    half[2] <- 77
    half[3] <- 2e6
    expect_error(lazyFlush(half), "writeback|too large|check")
    before <- db$run(paste("SELECT half FROM", quoted, "WHERE id IN (3, 6) ORDER BY id"))$half
    expect_equal(before, c(1, 1.5))
    expect_identical(half[2:3], c(77, 2e6))
    suppressWarnings(half[3] <- 78)  # that it was not saved meanwhile is a warning
    lazyFlush(half)
    expect_equal(db$run(paste("SELECT half FROM", quoted, "WHERE id IN (3, 6) ORDER BY id"))$half, c(77, 78))
  })

  test_that(paste(kind, "rows that came or went are an error of their page"), {
    db <- filled(kind)
    half <- lazySql(db$where, table_name, "id")$half
    expect_identical(half[1], 0.5)
    db$run(paste("DELETE FROM", quoted, "WHERE id = 30000"))
    expect_error(sum(half[8193:20000]), "there are 8191 rows .* where there were 8192")
    expect_identical(half[6], 3)
  })

  test_that(paste(kind, "what makes no sense"), {
    db <- filled(kind)
    expect_error(lazySql(db$where, table_name, "word"), "no key")
    expect_error(lazySql(db$where, table_name, "gaps"), "no key")
    expect_error(lazySql(db$where, table_name, "z"), "z|column")
    expect_error(lazySql(db$where, table_name, "id", columns = "z"), "no column 'z'")
    expect_error(lazySql(db$where, "\"; DROP TABLE x; --", "id"), "can't read table")
    expect_error(lazySql(db$where, table_name, "id", writeback = TRUE, frame = TRUE), "frame = FALSE")
    expect_error(lazySql(db$where, NA, "id"), "one name")
    expect_identical(as.integer(db$run(paste("SELECT count(*) AS n FROM", quoted))$n), rows)
    suppressWarnings(db$run("DROP TABLE IF EXISTS blank"))
    db$run("CREATE TABLE blank (id bigint PRIMARY KEY, a double precision)")
    expect_identical(nrow(lazySql(db$where, "blank", "id")), 0L)
  })
}

test_that("a file that is no database, or no file", {
  skip_if_not_installed("RSQLite")
  expect_error(lazySql(tempfile(), "x", "id"), "no such file")
  path <- tempfile()
  writeLines(strrep("no database at all, but long enough to be read as one ", 50), path)
  expect_error(lazySql(path, "x", "id"), "not a database")
  expect_error(lazySql(5, "x", "id"), "path of an SQLite file")
})

test_that("types of PostgreSQL", {
  db <- databases$postgres()
  con <- db$connect()
  on.exit(DBI::dbDisconnect(con))
  suppressWarnings({
    DBI::dbGetQuery(con, "DROP TABLE IF EXISTS types")
    DBI::dbGetQuery(con, paste("CREATE TABLE types (id text PRIMARY KEY, a int2, b numeric, c bool, d date, e timestamp,",
                               "f float4, h int4)"))
    DBI::dbGetQuery(con, paste("INSERT INTO types VALUES ('x', 1, 2.5, true, '2020-02-03', '2020-02-03 04:05:06.5', 0.5, 7),",
                               "('y', 2, 3.5, false, null, null, null, null)"))
  })
  d <- lazySql(db$where, "types", "id")
  expect_identical(as.vector(d$id), c("x", "y"))
  expect_equal(lapply(d[c("a", "b", "c", "f", "h")], as.vector),
               list(a = 1:2, b = c(2.5, 3.5), c = c(TRUE, FALSE), f = c(0.5, NA), h = c(7L, NA)))
  expect_identical(.Date(as.vector(d$d)), as.Date(c("2020-02-03", NA)))
})
