#' Tables of SQLite and PostgreSQL as lazy columns
#'
#' Each column is read, a page of keys at a time, when it is touched, in the order of the key. Rows are found by the key
#' (`WHERE key >= ? AND key < ?`), never by counting; values are parameters, never text within SQL.
#'
#' @param database The path of an SQLite file (package RSQLite); or a function without arguments that gives a DBI
#'   connection to SQLite or PostgreSQL (RPostgreSQL, RPostgres). It is called in the process that reads, and its
#'   connection is closed there: `function() DBI::dbConnect(RPostgreSQL::PostgreSQL(), dbname = "shop")`.
#' @param table A table or a view.
#' @param key A column with an index that is different in each row and never missing.
#' @param columns Names of columns; `NULL`: all.
#' @param writeback `TRUE`: logical and number columns may be changed. Rows whose values differ are written in one
#'   transaction for each piece, at [lazyFlush()] and before memory is given back: all of them or none.
#' @param frame `FALSE`: a list of columns.
#' @param chunk,deadline As in [lazyVector()].
#' @details Whole numbers of 64 bits and `numeric` are doubles. Dates are days, times are seconds since 1970: `.Date(x)`
#'   and `.POSIXct(x, "UTC")` make dates and times of them. Rows that come or go are an error of the next touch of their
#'   page.
#' @return A data frame, or a list, of vectors of class `lazyVector`.
#' @export
lazySql <- function(database, table, key, columns = NULL, writeback = FALSE, frame = !writeback, chunk = 65536,
                    deadline = 60) {
  lazy_needs("DBI", "lazySql()")
  for (name in list(table, key))
    if (!is.character(name) || length(name) != 1L || is.na(name))
      stop("`table` and `key` must be one name each", call. = FALSE)
  check_flag(writeback, "writeback")
  check_flag(frame, "frame")
  if (writeback && frame)
    stop("what is assigned to a data frame stays in this process: say frame = FALSE", call. = FALSE)
  connect <- lazy_sql_connector(database)
  tryCatch({
    con <- connect()
    on.exit(DBI::dbDisconnect(con))
    sql <- lazy_sql_dialect(con, connect, table, key)
    found <- lazy_sql_columns(con, sql, columns)
    sql <- lazy_sql_keys(con, sql)
  }, error = function(e) stop("onecopy: can't read table ", table, ": ", conditionMessage(e), call. = FALSE))
  made <- lapply(found, function(column) {
    saves <- writeback && column$type != "character" && column$name != key && !column$time
    lazy_column(column$type, sql$rows, lazy_sql_fill(sql, column), column$width,
                sprintf("column '%s' of table %s", column$name, table), chunk, deadline,
                if (saves) lazy_sql_save(sql, column))
  })
  names(made) <- vapply(found, `[[`, "", "name")
  lazy_frame(made, sql$rows, frame)
}

lazy_sql_page <- 8192

lazy_sql_connector <- function(database) {
  if (is.function(database)) return(database)
  if (!is.character(database) || length(database) != 1L || is.na(database))
    stop("`database` must be the path of an SQLite file, or a function that connects", call. = FALSE)
  lazy_needs("RSQLite", "lazySql() with a file")
  path <- lazy_file(database)$path
  function() {
    con <- DBI::dbConnect(RSQLite::SQLite(), path, flags = RSQLite::SQLITE_RW, bigint = "numeric", synchronous = NULL)
    DBI::dbExecute(con, "PRAGMA busy_timeout = 20000")
    con
  }
}

lazy_sql_dialect <- function(con, connect, table, key) {
  kind <- if (inherits(con, "SQLiteConnection")) "sqlite"
          else if (inherits(con, c("PostgreSQLConnection", "PqConnection"))) "postgres"
          else stop("connections of class ", class(con)[1L], " are not known: SQLite and PostgreSQL are")
  list(connect = connect, kind = kind, table = table, key = key)
}

lazy_sql_name <- function(name) paste0("\"", gsub("\"", "\"\"", name, fixed = TRUE), "\"")
lazy_sql_mark <- function(sql, k) if (sql$kind == "sqlite") "?" else paste0("$", k)

