// Sources whose elements are made by another program: pools of runner processes (docs/paging.md, "Runners").
#pragma once

#include "pager/source.hpp"

namespace onecopy::pager {

result<std::unique_ptr<source>> make_program(const lazy_source& description, const source_context& context);
// Ends every runner: when the pager ends.
void end_runners() noexcept;

}  // namespace onecopy::pager
