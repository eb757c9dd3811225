// Records: the C++ object that holds one, and the base class of the classes that @onecopy.record makes.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <unistd.h>

#include "shared.hpp"

namespace onecopy_python {

using onecopy::dtype;
using onecopy::raw_record;
using onecopy::wait_result;

void without_gil::take(PyThreadState* state) {
#if PY_VERSION_HEX >= 0x030d0000
  const bool ending = Py_IsFinalizing() != 0;
#else
  const bool ending = _Py_IsFinalizing() != 0;
#endif
  while (ending) pause();
  PyEval_RestoreThread(state);
}

namespace {

// ---------------------------------------------------------------------------------------------------------- instances

PyTypeObject* record_base = nullptr;

void instance_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_CLEAR(reinterpret_cast<record_bytes*>(self)->owner);
  type->tp_free(self);
  Py_DECREF(type);
}

int instance_buffer(PyObject* self, Py_buffer* out, int flags) {
  auto* record = reinterpret_cast<record_bytes*>(self);
  if (record->data == nullptr) {
    out->obj = nullptr;
    PyErr_SetString(PyExc_BufferError, "this record was never given its bytes");
    return -1;
  }
  return PyBuffer_FillInfo(out, self, record->data, record->size, 0, flags);
}

PyType_Slot instance_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(instance_dealloc)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(instance_buffer)},
    {Py_tp_doc, const_cast<char*>("The bytes of a record. Classes made by @onecopy.record derive from it.")},
    {0, nullptr}};
PyType_Spec instance_spec = {"onecopy._core.RecordBase", sizeof(record_bytes), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, instance_slots};

}  // namespace

record_bytes* as_record_bytes(PyObject* object) {
  if (!PyObject_TypeCheck(object, record_base)) {
    PyErr_Format(PyExc_TypeError, "this is a field of records, and a %.200s is none", Py_TYPE(object)->tp_name);
    return nullptr;
  }
  return reinterpret_cast<record_bytes*>(object);
}

namespace {

// ---------------------------------------------------------------------------------------------------------- the record

onecopy::record_type make_type(const std::string& name, std::size_t size, nb::handle fields) {
  const auto read = [](const auto& self, nb::handle list) -> std::vector<onecopy::record_field> {
    std::vector<onecopy::record_field> out;
    for (nb::handle item : list) {
      auto f = nb::cast<nb::tuple>(item);
      out.push_back({.name = nb::cast<std::string>(f[0]), .type = static_cast<dtype>(nb::cast<int>(f[1])),
                     .offset = nb::cast<std::uint64_t>(f[2]), .item_size = nb::cast<std::size_t>(f[3]),
                     .shape = nb::cast<std::vector<std::uint64_t>>(f[4]), .fields = self(self, f[5])});
    }
    return out;
  };
  return {name, size, read(read, fields)};
}

const void* first_bytes(const onecopy::record_type& type, const nb::bytes& first) {
  if (first.size() != type.size) throw nb::value_error("the first bytes are not those of one record");
  return first.data();
}

// Fills `object`, a fresh instance of a subclass of RecordBase.
void give_bytes(nb::handle object, nb::handle owner, std::uintptr_t address, std::size_t size) {
  record_bytes* record = as_record_bytes(object.ptr());
  if (record == nullptr) throw nb::python_error();
  if (record->owner != nullptr) throw nb::type_error("this record has its bytes");
  record->data = reinterpret_cast<char*>(address);
  record->size = static_cast<Py_ssize_t>(size);
  record->owner = Py_NewRef(owner.ptr());
}

}  // namespace

void bind_record(nb::module_& m) {
  record_base = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&instance_spec));
  if (record_base == nullptr) throw nb::python_error();
  m.attr("RecordBase") = nb::handle(reinterpret_cast<PyObject*>(record_base));
  m.def("give_bytes", give_bytes);
  m.def("owner_of", [](nb::handle object) {
    record_bytes* record = as_record_bytes(object.ptr());
    if (record == nullptr) throw nb::python_error();
    return record->owner == nullptr ? nb::none() : nb::borrow(record->owner);
  });
  m.def("address_of_record", [](nb::handle object) {
    record_bytes* record = as_record_bytes(object.ptr());
    if (record == nullptr) throw nb::python_error();
    return reinterpret_cast<std::uintptr_t>(record->data);
  });
  bind_record_fields(m);

  nb::class_<cancellation>(m, "Cancellation", nb::is_weak_referenceable())
      .def(nb::init<>())
      .def("cancel", [](cancellation& self) { self.asked = true; });

  const auto what = [](bool create) { return create ? onecopy::missing::make : onecopy::missing::refuse; };
  nb::class_<raw_record>(m, "RawRecord", nb::is_weak_referenceable())
      .def_static("open",
                  [what](const std::string& path, const std::string& name, std::size_t size, nb::handle fields,
                         const nb::bytes& first, bool create) {
                    const auto type = make_type(name, size, fields);
                    return raw_record::open(path, type, first_bytes(type, first), what(create));
                  })
      .def_static("shared",
                  [what](const std::string& where, const std::string& name, std::size_t size, nb::handle fields,
                         const nb::bytes& first, bool create, bool keep) {
                    const auto type = make_type(name, size, fields);
                    return raw_record::shared(where, type, first_bytes(type, first), what(create), keep);
                  })
      .def_static("make",
                  [](const std::string& name, std::size_t size, nb::handle fields, const nb::bytes& first) {
                    const auto type = make_type(name, size, fields);
                    return raw_record::make(type, first_bytes(type, first));
                  })
      .def_static("attach",
                  [](const std::string& handle, const std::string& name, std::size_t size, nb::handle fields) {
                    const auto type = make_type(name, size, fields);
                    return raw_record::attach(handle, &type);
                  })
      .def_static("of_region",
                  [](const onecopy::region& whole, const std::string& name, std::size_t size, nb::handle fields) {
                    const auto type = make_type(name, size, fields);
                    return raw_record::from(whole, &type);
                  })
      .def_prop_ro("address", [](const raw_record& r) { return reinterpret_cast<std::uintptr_t>(r.data()); })
      .def_prop_ro("size", &raw_record::size)
      .def_prop_ro("type_name", [](const raw_record& r) { return r.type().name; })
      .def_prop_ro("region", [](const raw_record& r) { return r.region(); })
      .def("begin_writing",
           [](const raw_record& r, double seconds, cancellation* cancel) {
             wait_result how = r.begin_writing(onecopy::waiting::none());
             if (how == wait_result::timed_out && seconds != 0)
               how = wait_for(seconds, cancel, [&](const onecopy::waiting& w) { return r.begin_writing(w); });
             return static_cast<int>(how);
           }, nb::arg("seconds"), nb::arg("cancel").none())
      .def("end_writing", &raw_record::end_writing)
      .def("repaired", [](const raw_record& r) { r.lock().repaired(); })
      .def("damaged", [](const raw_record& r) { return r.lock().damaged(); })
      .def("locked", [](const raw_record& r) { return r.lock().locked(); })
      .def("held", [](const raw_record& r) { return r.lock().held(); })
      // The bytes as they stood between two writings, and how the wait ended.
      .def("snapshot", [](const raw_record& r, double seconds) {
        std::vector<std::byte> out(r.size());
        wait_result how = r.snapshot(out, onecopy::waiting::none());
        if (how == wait_result::timed_out && seconds != 0)
          how = wait_for(seconds, nullptr, [&](const onecopy::waiting& w) { return r.snapshot(out, w); });
        return nb::make_tuple(static_cast<int>(how), nb::bytes(out.data(), out.size()));
      });
}

}  // namespace onecopy_python