# Rows as a data frame; a statement without rows gives NULL.
lazy_sql_ask <- function(con, text, given = list()) {
  if (!inherits(con, "PostgreSQLConnection"))
    return(suppressWarnings(if (length(given)) DBI::dbGetQuery(con, text, params = given) else DBI::dbGetQuery(con, text)))
  # RPostgreSQL knows parameters as texts only, and its dbGetQuery() prints errors instead of raising them.
  given <- vapply(given, lazy_sql_text, "")
  result <- suppressWarnings(if (length(given)) DBI::dbSendQuery(con, text, given) else DBI::dbSendQuery(con, text))
  on.exit(DBI::dbClearResult(result))
  if (!DBI::dbHasCompleted(result)) suppressWarnings(DBI::dbFetch(result, n = -1))
}
lazy_sql_run <- function(con, text, given = list()) {
  if (inherits(con, "PostgreSQLConnection")) return(lazy_sql_ask(con, text, given))
  if (length(given)) DBI::dbExecute(con, text, params = given) else DBI::dbExecute(con, text)
}
lazy_sql_text <- function(value) {
  if (is.character(value)) value
  else if (is.logical(value)) tolower(as.character(value)) else format(value, digits = 17, scientific = FALSE)
}

lazy_sql_columns <- function(con, sql, columns) {
  table <- lazy_sql_name(sql$table)
  some <- lazy_sql_ask(con, sprintf("SELECT * FROM %s ORDER BY %s LIMIT 1", table, lazy_sql_name(sql$key)))
  there <- names(some)
  if (!sql$key %in% there) stop("it has no column '", sql$key, "'")
  lapply(lazy_choose(columns, there, paste("table", sql$table)), function(name) {
    quoted <- lazy_sql_name(name)
    type <- if (sql$kind == "sqlite") {
      # SQLite's types belong to values, not to columns.
      seen <- lazy_sql_ask(con, sprintf("SELECT DISTINCT typeof(%s) AS t FROM %s", quoted, table))$t
      seen <- setdiff(seen, "null")
      if (!length(seen)) "logical" else if (identical(seen, "integer")) lazy_sql_whole(con, quoted, table)
      else if (all(seen %in% c("integer", "real"))) "double" else if (identical(seen, "text")) "character"
      else stop("column '", name, "' holds ", paste(seen, collapse = ", "), ", which has no lazy form: choose `columns`")
    } else lazy_sql_type(some[[name]], name)
    width <- 0
    if (type == "character") {
      bytes <- if (sql$kind == "sqlite") "length(CAST(%s AS BLOB))" else "octet_length(%s::text)"
      width <- lazy_sql_ask(con, sprintf("SELECT coalesce(max(%s), 0) AS w FROM %s", sprintf(bytes, quoted), table))$w
    }
    list(name = name, type = type, width = as.double(width), time = inherits(some[[name]], c("Date", "POSIXct")))
  })
}

lazy_sql_whole <- function(con, quoted, table) {
  ends <- lazy_sql_ask(con, sprintf("SELECT min(%s) + 0.0 AS a, max(%s) + 0.0 AS b FROM %s", quoted, quoted, table))
  if (max(abs(unlist(ends))) <= .Machine$integer.max) "integer" else "double"
}

lazy_sql_type <- function(value, name) {
  if (inherits(value, c("Date", "POSIXct", "integer64"))) return("double")
  if (!is.object(value) && typeof(value) %in% c("logical", "integer", "double", "character")) return(typeof(value))
  stop("column '", name, "' is of class ", class(value)[1L], ", which has no lazy form: choose `columns`")
}

# The first key of each page, and the number of rows.
lazy_sql_keys <- function(con, sql) {
  key <- lazy_sql_name(sql$key)
  table <- lazy_sql_name(sql$table)
  n <- lazy_sql_ask(con, sprintf("SELECT count(*) AS n, count(DISTINCT %s) AS d, count(%s) AS p FROM %s", key, key, table))
  n <- lapply(n, as.double)
  if (n$d != n$n || n$p != n$n)
    stop("'", sql$key, "' is no key: ", n$n, " rows have ", n$d, " different values")
  sql$rows <- n$n
  sql$keys <- lazy_sql_ask(con, sprintf(
    "SELECT k FROM (SELECT %s AS k, row_number() OVER (ORDER BY %s) AS n FROM %s) AS t WHERE (n - 1) %% %d = 0 ORDER BY k",
    key, key, table, lazy_sql_page))$k
  if (inherits(sql$keys, "integer64") || (is.double(sql$keys) && any(abs(sql$keys) > 2^53)))
    stop("its keys are larger than 2^53: make a view with smaller ones, or with text")
  sql
}

