# Every source file of the core, one a line, lowest layer first. CMake and R's Makevars both read this list; a test
# compares it with the tree.
ONECOPY_CORE_SOURCES = \
  src/base/error.cpp \
  src/base/hash.cpp \
  src/os/directory.cpp \
  src/os/file.cpp \
  src/os/futex.cpp \
  src/os/mapping.cpp \
  src/os/memfd.cpp \
  src/os/presence.cpp \
  src/os/probe.cpp \
  src/os/socket.cpp \
  src/os/system.cpp \
  src/format/check.cpp \
  src/format/content.cpp \
  src/format/handle.cpp \
  src/format/types.cpp \
  src/sync/barrier.cpp \
  src/sync/event.cpp \
  src/sync/mutex.cpp \
  src/sync/owner_word.cpp \
  src/sync/participant.cpp \
  src/sync/queue.cpp \
  src/sync/rwlock.cpp \
  src/sync/semaphore.cpp \
  src/region/collect.cpp \
  src/region/directory.cpp \
  src/region/doctor.cpp \
  src/region/hold.cpp \
  src/region/locator.cpp \
  src/region/names.cpp \
  src/region/publish.cpp \
  src/region/region.cpp \
  src/region/registry.cpp \
  src/region/state.cpp \
  src/region/store.cpp \
  src/object/dictionary.cpp \
  src/object/output.cpp \
  src/object/plan.cpp \
  src/object/record.cpp \
  src/object/text.cpp \
  src/object/value.cpp \
  src/object/writer.cpp
