// Locks and the like. Each class works on a state that lies in a record (RawRecord), at an offset.
//
// A call tries without waiting first, with the interpreter's lock held: that is the common case and takes less time
// than letting go of it.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "onecopy/store.hpp"
#include "onecopy/sync.hpp"
#include "shared.hpp"

namespace onecopy_python {

using onecopy::raw_record;
using onecopy::wait_result;

namespace {

template <class Primitive>
Primitive in_record(const raw_record& record, std::size_t offset) {
  using state = typename Primitive::state_type;
  if (offset % alignof(state) != 0 || offset > record.size() || sizeof(state) > record.size() - offset)
    throw nb::value_error("there is no place for this in the record");
  return Primitive(*reinterpret_cast<state*>(record.data() + offset), record.who(), record.region().state());
}

// threading's arguments: blocking, and a timeout in seconds, -1 or None for no end.
double seconds_of(bool blocking, nb::handle timeout) {
  if (timeout.is_none()) return blocking ? -1 : 0;
  const double seconds = PyFloat_AsDouble(timeout.ptr());
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) throw nb::python_error();
  if (!blocking && seconds != -1) throw nb::value_error("can't give a timeout to a call that does not wait");
  if (seconds < 0 && seconds != -1) throw nb::value_error("a timeout can't be negative");
  return blocking ? seconds : 0;
}

double timeout_of(nb::handle timeout) {
  if (timeout.is_none()) return -1;
  const double seconds = PyFloat_AsDouble(timeout.ptr());
  if (seconds == -1.0 && PyErr_Occurred() != nullptr) throw nb::python_error();
  return seconds < 0 ? 0 : seconds;
}

// `op(waiting)` at once, or after waiting.
template <class Op>
wait_result now_or_later(double seconds, cancellation* cancel, Op op) {
  const wait_result how = op(onecopy::waiting::none());
  if (how != wait_result::timed_out || seconds == 0) return how;
  return wait_for(seconds, cancel, op);
}

bool got(wait_result how) { return how == wait_result::done || how == wait_result::owner_died; }

template <class Lock>
wait_result acquire(Lock& lock, double seconds, cancellation* cancel = nullptr) {
  return now_or_later(seconds, cancel, [&](const onecopy::waiting& w) { return lock.acquire(w); });
}

// Calls what only the holder of the lock may.
template <class Lock, void (Lock::*Call)()>
void as_holder(Lock& lock) {
  try {
    (lock.*Call)();
  } catch (const onecopy::error& e) {
    throw not_held(e);
  }
}

template <class Primitive>
auto init_in_record() {
  return [](Primitive* self, const raw_record& record, std::size_t offset) {
    new (self) Primitive(in_record<Primitive>(record, offset));
  };
}

void bind_locks(nb::module_& m) {
  using onecopy::mutex;
  nb::class_<mutex>(m, "Mutex")
      .def("__init__", init_in_record<mutex>(), nb::arg("record"), nb::arg("offset") = 0)
      .def("acquire",
           [](mutex& self, bool blocking, nb::handle timeout) {
             return got(acquire(self, seconds_of(blocking, timeout)));
           },
           nb::arg("blocking") = true, nb::arg("timeout").none() = -1)
      .def("release", &as_holder<mutex, &mutex::unlock>)
      .def("__enter__",
           [](nb::handle_t<mutex> self) {
             acquire(*nb::inst_ptr<mutex>(self), -1);
             return nb::borrow(self);
           })
      .def("__exit__", [](mutex& self, nb::handle, nb::handle, nb::handle) { as_holder<mutex, &mutex::unlock>(self); },
           nb::arg().none(), nb::arg().none(), nb::arg().none())
      .def("acquire_code", [](mutex& self, double seconds, cancellation* cancel) {
             return static_cast<int>(acquire(self, seconds, cancel));
           }, nb::arg("seconds"), nb::arg("cancel").none())
      .def("locked", &mutex::locked)
      .def("held", &mutex::held)
      .def("repaired", &as_holder<mutex, &mutex::repaired>)
      .def_prop_ro("owner_died", &mutex::damaged);

  using onecopy::rwlock;
  nb::class_<rwlock>(m, "RWMutex")
      .def("__init__", init_in_record<rwlock>(), nb::arg("record"), nb::arg("offset") = 0)
      .def("acquire_code", [](rwlock& self, double seconds, cancellation* cancel) {
             return static_cast<int>(acquire(self, seconds, cancel));
           }, nb::arg("seconds"), nb::arg("cancel").none())
      .def("acquire_shared_code", [](rwlock& self, double seconds, cancellation* cancel) {
             return static_cast<int>(now_or_later(
                 seconds, cancel, [&](const onecopy::waiting& w) { return self.acquire_shared(w); }));
           }, nb::arg("seconds"), nb::arg("cancel").none())
      .def("release_write", &as_holder<rwlock, &rwlock::unlock>)
      .def("release_read", &as_holder<rwlock, &rwlock::unlock_shared>)
      .def("repaired", &as_holder<rwlock, &rwlock::repaired>)
      .def("readers", &rwlock::readers)
      .def("write_locked", &rwlock::write_locked)
      .def_prop_ro("owner_died", &rwlock::damaged);

  using onecopy::condition;
  nb::class_<condition>(m, "ConditionVariable")
      .def("__init__", init_in_record<condition>(), nb::arg("record"), nb::arg("offset") = 0)
      .def("wait_code", [](condition& self, mutex& held, double seconds, cancellation* cancel) {
             if (!held.held())
               throw not_held(onecopy::error(onecopy::error_kind::invalid_argument, "wait for a condition",
                                             "this process does not hold its lock", "Acquire it first"));
             return static_cast<int>(
                 wait_for(seconds, cancel, [&](const onecopy::waiting& w) { return self.wait(held, w); }));
           }, nb::arg("lock"), nb::arg("seconds"), nb::arg("cancel").none())
      .def("notify_one", &condition::notify_one)
      .def("notify_all", &condition::notify_all);
}

void bind_signals(nb::module_& m) {
  using onecopy::event;
  nb::class_<event>(m, "EventFlag")
      .def("__init__", init_in_record<event>(), nb::arg("record"), nb::arg("offset") = 0)
      .def("set", &event::set)
      .def("clear", &event::clear)
      .def("is_set", &event::is_set)
      .def("wait", [](event& self, nb::handle timeout) {
             return got(now_or_later(timeout_of(timeout), nullptr,
                                     [&](const onecopy::waiting& w) { return self.wait(w); }));
           }, nb::arg("timeout").none() = nb::none())
      .def("wait_code", [](event& self, double seconds, cancellation* cancel) {
        return static_cast<int>(
            now_or_later(seconds, cancel, [&](const onecopy::waiting& w) { return self.wait(w); }));
      }, nb::arg("seconds"), nb::arg("cancel").none());

  using onecopy::semaphore;
  nb::class_<semaphore>(m, "Units")
      .def("__init__", init_in_record<semaphore>(), nb::arg("record"), nb::arg("offset") = 0)
      .def_static("first", [](std::uint32_t units, std::uint32_t limit) {
        const auto state = semaphore::with_units(units, limit);
        return nb::bytes(&state, sizeof state);
      })
      .def("acquire",
           [](semaphore& self, bool blocking, nb::handle timeout) {
             return got(acquire(self, seconds_of(blocking, timeout)));
           },
           nb::arg("blocking") = true, nb::arg("timeout").none() = -1)
      .def("release", [](semaphore& self, std::uint32_t n) {
             for (; n > 0; --n) self.release();
           }, nb::arg("n") = 1)
      .def("__enter__",
           [](nb::handle_t<semaphore> self) {
             acquire(*nb::inst_ptr<semaphore>(self), -1);
             return nb::borrow(self);
           })
      .def("__exit__", [](semaphore& self, nb::handle, nb::handle, nb::handle) { self.release(); }, nb::arg().none(), nb::arg().none(),
           nb::arg().none())
      .def("acquire_code", [](semaphore& self, double seconds, cancellation* cancel) {
             return static_cast<int>(acquire(self, seconds, cancel));
           }, nb::arg("seconds"), nb::arg("cancel").none())
      .def("available", &semaphore::available)
      .def("held", &semaphore::held);

  using onecopy::barrier;
  nb::class_<barrier>(m, "Rendezvous")
      .def("__init__", init_in_record<barrier>(), nb::arg("record"), nb::arg("offset") = 0)
      .def_static("first", [](std::uint32_t parties) {
        const auto state = barrier::for_parties(parties);
        return nb::bytes(&state, sizeof state);
      })
      .def("wait_code", [](barrier& self, double seconds, cancellation* cancel) {
             return static_cast<int>(
                 wait_for(seconds, cancel, [&](const onecopy::waiting& w) { return self.wait(w); }));
           }, nb::arg("seconds"), nb::arg("cancel").none())
      .def("leave", &barrier::leave)
      .def("abort", &barrier::abort)
      .def("reset", &barrier::reset)
      .def_prop_ro("parties", &barrier::parties)
      .def_prop_ro("n_waiting", &barrier::waiting_now)
      .def_prop_ro("broken", &barrier::is_broken);

  using onecopy::counter;
  nb::class_<counter>(m, "Count")
      .def("__init__", init_in_record<counter>(), nb::arg("record"), nb::arg("offset") = 0)
      .def("get", &counter::load)
      .def("set", &counter::store)
      .def("add", &counter::fetch_add, nb::arg("n") = 1)
      .def("exchange", &counter::exchange)
      .def("compare_exchange", [](counter& self, std::int64_t expected, std::int64_t value) {
        return self.compare_exchange(expected, value);
      });
}

void bind_queue(nb::module_& m) {
  using queue = onecopy::shared_queue;
  const auto what = [](bool create) { return create ? onecopy::missing::make : onecopy::missing::refuse; };
  const auto shape = [](std::uint32_t slots, std::uint32_t bytes, bool single) {
    return onecopy::queue_shape{.slots = slots, .message_bytes = bytes, .single = single};
  };
  nb::class_<queue>(m, "Messages")
      .def_static("shared", [what, shape](const std::string& name, std::uint32_t slots, std::uint32_t bytes, bool single,
                                          bool create) {
        return onecopy::open_shared_queue(name, shape(slots, bytes, single), what(create));
      })
      .def_static("open", [what, shape](const std::string& path, std::uint32_t slots, std::uint32_t bytes, bool single,
                                        bool create) {
        return onecopy::open_queue_in_file(path, shape(slots, bytes, single), what(create));
      })
      .def_static("make", [shape](std::uint32_t slots, std::uint32_t bytes, bool single) {
        return onecopy::make_queue(shape(slots, bytes, single));
      })
      .def_static("of_region", [](const onecopy::region& whole) { return onecopy::queue_in(whole); })
      .def_static("attach", [](const std::string& handle) {
        return onecopy::queue_in(onecopy::store::attach(onecopy::handle::parse(handle)));
      })
      .def_prop_ro("region", [](const queue& self) { return self.region(); })
      .def("put_code", [](queue& self, nb::handle message, double seconds, cancellation* cancel) {
             Py_buffer view;
             if (PyObject_GetBuffer(message.ptr(), &view, PyBUF_SIMPLE) != 0) throw nb::python_error();
             struct let_go {
               Py_buffer* view;
               ~let_go() { PyBuffer_Release(view); }
             } at_end{&view};
             const std::span bytes(static_cast<const std::byte*>(view.buf), static_cast<std::size_t>(view.len));
             return static_cast<int>(now_or_later(
                 seconds, cancel, [&](const onecopy::waiting& w) { return self.put(bytes, w); }));
           }, nb::arg("message"), nb::arg("seconds"), nb::arg("cancel").none())
      // The message as bytes, or how the wait ended.
      .def("get_or_code", [](queue& self, double seconds, cancellation* cancel) -> nb::object {
             std::vector<std::byte> message;
             const wait_result how = now_or_later(
                 seconds, cancel, [&](const onecopy::waiting& w) { return self.get(message, w); });
             if (how == wait_result::done) return nb::bytes(message.data(), message.size());
             return nb::cast(static_cast<int>(how));
           }, nb::arg("seconds"), nb::arg("cancel").none())
      .def("close", &queue::close)
      .def("let_go", &queue::let_go)
      .def_prop_ro("closed", &queue::closed)
      .def_prop_ro("size", &queue::size)
      .def_prop_ro("slots", &queue::slots)
      .def_prop_ro("message_bytes", &queue::message_bytes)
      .def_prop_ro("single", &queue::single);
}

}  // namespace

void bind_sync(nb::module_& m) {
  bind_locks(m);
  bind_signals(m);
  bind_queue(m);
}

}  // namespace onecopy_python
