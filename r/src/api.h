// The functions that the package's R code calls. All run in entry(): they give a result or raise an R condition.
#pragma once

#include "glue.h"

extern "C" {
// api_share.cpp
SEXP oc_share(SEXP x, SEXP options);
SEXP oc_empty(SEXP mode, SEXP length, SEXP dims, SEXP options);
SEXP oc_attach(SEXP handle, SEXP name, SEXP path, SEXP options);
SEXP oc_handle(SEXP x, SEXP lease);
// api_properties.cpp
SEXP oc_is_shared(SEXP x);
SEXP oc_is_gone(SEXP x);
SEXP oc_properties(SEXP x);
SEXP oc_set_flag(SEXP x, SEXP flag, SEXP on);
SEXP oc_node_at(SEXP x);
SEXP oc_container_node(SEXP x, SEXP levels);
SEXP oc_read_node(SEXP x, SEXP node, SEXP min_length);
SEXP oc_handle_of_node(SEXP x, SEXP node, SEXP lease);
// api_walk.cpp
SEXP oc_holds_shared(SEXP x);
SEXP oc_fully_shared(SEXP x, SEXP min_length);
SEXP oc_ordinary(SEXP x, SEXP environment_function);
SEXP oc_set_binding(SEXP environment, SEXP name, SEXP item);
// api_store.cpp
SEXP oc_list();
SEXP oc_free(SEXP id);
SEXP oc_exists(SEXP id);
SEXP oc_size(SEXP id);
SEXP oc_holders(SEXP id);
SEXP oc_collect();
SEXP oc_directory();
SEXP oc_doctor();
SEXP oc_allocate(SEXP size, SEXP name);
SEXP oc_map(SEXP id);
SEXP oc_unmap(SEXP pointer);
// api_cluster.cpp
SEXP oc_travel_begin();
SEXP oc_travel_end();
SEXP oc_region_writable(SEXP region);
SEXP oc_region_piece(SEXP region, SEXP offset, SEXP size);
SEXP oc_hold(SEXP id);
SEXP oc_place();
SEXP oc_checksum(SEXP piece);
SEXP oc_import_begin(SEXP id, SEXP bytes);
SEXP oc_import_write(SEXP pointer, SEXP piece);
SEXP oc_import_end(SEXP pointer);
SEXP oc_import_abort(SEXP pointer);
// api_transport.cpp
SEXP oc_share_descriptor(SEXP x);
SEXP oc_pending_new();
SEXP oc_pending_descriptor(SEXP pending);
SEXP oc_pending_fill(SEXP pending, SEXP x);
SEXP oc_receive_descriptor(SEXP fd, SEXP timeout);
SEXP oc_channel_pair();
SEXP oc_channel_connect(SEXP path, SEXP timeout);
SEXP oc_channel_adopt(SEXP fd);
SEXP oc_channel_descriptor(SEXP channel);
SEXP oc_listen(SEXP path);
SEXP oc_accept(SEXP listener, SEXP timeout);
SEXP oc_close(SEXP pointer);
SEXP oc_channel_inherited();
SEXP oc_send(SEXP channel, SEXP bytes, SEXP objects, SEXP handles, SEXP timeout);
SEXP oc_receive(SEXP channel, SEXP timeout);
SEXP oc_receive_message(SEXP channel, SEXP timeout);
SEXP oc_map_file(SEXP path, SEXP mode, SEXP offset, SEXP length, SEXP dims);
// api_record.cpp
SEXP oc_record_open(SEXP handle, SEXP name, SEXP path);
SEXP oc_record_make(SEXP type, SEXP names, SEXP kinds, SEXP extents, SEXP values, SEXP where);
SEXP oc_record_handle(SEXP record, SEXP lease);
SEXP oc_record_names(SEXP record);
SEXP oc_record_type(SEXP record);
SEXP oc_record_read(SEXP record, SEXP name);
SEXP oc_record_write(SEXP record, SEXP name, SEXP value);
SEXP oc_record_snapshot(SEXP record, SEXP timeout);
SEXP oc_record_must_be_free(SEXP record);
SEXP oc_record_lock(SEXP record, SEXP timeout);
SEXP oc_record_unlock(SEXP record);
SEXP oc_record_repaired(SEXP record);
}
