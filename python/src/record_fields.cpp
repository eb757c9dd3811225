// The fields of records: descriptors in C, because each access goes through one. Reading a number takes about as long as
// reading an ordinary attribute.
#include <complex>
#include <cstring>
#include <limits>

#include "shared.hpp"

namespace onecopy_python {

using onecopy::dtype;

namespace {

struct field {
  PyObject_HEAD
  Py_ssize_t offset;
  Py_ssize_t size;
  int type;           // a dtype; none: `get` and `set` do it
  bool text;          // fixed_bytes as str
  PyObject* name;
  PyObject* get;      // get(record, field): arrays, nested records, locks
  PyObject* set;      // set(record, field, value), or None: can't be assigned
};

PyTypeObject* field_type = nullptr;

void field_dealloc(PyObject* self) {
  auto* f = reinterpret_cast<field*>(self);
  PyTypeObject* type = Py_TYPE(self);
  Py_CLEAR(f->name);
  Py_CLEAR(f->get);
  Py_CLEAR(f->set);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* field_new(PyTypeObject* type, PyObject* args, PyObject*) {
  PyObject *name, *get, *set;
  Py_ssize_t offset, size;
  int kind, text;
  if (!PyArg_ParseTuple(args, "UnnipOO", &name, &offset, &size, &kind, &text, &get, &set)) return nullptr;
  auto* f = reinterpret_cast<field*>(type->tp_alloc(type, 0));
  if (f == nullptr) return nullptr;
  f->offset = offset;
  f->size = size;
  f->type = kind;
  f->text = text != 0;
  f->name = Py_NewRef(name);
  f->get = Py_NewRef(get);
  f->set = Py_NewRef(set);
  return reinterpret_cast<PyObject*>(f);
}

// The field's bytes in `object`, or null with an error set.
char* place_of(field* f, PyObject* object) {
  record_bytes* record = as_record_bytes(object);
  if (record == nullptr) return nullptr;
  if (record->data == nullptr || f->offset < 0 || f->size < 0 || f->offset > record->size - f->size) {
    PyErr_Format(PyExc_TypeError, "field \"%U\" does not belong to this record", f->name);
    return nullptr;
  }
  return record->data + f->offset;
}

template <class T>
T load(const char* from) {
  T value;
  std::memcpy(&value, from, sizeof value);  // one move; a record may lie anywhere in bytes of others
  return value;
}

PyObject* field_get(PyObject* self, PyObject* object, PyObject*) {
  auto* f = reinterpret_cast<field*>(self);
  if (object == nullptr) return Py_NewRef(self);
  const char* at = place_of(f, object);
  if (at == nullptr) return nullptr;
  switch (static_cast<dtype>(f->type)) {
    case dtype::int32: return PyLong_FromLong(load<std::int32_t>(at));
    case dtype::int64: return PyLong_FromLongLong(load<std::int64_t>(at));
    case dtype::float64: return PyFloat_FromDouble(load<double>(at));
    case dtype::bool8: return PyBool_FromLong(load<std::uint8_t>(at) != 0);
    case dtype::int8: return PyLong_FromLong(load<std::int8_t>(at));
    case dtype::int16: return PyLong_FromLong(load<std::int16_t>(at));
    case dtype::uint8: return PyLong_FromUnsignedLong(load<std::uint8_t>(at));
    case dtype::uint16: return PyLong_FromUnsignedLong(load<std::uint16_t>(at));
    case dtype::uint32: return PyLong_FromUnsignedLong(load<std::uint32_t>(at));
    case dtype::uint64: return PyLong_FromUnsignedLongLong(load<std::uint64_t>(at));
    case dtype::float32: return PyFloat_FromDouble(static_cast<double>(load<float>(at)));
    case dtype::complex64: {
      const auto z = load<std::complex<float>>(at);
      return PyComplex_FromDoubles(static_cast<double>(z.real()), static_cast<double>(z.imag()));
    }
    case dtype::complex128: {
      const auto z = load<std::complex<double>>(at);
      return PyComplex_FromDoubles(z.real(), z.imag());
    }
    case dtype::fixed_bytes: {
      const auto length = static_cast<Py_ssize_t>(strnlen(at, static_cast<std::size_t>(f->size)));
      return f->text ? PyUnicode_DecodeUTF8(at, length, "replace") : PyBytes_FromStringAndSize(at, length);
    }
    case dtype::raw: return PyBytes_FromStringAndSize(at, f->size);
    default: return PyObject_CallFunctionObjArgs(f->get, object, self, nullptr);
  }
}

int out_of_range(field* f, PyObject* value) {
  PyErr_Format(PyExc_OverflowError, "%R does not fit in field \"%U\", a%s of %zd bytes", value, f->name,
               static_cast<dtype>(f->type) >= dtype::uint8 ? "n unsigned integer" : "n integer", f->size);
  return -1;
}

template <class T>
int store_integer(field* f, char* at, PyObject* value) {
  PyObject* number = PyNumber_Index(value);
  if (number == nullptr) return -1;
  T result;
  if constexpr (std::is_signed_v<T>) {
    int overflow = 0;
    const long long wide = PyLong_AsLongLongAndOverflow(number, &overflow);
    Py_DECREF(number);
    if (overflow != 0 || wide < std::numeric_limits<T>::min() || wide > std::numeric_limits<T>::max())
      return out_of_range(f, value);
    result = static_cast<T>(wide);
  } else {
    const unsigned long long wide = PyLong_AsUnsignedLongLong(number);
    Py_DECREF(number);
    if (PyErr_Occurred() != nullptr) {
      PyErr_Clear();
      return out_of_range(f, value);
    }
    if (wide > std::numeric_limits<T>::max()) return out_of_range(f, value);
    result = static_cast<T>(wide);
  }
  std::memcpy(at, &result, sizeof result);
  return 0;
}

template <class T>
int store_float(char* at, PyObject* value) {
  const double wide = PyFloat_AsDouble(value);
  if (wide == -1.0 && PyErr_Occurred() != nullptr) return -1;
  const T result = static_cast<T>(wide);
  std::memcpy(at, &result, sizeof result);
  return 0;
}

template <class T>
int store_complex(char* at, PyObject* value) {
  const Py_complex wide = PyComplex_AsCComplex(value);
  if (wide.real == -1.0 && PyErr_Occurred() != nullptr) return -1;
  const std::complex<T> result(static_cast<T>(wide.real), static_cast<T>(wide.imag));
  std::memcpy(at, &result, sizeof result);
  return 0;
}

int store_bytes(field* f, char* at, PyObject* value) {
  const char* from = nullptr;
  Py_ssize_t size = 0;
  char* borrowed = nullptr;
  if (f->text) {
    from = PyUnicode_AsUTF8AndSize(value, &size);
    if (from == nullptr) return -1;
  } else {
    if (PyBytes_AsStringAndSize(value, &borrowed, &size) != 0) return -1;
    from = borrowed;
  }
  const bool exact = static_cast<dtype>(f->type) == dtype::raw;
  if (size > f->size || (exact && size != f->size)) {
    PyErr_Format(PyExc_ValueError, "field \"%U\" holds %s%zd bytes, not %zd", f->name, exact ? "" : "at most ", f->size,
                 size);
    return -1;
  }
  if (!exact && std::memchr(from, 0, static_cast<std::size_t>(size)) != nullptr) {
    PyErr_Format(PyExc_ValueError, "field \"%U\" ends at its first NUL byte, so it can't hold one", f->name);
    return -1;
  }
  std::memcpy(at, from, static_cast<std::size_t>(size));
  std::memset(at + size, 0, static_cast<std::size_t>(f->size - size));
  return 0;
}

int field_set(PyObject* self, PyObject* object, PyObject* value) {
  auto* f = reinterpret_cast<field*>(self);
  if (value == nullptr) {
    PyErr_Format(PyExc_AttributeError, "field \"%U\" of a record can't be deleted", f->name);
    return -1;
  }
  char* at = place_of(f, object);
  if (at == nullptr) return -1;
  switch (static_cast<dtype>(f->type)) {
    case dtype::int32: return store_integer<std::int32_t>(f, at, value);
    case dtype::int64: return store_integer<std::int64_t>(f, at, value);
    case dtype::float64: return store_float<double>(at, value);
    case dtype::bool8: {
      const int truth = PyObject_IsTrue(value);
      if (truth < 0) return -1;
      *at = static_cast<char>(truth);
      return 0;
    }
    case dtype::int8: return store_integer<std::int8_t>(f, at, value);
    case dtype::int16: return store_integer<std::int16_t>(f, at, value);
    case dtype::uint8: return store_integer<std::uint8_t>(f, at, value);
    case dtype::uint16: return store_integer<std::uint16_t>(f, at, value);
    case dtype::uint32: return store_integer<std::uint32_t>(f, at, value);
    case dtype::uint64: return store_integer<std::uint64_t>(f, at, value);
    case dtype::float32: return store_float<float>(at, value);
    case dtype::complex64: return store_complex<float>(at, value);
    case dtype::complex128: return store_complex<double>(at, value);
    case dtype::fixed_bytes:
    case dtype::raw: return store_bytes(f, at, value);
    default: break;
  }
  if (f->set == Py_None) {
    PyErr_Format(PyExc_AttributeError, "field \"%U\" can't be assigned; use its methods", f->name);
    return -1;
  }
  PyObject* done = PyObject_CallFunctionObjArgs(f->set, object, self, value, nullptr);
  if (done == nullptr) return -1;
  Py_DECREF(done);
  return 0;
}

PyObject* field_name(PyObject* self, void*) { return Py_NewRef(reinterpret_cast<field*>(self)->name); }
PyObject* field_offset(PyObject* self, void*) { return PyLong_FromSsize_t(reinterpret_cast<field*>(self)->offset); }
PyObject* field_size(PyObject* self, void*) { return PyLong_FromSsize_t(reinterpret_cast<field*>(self)->size); }
PyObject* field_repr(PyObject* self) {
  auto* f = reinterpret_cast<field*>(self);
  return PyUnicode_FromFormat("<field %U at byte %zd of %zd bytes>", f->name, f->offset, f->size);
}

PyGetSetDef field_properties[] = {{"name", field_name, nullptr, nullptr, nullptr},
                                  {"offset", field_offset, nullptr, nullptr, nullptr},
                                  {"size", field_size, nullptr, nullptr, nullptr},
                                  {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyType_Slot field_slots[] = {{Py_tp_new, reinterpret_cast<void*>(field_new)},
                             {Py_tp_dealloc, reinterpret_cast<void*>(field_dealloc)},
                             {Py_tp_descr_get, reinterpret_cast<void*>(field_get)},
                             {Py_tp_descr_set, reinterpret_cast<void*>(field_set)},
                             {Py_tp_getset, field_properties},
                             {Py_tp_repr, reinterpret_cast<void*>(field_repr)},
                             {Py_tp_doc, const_cast<char*>("A field of a record, as a descriptor.")},
                             {0, nullptr}};
PyType_Spec field_spec = {"onecopy._core.Field", sizeof(field), 0, Py_TPFLAGS_DEFAULT, field_slots};

// ------------------------------------------------------------------------------------------------------------ atomics

enum class atomic_step { load, store, exchange, add, compare_exchange };

template <class T>
nb::object atomically(field* f, char* at, atomic_step step, nb::handle first, nb::handle second) {
  if (reinterpret_cast<std::uintptr_t>(at) % sizeof(T) != 0)
    throw nb::type_error("this field is not aligned, so it can't be changed in one step");
  std::atomic_ref<T> place(*reinterpret_cast<T*>(at));
  const auto number = [&](nb::handle value) {
    T result{};
    if (store_integer<T>(f, reinterpret_cast<char*>(&result), value.ptr()) != 0) throw nb::python_error();
    return result;
  };
  switch (step) {
    case atomic_step::load: return nb::cast(place.load());
    case atomic_step::store: place.store(number(first)); return nb::none();
    case atomic_step::exchange: return nb::cast(place.exchange(number(first)));
    case atomic_step::add: return nb::cast(place.fetch_add(number(first)));
    case atomic_step::compare_exchange: {
      T expected = number(first);
      return nb::cast(place.compare_exchange_strong(expected, number(second)));
    }
  }
  throw nb::value_error("no such step");
}

nb::object atomic(nb::handle record, nb::handle of, int step, nb::handle first, nb::handle second) {
  if (Py_TYPE(of.ptr()) != field_type) throw nb::type_error("no such field");
  auto* f = reinterpret_cast<field*>(of.ptr());
  char* at = place_of(f, record.ptr());
  if (at == nullptr) throw nb::python_error();
  const auto what = static_cast<atomic_step>(step);
  switch (static_cast<dtype>(f->type)) {
    case dtype::int8: return atomically<std::int8_t>(f, at, what, first, second);
    case dtype::int16: return atomically<std::int16_t>(f, at, what, first, second);
    case dtype::int32: return atomically<std::int32_t>(f, at, what, first, second);
    case dtype::int64: return atomically<std::int64_t>(f, at, what, first, second);
    case dtype::uint8: return atomically<std::uint8_t>(f, at, what, first, second);
    case dtype::uint16: return atomically<std::uint16_t>(f, at, what, first, second);
    case dtype::uint32: return atomically<std::uint32_t>(f, at, what, first, second);
    case dtype::uint64: return atomically<std::uint64_t>(f, at, what, first, second);
    default: throw nb::type_error("only integers can be changed in one step");
  }
}

}  // namespace

void bind_record_fields(nb::module_& m) {
  field_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&field_spec));
  if (field_type == nullptr) throw nb::python_error();
  m.attr("Field") = nb::handle(reinterpret_cast<PyObject*>(field_type));
  m.def("atomic", atomic, nb::arg("record"), nb::arg("field"), nb::arg("step"), nb::arg("first").none(),
        nb::arg("second").none());
}

}  // namespace onecopy_python
