// Each onecopy::error_kind is an exception class of the package (onecopy/errors.py).
#include <nanobind/stl/string.h>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

// The dictionary kind -> class. Never freed: errors may still be thrown while the interpreter ends.
PyObject* classes = nullptr;

// Sets the Python error. Never throws: it runs while a C++ exception is in flight.
void set_error(const onecopy::error& e, const char* kind) {
  PyObject* type = classes ? PyDict_GetItemString(classes, kind) : nullptr;
  if (!type) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
    return;
  }
  // Paths in messages need not be UTF-8.
  auto text = [](const std::string& t) {
    return PyUnicode_DecodeUTF8(t.data(), static_cast<Py_ssize_t>(t.size()), "replace");
  };
  PyObject* instance = PyObject_CallFunction(type, "NNNi", text(e.tried()), text(e.happened()), text(e.remedy()),
                                             e.os_error());
  if (!instance) return;  // the error of that call is set instead
  PyErr_SetObject(type, instance);
  Py_DECREF(instance);
}

}  // namespace

void bind_errors(nb::module_& m) {
  m.def("set_exceptions", [](nb::dict by_kind) {
    PyObject* old = classes;
    classes = by_kind.release().ptr();
    Py_XDECREF(old);
  });
  nb::register_exception_translator([](const std::exception_ptr& p, void*) {
    try {
      std::rethrow_exception(p);
    } catch (const not_held& e) {
      set_error(e, "not_held");
    } catch (const onecopy::error& e) {
      // A callback or a signal handler raised: its own exception says more than ours.
      if (e.kind() == onecopy::error_kind::interrupted && PyErr_Occurred()) return;
      set_error(e, onecopy::name_of(e.kind()));
    }
  });
  // For tests: every kind, without having to provoke it.
  m.def("raise_error", [](const std::string& kind, const std::string& tried, const std::string& happened,
                          const std::string& remedy, int os_error) {
    for (int k = 0; k <= static_cast<int>(onecopy::error_kind::system); ++k) {
      if (kind == onecopy::name_of(static_cast<onecopy::error_kind>(k)))
        throw onecopy::error(static_cast<onecopy::error_kind>(k), tried, happened, remedy, os_error);
    }
    throw nb::value_error("no such kind");
  });
}

}  // namespace onecopy_python
