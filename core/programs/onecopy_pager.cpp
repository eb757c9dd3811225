// onecopy-pager: fills lazy objects. Everything it does is in the core; see docs/paging.md.
#include "onecopy/lazy.hpp"

int main(int argc, char** argv) { return onecopy::pager::run(argc, argv); }
