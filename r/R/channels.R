#' Give shared objects to other processes as descriptors
#'
#' [share()] is all that parallel workers of the same user need. These functions are for the rest: a child process that
#' is given its data at birth, programs that talk over a socket, processes of other users. The data is written once,
#' into sealed memory that no process can change; only a descriptor travels, and the receiver uses the same memory in
#' place. The kernel gives the memory back when the last process lets go of it.
#'
#' @section At birth:
#' `shareConnection()` makes a processx connection. Pass it to a child: `processx::process$new(..., connections =
#' list(con))`, or `callr::r_bg(f, connections = list(con), poll_connection = FALSE)`. In the child the first
#' connection is descriptor 3: `receiveShared(3)` gives the object, unpacked in place and private on write. The same
#' connection serves any number of children. With `later = TRUE` the children may be started before the data is
#' written: `fillConnection(con, x)` writes it, while they boot, and `receiveShared()` waits for it.
#'
#' @section Between processes that run:
#' One listens at a path, the other connects; then both send and receive. `channelPair()` gives two connected ends in
#' one process. Objects go as descriptors or, between processes of one user and store, by handle; the receiver notices
#' no difference. A process that ends is an error of class `onecopy_peer_closed` on the other side; nothing waits for
#' it for ever. `inheritedChannel()` is the end that this process was started with by `onecopy.Channel.spawn()` in
#' Python or `onecopy::channel::spawn()` in C++. `channelDescriptor()` is a number to poll, or to hand to a child.
#'
#' A message may have ordinary bytes and any number of objects: `sendSharedMessage()`, `receiveSharedMessage()`. An
#' object that could not be accepted (it is gone, damaged, or the memory was not sealed) is an error condition in the list that
#' is received, and an error of `receiveShared()`; the channel stays usable.
#'
#' @param x Any R object; lists of several things are usual. Shared objects are sent as they are, without a copy.
#' @param later `TRUE`: the data follows with `fillConnection()`.
#' @param con What `shareConnection(later = TRUE)` gave; for `close()` a channel or listener.
#' @param from,to A channel; for `receiveShared()` also the number of a descriptor, which is 3 for the first connection
#'   of a child.
#' @param timeout Seconds to wait; `NULL`: for ever. An error of class `onecopy_timeout` when they are over.
#' @param path A path for the socket. Only this user can connect.
#' @param listener What `listenShared()` gave.
#' @param fd The number of a descriptor of a Unix socket of type SOCK_SEQPACKET, which stays the caller's.
#' @param bytes A raw vector, or one string, which travels as UTF-8.
#' @param objects A list of objects; each is shared by itself.
#' @param channel A channel or listener.
#' @param ... Ignored.
#' @return `shareConnection()`: a processx connection. `receiveShared()`: the object (the first, if there are several; a
#'   raw vector, for a message of ordinary bytes). `receiveSharedMessage()`: a list of `bytes` and `objects`.
#'   `listenShared()`: a listener. `acceptShared()`, `connectShared()`, `channelFromDescriptor()`, `inheritedChannel()`:
#'   a channel. `channelPair()`: a list of two. `channelDescriptor()`: a number. The others: nothing.
#' @examples
#' ends <- channelPair()
#' sendShared(ends[[1]], list(a = 1:10, b = letters))
#' receiveShared(ends[[2]])
#' \dontrun{
#' con <- shareConnection(list(big, table))
#' work <- function() sum(onecopy::receiveShared(3)[[1]])
#' p <- callr::r_bg(work, connections = list(con), poll_connection = FALSE)
#' p$get_result()
#' }
#' @name channels
NULL

#' @rdname channels
#' @export
shareConnection <- function(x, later = FALSE) {
  if (!requireNamespace("processx", quietly = TRUE)) {
    stop("shareConnection() makes a connection of the package processx, which is not installed: ",
         "install.packages(\"processx\").", call. = FALSE)
  }
  check_flag(later, "later")
  if (!later) {
    if (missing(x)) stop("`x` is missing: give what the child shall have, or `later = TRUE`.", call. = FALSE)
    return(processx::conn_create_fd(.Call(oc_share_descriptor, x), close = TRUE))
  }
  if (!missing(x)) stop("With `later = TRUE` the data is given to fillConnection().", call. = FALSE)
  pending <- .Call(oc_pending_new)
  con <- processx::conn_create_fd(.Call(oc_pending_descriptor, pending), close = TRUE)
  structure(con, onecopy_pending = pending)
}

#' @rdname channels
#' @export
fillConnection <- function(con, x) {
  pending <- attr(con, "onecopy_pending", exact = TRUE)
  if (is.null(pending)) stop("`con` does not come from shareConnection(later = TRUE).", call. = FALSE)
  if (missing(x)) stop("`x` is missing: give what the children shall have.", call. = FALSE)
  .Call(oc_pending_fill, pending, x)
  invisible()
}

#' @rdname channels
#' @export
receiveShared <- function(from = 3L, timeout = NULL) {
  if (inherits(from, "onecopy_channel")) return(.Call(oc_receive, from, timeout))
  if (inherits(from, "processx_connection")) from <- processx::conn_get_fileno(from)
  if (!is.numeric(from) || length(from) != 1L || is.na(from)) {
    stop("`from` must be a channel or the number of a descriptor.", call. = FALSE)
  }
  .Call(oc_receive_descriptor, from, timeout)
}

#' @rdname channels
#' @export
sendShared <- function(to, x, timeout = NULL) {
  if (!inherits(to, "onecopy_channel")) stop("`to` must be a channel; see ?channels.", call. = FALSE)
  if (missing(x)) stop("`x` is missing: give what to send.", call. = FALSE)
  .Call(oc_send, to, raw(), list(x), list(handle_to_send(x)), timeout)
  invisible()
}

