// onecopy._core: the core as Python sees it. The package onecopy is its only user; its interface may change.
#include <cstdlib>

#include "bindings.hpp"
#include "shared.hpp"

NB_MODULE(_core, m) {
  using namespace onecopy_python;
  // Objects that are alive when the interpreter ends (in tracebacks, in modules) are no leaks; tests ask for the report.
  nb::set_leak_warnings(std::getenv("ONECOPY_LEAK_CHECK") != nullptr);
  bind_errors(m);
  bind_region(m);
  bind_node(m);
  bind_writer(m);
  bind_store(m);
  bind_snapshot(m);
  bind_record(m);
  bind_sync(m);
  bind_transport(m);
  bind_lazy(m);
  m.attr("version") = ONECOPY_VERSION;
  m.attr("note_name") = note_name;
}
