// What the bindings of records and of synchronization share.
#pragma once

#include <atomic>

#include "bindings.hpp"
#include "onecopy/record.hpp"

namespace onecopy_python {

void bind_record(nb::module_& m);
void bind_record_fields(nb::module_& m);
void bind_sync(nb::module_& m);

// A Python object whose bytes are a record's. `owner` keeps them: a RawRecord, a bytearray, or the record that this one is
// part of.
struct record_bytes {
  PyObject_HEAD
  char* data;
  Py_ssize_t size;
  PyObject* owner;
};

// Null, with a TypeError set, if it is not one.
record_bytes* as_record_bytes(PyObject* object);

// Ends the wait of another thread: asyncio's way to call it off.
struct cancellation {
  std::atomic<bool> asked{false};
};

// The interpreter's lock, let go of for as long as this lives. Once the interpreter ends it is never given back, and
// taking it would unwind the thread through frames that can't be unwound: such a thread sleeps until the process ends.
class without_gil {
 public:
  without_gil() : state_(PyEval_SaveThread()) {}
  ~without_gil() { take(state_); }
  without_gil(const without_gil&) = delete;
  without_gil& operator=(const without_gil&) = delete;
  // Runs `work` with the lock.
  template <class Work>
  auto briefly_with(Work work) {
    take(state_);
    auto answer = work();
    state_ = PyEval_SaveThread();
    return answer;
  }

 private:
  static void take(PyThreadState* state);
  PyThreadState* state_;
};

// Runs `wait(const onecopy::waiting&)` without the interpreter's lock; signals are handled meanwhile. A negative time
// has no end. Raises what a signal handler raised (KeyboardInterrupt).
template <class Wait>
onecopy::wait_result wait_for(double seconds, cancellation* cancel, Wait wait) {
  onecopy::wait_result how;
  {
    without_gil free;
    onecopy::waiting patience{.seconds = seconds};
    if (cancel != nullptr)
      patience.stop = [cancel] { return cancel->asked.load(); };
    else
      patience.stop = [&free] { return free.briefly_with([] { return PyErr_CheckSignals() != 0; }); };
    how = wait(patience);
  }
  if (PyErr_Occurred()) throw nb::python_error();
  return how;
}

}  // namespace onecopy_python
