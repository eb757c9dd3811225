// What the files of the binding share. Each bind_* adds its classes and functions to the module.
#pragma once

#include <nanobind/nanobind.h>

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "onecopy/onecopy.hpp"

namespace onecopy_python {

namespace nb = nanobind;

void bind_errors(nb::module_& m);
void bind_region(nb::module_& m);
void bind_node(nb::module_& m);
void bind_writer(nb::module_& m);
void bind_store(nb::module_& m);
void bind_snapshot(nb::module_& m);
void bind_transport(nb::module_& m);
void bind_lazy(nb::module_& m);

// Who does not hold a lock asked for what only its holder may do: a RuntimeError in threading, and here too.
struct not_held : onecopy::error {
  explicit not_held(const onecopy::error& reason) : onecopy::error(reason) {}
};

// A writer and everything it borrows until it has published: Python objects, and numbers made on the way.
struct tree_writer {
  onecopy::writer core;
  std::vector<nb::object> kept;            // objects whose memory the writer reads
  std::deque<std::string> texts;           // a deque never moves its elements: views of them stay valid
  std::deque<std::vector<std::string_view>> views;
  std::deque<std::vector<std::byte>> blocks;
  std::vector<PyObject*> open_containers;  // being written now: meeting one again is a cycle

  // Text that lives as long as the writer.
  std::string_view text(std::string value) { return texts.emplace_back(std::move(value)); }
  std::vector<std::string_view>& view_list() { return views.emplace_back(); }
  std::vector<std::byte>& block(std::size_t size) { return blocks.emplace_back(size); }
};

// The attribute by which this package remembers the Python type of a node. Other languages may ignore it.
inline constexpr const char* note_name = ":python";

// A str as UTF-8. Text that is not valid Unicode (lone surrogates) comes back with bytes = true, as os.fsencode would
// write it. The view is of the str itself where that is ASCII, else of a bytes object that goes into `kept`.
struct utf8 {
  std::string_view text;
  bool bytes = false;
};
utf8 as_utf8(PyObject* text, std::vector<nb::object>& kept);

// A node's text as a str; bytes that are not UTF-8 become surrogates (os.fsdecode).
nb::object as_str(std::string_view text);

// Strings of Python objects; None is missing. Raises TypeError for anything else.
std::shared_ptr<onecopy::string_source> make_string_source(nb::handle sequence, std::vector<nb::object>& kept);

// A container that holds itself has no tree. Python code pickles the whole object then.
struct container_in_itself : std::exception {
  const char* what() const noexcept override { return "a container holds itself"; }
};

// Writes builtin values and containers of them; everything else goes to `other(writer, slot, object)`.
void write_plain(tree_writer& w, nb::handle self, onecopy::writer::slot at, nb::handle object, nb::handle other);
// Reads what write_plain wrote; every other node goes to `other(node)`.
nb::object read_plain(const onecopy::value& node, nb::handle other);

// The interpreter's lock, from a thread that may or may not hold it.
struct gil_or_nothing {
  gil_or_nothing() : state_(PyGILState_Ensure()) {}
  ~gil_or_nothing() { PyGILState_Release(state_); }
  gil_or_nothing(const gil_or_nothing&) = delete;
  gil_or_nothing& operator=(const gil_or_nothing&) = delete;

 private:
  PyGILState_STATE state_;
};

}  // namespace onecopy_python
