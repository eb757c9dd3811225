# Every source file of the core, one a line, lowest layer first. CMake and R's Makevars both read this list; a test
# compares it with the tree.
ONECOPY_CORE_SOURCES = \
  src/base/error.cpp \
  src/base/hash.cpp \
  src/os/file.cpp \
  src/os/mapping.cpp \
  src/os/memfd.cpp \
  src/os/socket.cpp \
  src/os/system.cpp
