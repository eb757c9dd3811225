// Objects as descriptors: for children at birth, for sockets of your own, for /proc/<process>/fd.
//
//     int fd = onecopy::sealed_descriptor(x.node().region());      // sealed memory: nobody can change it
//     ... a child inherits it, SCM_RIGHTS carries it, another process opens /proc/<this process>/fd/<fd>
//     onecopy::region same = onecopy::receive_descriptor(fd);       // there; checked before it is believed
#pragma once

#include <functional>

#include "onecopy/code_place.hpp"
#include "onecopy/region.hpp"

namespace onecopy {

// A read-only descriptor of sealed memory with all bytes of `whole` as they were published. It is the caller's, who
// closes it, and is closed on exec unless it is handed on by dup2 or the like. What is sealed memory already is not
// copied; what lies in the store or in a file is, once in its life here, and report_copies() tells. Any thread. Throws
// invalid_argument (empty), permission (a mutable object), no_space, no_memory, system (out of descriptors), and
// leaves nothing behind.
int sealed_descriptor(const region& whole, const code_place& from = code_place::current());

// The region in a descriptor that this process was started with, or received: sealed memory, or pending memory, for
// which it waits: at most `timeout` seconds, negative: for ever. `check_interrupt` is called now and then. The
// descriptor stays the caller's. Throws timeout, peer_closed (whoever should have written it has ended), and what
// store::from_descriptor throws.
region receive_descriptor(int descriptor, double timeout = -1, const std::function<void()>& check_interrupt = {});

// For bindings, whose code makes no system calls. The copy is closed on exec, and the caller's. Throws system.
int duplicate_descriptor(int descriptor);
void close_descriptor(int descriptor) noexcept;

}  // namespace onecopy
