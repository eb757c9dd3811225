#include "font.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>

std::vector<std::string> installed_fonts(const std::string& folder) {
  std::vector<std::string> found;
  std::error_code ignored;
  const std::filesystem::path root = folder.empty() ? "/usr/share/fonts" : folder;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root, ignored))
    if (entry.is_regular_file() && entry.path().extension() == ".ttf") found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

namespace {

std::uint32_t number(const std::byte* at) {  // big-endian, as all of the format
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) value = value << 8 | std::to_integer<std::uint32_t>(at[i]);
  return value;
}

std::uint32_t sum_of(std::span<const std::byte> table) {
  std::uint32_t sum = 0;
  for (std::size_t at = 0; at < table.size(); at += 4) {
    std::byte word[4] = {};
    std::memcpy(word, table.data() + at, std::min<std::size_t>(4, table.size() - at));
    sum += number(word);
  }
  return sum;
}

}  // namespace

bool is_sound_font(std::span<const std::byte> file) {
  if (file.size() < 12) return false;
  const std::size_t tables = number(file.data() + 4) >> 16;
  if (tables == 0 || file.size() < 12 + 16 * tables) return false;
  bool has_head = false;
  for (std::size_t i = 0; i < tables; ++i) {
    const std::byte* row = file.data() + 12 + 16 * i;
    const std::uint64_t offset = number(row + 8), size = number(row + 12);
    if (offset + size > file.size()) return false;
    const auto table = file.subspan(offset, size);
    if (std::memcmp(row, "head", 4) == 0) {
      // The sum of the whole file lies within this table, which is summed as if it were 0.
      has_head = size >= 16 && number(table.data() + 12) == 0x5F0F3CF5;
      if (sum_of(table) - number(table.data() + 8) != number(row + 4)) return false;
    } else if (sum_of(table) != number(row + 4)) {
      return false;
    }
  }
  return has_head;
}
