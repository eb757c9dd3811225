// All synchronization in shared memory.
#pragma once

#include "onecopy/coordination.hpp"
#include "onecopy/lock.hpp"
#include "onecopy/named.hpp"
#include "onecopy/queue.hpp"
#include "onecopy/waiting.hpp"