# Keys and values of a page.
lazy_sql_rows <- function(con, sql, column, at) {
  key <- lazy_sql_name(sql$key)
  where <- sprintf("%s >= %s", key, lazy_sql_mark(sql, 1L))
  given <- list(sql$keys[[at]])
  if (at < length(sql$keys)) {
    where <- sprintf("%s AND %s < %s", where, key, lazy_sql_mark(sql, 2L))
    given <- c(given, list(sql$keys[[at + 1L]]))
  }
  found <- lazy_sql_ask(con, sprintf("SELECT %s AS k, %s AS v FROM %s WHERE %s ORDER BY %s", key,
                                     lazy_sql_name(column$name), lazy_sql_name(sql$table), where, key), given)
  wanted <- min(lazy_sql_page, sql$rows - (at - 1) * lazy_sql_page)
  if (NROW(found) != wanted)
    stop("there are ", NROW(found), " rows from key ", sql$keys[[at]], " on where there were ", wanted,
         ": the table was changed, make the lazy columns again")
  found$v <- lazy_sql_cast(found$v, column)
  found
}

lazy_sql_cast <- function(values, column) {
  if (inherits(values, "integer64")) values <- as.double(values)
  values <- unclass(values)
  attributes(values) <- NULL
  if (column$type == "character") return(enc2utf8(as.character(values)))
  made <- suppressWarnings(as.vector(values, column$type))
  if (any(is.na(made) & !is.na(values))) stop("column '", column$name, "' has values of another type than it had")
  made
}

lazy_sql_within <- function(sql, work, writing = FALSE) {
  con <- sql$connect()
  on.exit(DBI::dbDisconnect(con))
  if (!writing) return(work(con))
  lazy_sql_run(con, if (sql$kind == "sqlite") "BEGIN IMMEDIATE" else "BEGIN")
  done <- FALSE
  on.exit(if (!done) try(lazy_sql_run(con, "ROLLBACK"), silent = TRUE), add = TRUE, after = FALSE)
  work(con)
  lazy_sql_run(con, "COMMIT")
  done <- TRUE
}

lazy_sql_fill <- function(sql, column) {
  force(list(sql, column))
  # Pages are never kept: others may change the table at any time.
  function(start, end) lazy_sql_within(sql, function(con) {
    lazy_pieces(c((seq_along(sql$keys) - 1) * lazy_sql_page, sql$rows), start, end,
                function(at) lazy_sql_rows(con, sql, column, at)$v)
  })
}

lazy_sql_save <- function(sql, column) {
  force(list(sql, column))
  function(start, end, values) lazy_sql_within(sql, writing = TRUE, function(con) {
    update <- function(...) {
      marks <- vapply(seq_len(...length()), lazy_sql_mark, "", sql = sql)
      lazy_sql_run(con, sprintf("UPDATE %s SET %s = %s WHERE %s = %s", lazy_sql_name(sql$table),
                                lazy_sql_name(column$name), if (...length() == 1L) "NULL" else marks[1L],
                                lazy_sql_name(sql$key), marks[...length()]), list(...))
    }
    for (at in seq((start - 1) %/% lazy_sql_page, (end - 1) %/% lazy_sql_page) + 1) {
      rows <- lazy_sql_rows(con, sql, column, at)
      before <- (at - 1) * lazy_sql_page
      k <- seq(max(1, start - before), min(nrow(rows), end - before))
      new <- values[k + before - start + 1]
      old <- rows$v[k]
      for (i in which((is.na(new) != is.na(old)) | (!is.na(new) & !is.na(old) & new != old)))
        if (is.na(new[i])) update(rows$k[k][i]) else update(new[i], rows$k[k][i])
    }
  })
}
