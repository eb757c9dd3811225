// Everything of onecopy that a C++ program uses.
#pragma once

#include "onecopy/array.hpp"
#include "onecopy/cache.hpp"
#include "onecopy/channel.hpp"
#include "onecopy/error.hpp"
#include "onecopy/handle.hpp"
#include "onecopy/mapped_file.hpp"
#include "onecopy/record.hpp"
#include "onecopy/pending.hpp"
#include "onecopy/region.hpp"
#include "onecopy/store.hpp"
#include "onecopy/sync.hpp"
#include "onecopy/types.hpp"
#include "onecopy/value.hpp"
#include "onecopy/version.hpp"
#include "onecopy/weak.hpp"
#include "onecopy/writer.hpp"
