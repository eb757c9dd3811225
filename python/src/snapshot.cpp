// What a tree of lists, dicts, sets and tuples held when it was shared.
//
// Python's containers can be changed in ways that no subclass sees (C code calls PyList_SetItem). So before a container
// is pickled as a handle it is compared, element by element and by identity, with what it was. The snapshot holds
// references to the elements: an address that was freed could come back with another object behind it.
#include <unordered_set>

#include "bindings.hpp"

namespace onecopy_python {
namespace {

struct snapshot {
  struct container {
    PyObject* object;  // owned, except for the outermost: that one owns the snapshot
    std::size_t first, count;
  };
  std::vector<container> containers;
  std::vector<PyObject*> elements;  // owned
  std::vector<PyObject*> leaves;    // borrowed from elements: what may change by itself

  snapshot() = default;
  snapshot(const snapshot&) = delete;
  snapshot& operator=(const snapshot&) = delete;
  ~snapshot() { clear(); }

  void clear() {
    auto old_elements = std::move(elements);
    auto old_containers = std::move(containers);
    elements.clear();
    containers.clear();
    leaves.clear();
    for (PyObject* o : old_elements) Py_DECREF(o);
    for (std::size_t i = 1; i < old_containers.size(); ++i) Py_DECREF(old_containers[i].object);
  }
};

bool is_container(PyObject* o) {
  return PyList_Check(o) || PyDict_Check(o) || PyTuple_Check(o) || PyAnySet_Check(o);
}

bool can_not_change(PyObject* o) {
  return o == Py_None || PyFloat_Check(o) || PyLong_Check(o) || PyUnicode_Check(o) || PyBytes_Check(o) ||
         PyComplex_Check(o);
}

template <class Visit>
bool each_element(PyObject* o, Visit visit) {
  if (PyList_Check(o)) {
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(o); ++i)
      if (!visit(PyList_GET_ITEM(o, i))) return false;
  } else if (PyTuple_Check(o)) {
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(o); ++i)
      if (!visit(PyTuple_GET_ITEM(o, i))) return false;
  } else if (PyDict_Check(o)) {
    PyObject *key, *item;
    Py_ssize_t at = 0;
    while (PyDict_Next(o, &at, &key, &item))
      if (!visit(key) || !visit(item)) return false;
  } else {
    PyObject* iterator = PyObject_GetIter(o);
    if (!iterator) throw nb::python_error();
    nb::object keep = nb::steal(iterator);
    while (PyObject* item = PyIter_Next(iterator)) {
      nb::object one = nb::steal(item);
      if (!visit(item)) return false;
    }
    if (PyErr_Occurred()) throw nb::python_error();
  }
  return true;
}

void record(snapshot& s, PyObject* whole) {
  std::unordered_set<PyObject*> seen{whole};
  s.containers.push_back({whole, 0, 0});
  for (std::size_t c = 0; c < s.containers.size(); ++c) {
    PyObject* o = s.containers[c].object;
    s.containers[c].first = s.elements.size();
    each_element(o, [&](PyObject* item) {
      Py_INCREF(item);
      s.elements.push_back(item);
      if (is_container(item)) {
        if (!seen.insert(item).second) return true;
        Py_INCREF(item);
        s.containers.push_back({item, 0, 0});
      } else if (!can_not_change(item)) {
        s.leaves.push_back(item);
      }
      return true;
    });
    s.containers[c].count = s.elements.size() - s.containers[c].first;
  }
}

// `whole` is the outermost container; `leaf_unchanged(leaf)` answers for what is not a container.
bool unchanged(const snapshot& s, nb::handle whole, nb::handle leaf_unchanged) {
  if (s.containers.empty() || s.containers[0].object != whole.ptr()) return false;
  for (const auto& c : s.containers) {
    std::size_t i = 0;
    const bool same = each_element(c.object, [&](PyObject* item) {
      return i < c.count && s.elements[c.first + i++] == item;
    });
    if (!same || i != c.count) return false;
  }
  for (PyObject* leaf : s.leaves)
    if (!nb::cast<bool>(leaf_unchanged(nb::handle(leaf)))) return false;
  return true;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  if (!nb::inst_ready(self)) return 0;
  auto& s = *nb::inst_ptr<snapshot>(self);
  for (PyObject* o : s.elements) Py_VISIT(o);
  for (std::size_t i = 1; i < s.containers.size(); ++i) Py_VISIT(s.containers[i].object);
  return 0;
}

int clear(PyObject* self) {
  if (nb::inst_ready(self)) nb::inst_ptr<snapshot>(self)->clear();
  return 0;
}

PyType_Slot slots[] = {{Py_tp_traverse, reinterpret_cast<void*>(traverse)},
                       {Py_tp_clear, reinterpret_cast<void*>(clear)},
                       {0, nullptr}};

}  // namespace

void bind_snapshot(nb::module_& m) {
  nb::class_<snapshot>(m, "Snapshot", nb::type_slots(slots))
      .def("__init__", [](snapshot* s, nb::handle whole) {
        new (s) snapshot();
        try {
          record(*s, whole.ptr());
        } catch (...) {
          s->~snapshot();
          throw;
        }
      })
      .def("unchanged", &unchanged);
}

}  // namespace onecopy_python
