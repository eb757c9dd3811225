// A content process: asks for fonts, reads every byte of them, keeps some.
#pragma once

#include <string>

// Never returns before it is killed or the service ends. `copies`: keeps private copies instead of the shared memory,
// for comparison. Answers 0, or 1 if a font was not what it should be.
int run_content(const std::string& path, unsigned seed, bool copies);