handle_to_send <- function(x) if (isTRUE(is.shared(x))) tryCatch(sharedHandle(x), error = function(e) NULL)

#' @rdname channels
#' @export
sendSharedMessage <- function(to, bytes = raw(), objects = list(), timeout = NULL) {
  if (!inherits(to, "onecopy_channel")) stop("`to` must be a channel; see ?channels.", call. = FALSE)
  if (is.character(bytes)) {
    if (length(bytes) != 1L || is.na(bytes)) stop("`bytes` must be a raw vector or one string.", call. = FALSE)
    bytes <- charToRaw(enc2utf8(bytes))
  }
  if (typeof(objects) != "list" || is.object(objects)) stop("`objects` must be a list.", call. = FALSE)
  .Call(oc_send, to, bytes, unname(as.list(objects)), lapply(unname(objects), handle_to_send), timeout)
  invisible()
}

#' @rdname channels
#' @export
receiveSharedMessage <- function(from, timeout = NULL) {
  if (!inherits(from, "onecopy_channel")) stop("`from` must be a channel; see ?channels.", call. = FALSE)
  got <- .Call(oc_receive_message, from, timeout)
  # An object that was refused is a condition in its place, not raised.
  accepted <- function(x) if (inherits(x, "onecopy_refused")) onecopy_error(x[1L], x[2L], remedy = x[3L]) else x
  list(bytes = got[[1L]], objects = lapply(got[[2L]], accepted))
}

#' @rdname channels
#' @export
channelPair <- function() lapply(.Call(oc_channel_pair), as_channel)

#' @rdname channels
#' @export
listenShared <- function(path = tempfile("onecopy-", fileext = ".sock")) {
  structure(.Call(oc_listen, path), class = "onecopy_listener", path = path)
}

#' @rdname channels
#' @export
acceptShared <- function(listener, timeout = NULL) {
  if (!inherits(listener, "onecopy_listener")) stop("`listener` must come from listenShared().", call. = FALSE)
  as_channel(.Call(oc_accept, listener, timeout))
}

#' @rdname channels
#' @export
connectShared <- function(path, timeout = 10) as_channel(.Call(oc_channel_connect, path, timeout))

#' @rdname channels
#' @export
channelFromDescriptor <- function(fd) as_channel(.Call(oc_channel_adopt, fd))

#' @rdname channels
#' @export
inheritedChannel <- function() as_channel(.Call(oc_channel_inherited))

#' @rdname channels
#' @export
channelDescriptor <- function(channel) {
  if (!inherits(channel, c("onecopy_channel", "onecopy_listener"))) {
    stop("`channel` must be a channel or a listener; see ?channels.", call. = FALSE)
  }
  .Call(oc_channel_descriptor, channel)
}

#' @rdname channels
#' @export
close.onecopy_channel <- function(con, ...) invisible(.Call(oc_close, con))

#' @rdname channels
#' @export
close.onecopy_listener <- function(con, ...) invisible(.Call(oc_close, con))

#' @export
print.onecopy_channel <- function(x, ...) {
  fd <- tryCatch(.Call(oc_channel_descriptor, x), error = function(e) NULL)
  cat("<onecopy channel, ", if (is.null(fd)) "closed" else paste("descriptor", fd), ">\n", sep = "")
  invisible(x)
}

#' @export
print.onecopy_listener <- function(x, ...) {
  cat("<onecopy listener at ", attr(x, "path"), ">\n", sep = "")
  invisible(x)
}

as_channel <- function(pointer) structure(pointer, class = "onecopy_channel")

#' Use a file where it lies
#'
#' A vector whose elements are the bytes of an existing file: an image, a font, a binary column. Nothing is read until
#' it is used, and all processes that map the file share the system's one copy of it. Writing to the vector changes this
#' process's pages alone, never the file.
#'
#' If the file is cut short while it is mapped, using the vector is an error of class `onecopy_corrupt`; the process is
#' not killed. An element read by itself (`x[[i]]`) may be 0 instead. What other programs write into the file shows.
#'
#' @param path A file.
#' @param mode One of `"raw"`, `"logical"`, `"integer"`, `"numeric"`, `"complex"`: how R stores its elements (4 bytes,
#'   4, 8 and 16 for the last four), in this machine's byte order.
#' @param offset Bytes to leave out at the beginning; a multiple of 64.
#' @param length Number of elements; `NULL`: all.
#' @param dim Dimensions, column by column.
#' @return A shared vector.
#' @examples
#' path <- tempfile()
#' writeBin(as.numeric(1:100), path)
#' x <- mapSharedFile(path, "numeric")
#' sum(x)
#' @export
mapSharedFile <- function(path, mode = c("raw", "logical", "integer", "numeric", "complex"), offset = 0,
                          length = NULL, dim = NULL) {
  mode <- check_choice(mode, "mode", c("raw", "logical", "integer", "numeric", "complex"))
  path <- check_path(path)
  if (!is.null(dim)) {
    if (!is.numeric(dim) || anyNA(dim) || any(dim < 0 | dim > .Machine$integer.max | dim != floor(dim)))
      wrong_argument("dim", "whole numbers from 0 to 2^31 - 1")
    dim <- as.integer(dim)
  }
  if (!file.exists(path)) wrong_argument("path", paste0("a file; there is no such file: ", path))
  .Call(oc_map_file, normalizePath(path, mustWork = TRUE), mode, offset, length, dim)
}
