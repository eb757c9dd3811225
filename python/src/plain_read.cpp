// Builtin values and containers, made from their nodes. What another language wrote is read by the same rules:
// a named list is a dict, a single string a str, a single number a number.
#include <nanobind/stl/string.h>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

using onecopy::dtype;
using onecopy::list_form;
using onecopy::node_kind;
using onecopy::value;

nb::object checked(PyObject* o) {
  if (!o) throw nb::python_error();
  return nb::steal(o);
}

std::string_view note_of(const value& v, std::string& storage) {
  if (v.attribute_count() == 0) return {};
  const auto note = v.attribute(std::string_view(note_name));
  if (!note || note->kind() != node_kind::string || note->size() != 1) return {};
  storage = note->string(0);
  return storage;
}

class plain_reader {
 public:
  explicit plain_reader(nb::handle other) : other_(other) {}

  nb::object read(const value& v) {
    if (Py_EnterRecursiveCall(" while reading nested shared containers")) throw nb::python_error();
    struct leave {
      ~leave() { Py_LeaveRecursiveCall(); }
    } at_end;
    std::string storage;
    const std::string_view note = note_of(v, storage);
    if (note == "list" || note == "tuple" || note == "set" || note == "frozenset") {
      if (v.kind() == node_kind::array || v.kind() == node_kind::string || v.kind() == node_kind::coded_string)
        return vector(v, note);
    } else if (note == "bytes" && v.kind() == node_kind::array) {
      return checked(PyBytes_FromStringAndSize(reinterpret_cast<const char*>(v.data()),
                                               static_cast<Py_ssize_t>(v.data_bytes())));
    } else if (note.empty()) {
      switch (v.kind()) {
        case node_kind::null:
          return nb::none();
        case node_kind::array:
          if (v.semantic() == onecopy::semantic::none && v.size() == 1 && v.shape().empty()) return element(v, 0);
          break;
        case node_kind::string:
          if (v.size() == 1) return v.is_missing(0) ? nb::none() : as_str(v.string(0));
          break;
        case node_kind::list:
          return list(v);
        default:
          break;
      }
    }
    return other_(nb::cast(v));
  }

 private:
  // Element i of a vector as int, float, bool, complex or str.
  nb::object element(const value& v, std::uint64_t i) {
    const std::byte* p = v.data() + i * v.item_size();
    switch (v.type()) {
      case dtype::bool8:
        return nb::bool_(*reinterpret_cast<const std::uint8_t*>(p) != 0);
      case dtype::logical32:
        return v.is_missing(i) ? nb::none() : nb::object(nb::bool_(number<std::int32_t>(p) != 0));
      case dtype::int8: return nb::int_(number<std::int8_t>(p));
      case dtype::int16: return nb::int_(number<std::int16_t>(p));
      case dtype::int32: return nb::int_(number<std::int32_t>(p));
      case dtype::int64: return nb::int_(number<std::int64_t>(p));
      case dtype::uint8: return nb::int_(number<std::uint8_t>(p));
      case dtype::uint16: return nb::int_(number<std::uint16_t>(p));
      case dtype::uint32: return nb::int_(number<std::uint32_t>(p));
      case dtype::uint64: return nb::int_(number<std::uint64_t>(p));
      case dtype::float32: return nb::float_(number<float>(p));
      case dtype::float64: return nb::float_(number<double>(p));
      case dtype::complex128: {
        const auto c = number<std::complex<double>>(p);
        return checked(PyComplex_FromDoubles(c.real(), c.imag()));
      }
      default:
        return other_(nb::cast(v));
    }
  }

  template <class T>
  static T number(const std::byte* p) {
    T out;
    std::memcpy(&out, p, sizeof(T));
    return out;
  }

  // A uniform list, tuple or set.
  nb::object vector(const value& v, std::string_view note) {
    const auto n = static_cast<Py_ssize_t>(v.size());
    const bool texts = v.kind() != node_kind::array;
    auto item = [&](Py_ssize_t i) -> nb::object {
      const auto at = static_cast<std::uint64_t>(i);
      if (!texts) return element(v, at);
      return v.is_missing(at) ? nb::none() : as_str(v.string(at));
    };
    return build(n, note == "list" ? list_form::list
                    : note == "tuple" ? list_form::tuple
                    : note == "set" ? list_form::set : list_form::frozenset, item);
  }

  template <class Item>
  nb::object build(Py_ssize_t n, list_form form, Item item) {
    if (form == list_form::set || form == list_form::frozenset) {
      nb::object out = checked(form == list_form::set ? PySet_New(nullptr) : PyFrozenSet_New(nullptr));
      for (Py_ssize_t i = 0; i < n; ++i)
        if (PySet_Add(out.ptr(), item(i).ptr()) != 0) throw nb::python_error();
      return out;
    }
    nb::object out = checked(form == list_form::tuple ? PyTuple_New(n) : PyList_New(n));
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* element_of = item(i).release().ptr();
      if (form == list_form::tuple) PyTuple_SET_ITEM(out.ptr(), i, element_of);
      else PyList_SET_ITEM(out.ptr(), i, element_of);
    }
    return out;
  }

  nb::object list(const value& v) {
    const auto n = static_cast<Py_ssize_t>(v.size());
    auto child = [&](Py_ssize_t i) { return read(v.child(static_cast<std::uint64_t>(i))); };
    const auto names = v.attribute(std::string_view("names"));
    const bool dict = v.form() == list_form::dict || v.form() == list_form::environment;
    if (names && names->size() == v.size()) return named(v, *names);
    if (dict && n == 2 && !names) return from_pairs(v);
    if (dict && n == 0) return nb::dict();
    return build(n, v.form(), child);
  }

  nb::object from_pairs(const value& v) {
    nb::object keys = read(v.child(0)), values = read(v.child(1));
    if (!PyList_Check(keys.ptr()) || !PyList_Check(values.ptr()) || nb::len(keys) != nb::len(values))
      throw onecopy::error(onecopy::error_kind::corrupt, "read a dict", "its keys and values don't belong together");
    nb::dict out;
    for (std::size_t i = 0; i < nb::len(keys); ++i) out[keys[i]] = values[i];
    return out;
  }

  // A dict; where R's names repeat, a list of (name, value) pairs, so that nothing is lost.
  nb::object named(const value& v, const value& names) {
    nb::dict out;
    for (std::uint64_t i = 0; i < v.size(); ++i) {
      nb::object name = names.is_missing(i) ? nb::none() : as_str(names.string(i));
      if (PyDict_Contains(out.ptr(), name.ptr()) != 0) return pairs(v, names);
      out[name] = read(v.child(i));
    }
    return out;
  }

  nb::object pairs(const value& v, const value& names) {
    nb::list out;
    for (std::uint64_t i = 0; i < v.size(); ++i) {
      nb::object name = names.is_missing(i) ? nb::none() : as_str(names.string(i));
      out.append(nb::make_tuple(name, read(v.child(i))));
    }
    return out;
  }

  nb::handle other_;
};

}  // namespace

nb::object read_plain(const value& node, nb::handle other) { return plain_reader(other).read(node); }

}  // namespace onecopy_python
