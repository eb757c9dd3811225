// As much of a TrueType file as is needed to be sure that real fonts arrive whole: the sums of its tables.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

// All *.ttf files below the folders where Debian keeps fonts, or below `folder`.
std::vector<std::string> installed_fonts(const std::string& folder = {});

// Reads every byte. True if the table directory makes sense and each table has the sum that the directory says.
bool is_sound_font(std::span<const std::byte> file);
