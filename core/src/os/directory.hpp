// Making, linking and removing names in directories. Names are relative to a directory's descriptor.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "os/fd.hpp"

namespace onecopy::os {

status make_directory(const std::string& path, unsigned mode);
status make_directory_at(int directory, const std::string& name, unsigned mode);
// A symbolic link; a failure of kind exists when the name is taken.
status make_link(const std::string& target, int directory, const std::string& name);
status rename_at(int directory, const std::string& from, const std::string& to);
// True if something was removed, false if there was nothing of that name.
result<bool> remove_at(int directory, const std::string& name);
result<bool> remove_directory_at(int directory, const std::string& name);

// A file without a name, to be written and then linked. Failure of kind unsupported where the file system or /proc
// don't allow it.
result<fd> open_unnamed(int directory, unsigned mode);
// Gives it a name; a failure of kind exists when the name is taken.
status link_unnamed(int descriptor, int directory, const std::string& name);
// A second name for a file.
status hard_link(int directory, const std::string& from, const std::string& to);

status set_mode(int descriptor, unsigned mode);
// The time of last modification, in seconds since 1970; the time of last access stays.
status set_modified(int descriptor, double seconds);
status set_modified_at(int directory, const std::string& name, double seconds);
status sync_file(int descriptor);
// A new open file description of the same file, through /proc/self/fd.
result<fd> reopen(int descriptor, int flags);

}  // namespace onecopy::os
