// The flags of open_file and open_at: O_RDONLY and its like.
#pragma once

#include <fcntl.h>
