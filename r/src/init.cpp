#include "api.h"
#include "lazy.h"
#include "view.h"

#include <R_ext/Rdynload.h>
#include <R_ext/Visibility.h>

namespace {

template <class F>
DL_FUNC address(F* function) { return reinterpret_cast<DL_FUNC>(reinterpret_cast<void (*)()>(function)); }

const R_CallMethodDef calls[] = {
    {"oc_share", address(oc_share), 2},
    {"oc_empty", address(oc_empty), 4},
    {"oc_attach", address(oc_attach), 4},
    {"oc_handle", address(oc_handle), 2},
    {"oc_holds_shared", address(oc_holds_shared), 1},
    {"oc_fully_shared", address(oc_fully_shared), 2},
    {"oc_ordinary", address(oc_ordinary), 2},
    {"oc_set_binding", address(oc_set_binding), 3},
    {"oc_is_shared", address(oc_is_shared), 1},
    {"oc_is_gone", address(oc_is_gone), 1},
    {"oc_properties", address(oc_properties), 1},
    {"oc_set_flag", address(oc_set_flag), 3},
    {"oc_node_at", address(oc_node_at), 1},
    {"oc_container_node", address(oc_container_node), 2},
    {"oc_read_node", address(oc_read_node), 3},
    {"oc_handle_of_node", address(oc_handle_of_node), 3},
    {"oc_list", address(oc_list), 0},
    {"oc_free", address(oc_free), 1},
    {"oc_exists", address(oc_exists), 1},
    {"oc_size", address(oc_size), 1},
    {"oc_holders", address(oc_holders), 1},
    {"oc_collect", address(oc_collect), 0},
    {"oc_directory", address(oc_directory), 0},
    {"oc_doctor", address(oc_doctor), 0},
    {"oc_allocate", address(oc_allocate), 2},
    {"oc_map", address(oc_map), 1},
    {"oc_unmap", address(oc_unmap), 1},
    {"oc_travel_begin", address(oc_travel_begin), 0},
    {"oc_travel_end", address(oc_travel_end), 0},
    {"oc_region_writable", address(oc_region_writable), 1},
    {"oc_region_piece", address(oc_region_piece), 3},
    {"oc_hold", address(oc_hold), 1},
    {"oc_place", address(oc_place), 0},
    {"oc_checksum", address(oc_checksum), 1},
    {"oc_import_begin", address(oc_import_begin), 2},
    {"oc_import_write", address(oc_import_write), 2},
    {"oc_import_end", address(oc_import_end), 1},
    {"oc_import_abort", address(oc_import_abort), 1},
    {"oc_share_descriptor", address(oc_share_descriptor), 1},
    {"oc_pending_new", address(oc_pending_new), 0},
    {"oc_pending_descriptor", address(oc_pending_descriptor), 1},
    {"oc_pending_fill", address(oc_pending_fill), 2},
    {"oc_receive_descriptor", address(oc_receive_descriptor), 2},
    {"oc_channel_pair", address(oc_channel_pair), 0},
    {"oc_channel_connect", address(oc_channel_connect), 2},
    {"oc_channel_adopt", address(oc_channel_adopt), 1},
    {"oc_channel_descriptor", address(oc_channel_descriptor), 1},
    {"oc_listen", address(oc_listen), 1},
    {"oc_accept", address(oc_accept), 2},
    {"oc_close", address(oc_close), 1},
    {"oc_channel_inherited", address(oc_channel_inherited), 0},
    {"oc_send", address(oc_send), 5},
    {"oc_receive", address(oc_receive), 2},
    {"oc_receive_message", address(oc_receive_message), 2},
    {"oc_map_file", address(oc_map_file), 5},
    {"oc_lazy_make", address(oc_lazy_make), 5},
    {"oc_lazy_attach", address(oc_lazy_attach), 1},
    {"oc_lazy_handle", address(oc_lazy_handle), 2},
    {"oc_lazy_is", address(oc_lazy_is), 1},
    {"oc_lazy_read", address(oc_lazy_read), 3},
    {"oc_lazy_range", address(oc_lazy_range), 4},
    {"oc_lazy_kept", address(oc_lazy_kept), 1},
    {"oc_lazy_bare", address(oc_lazy_bare), 1},
    {"oc_lazy_status", address(oc_lazy_status), 1},
    {"oc_lazy_usage", address(oc_lazy_usage), 0},
    {"oc_lazy_budget", address(oc_lazy_budget), 1},
    {"oc_lazy_pack", address(oc_lazy_pack), 2},
    {"oc_lazy_width", address(oc_lazy_width), 1},
    {"oc_csv_records", address(oc_csv_records), 6},
    {"oc_text_lines", address(oc_text_lines), 1},
    {"oc_lazy_unpack", address(oc_lazy_unpack), 2},
    {"oc_lazy_depth", address(oc_lazy_depth), 1},
    {"oc_lazy_pager", address(oc_lazy_pager), 1},
    {"oc_lazy_serve", address(oc_lazy_serve), 1},
    {"oc_record_open", address(oc_record_open), 3},
    {"oc_record_make", address(oc_record_make), 6},
    {"oc_record_handle", address(oc_record_handle), 2},
    {"oc_record_names", address(oc_record_names), 1},
    {"oc_record_type", address(oc_record_type), 1},
    {"oc_record_read", address(oc_record_read), 2},
    {"oc_record_write", address(oc_record_write), 3},
    {"oc_record_snapshot", address(oc_record_snapshot), 2},
    {"oc_record_must_be_free", address(oc_record_must_be_free), 1},
    {"oc_record_lock", address(oc_record_lock), 2},
    {"oc_record_unlock", address(oc_record_unlock), 1},
    {"oc_record_repaired", address(oc_record_repaired), 1},
    {nullptr, nullptr, 0},
};

}  // namespace

extern "C" attribute_visible void R_init_onecopy(DllInfo* dll) {
  R_registerRoutines(dll, nullptr, calls, nullptr, nullptr);
  R_useDynamicSymbols(dll, FALSE);
  R_forceSymbols(dll, TRUE);
  ocr::register_numeric_classes(dll);
  ocr::register_converted_classes(dll);
  ocr::register_string_class(dll);
  ocr::register_list_class(dll);
  ocr::register_gone_classes(dll);
  ocr::register_lazy_classes(dll);
}
