#include "content.hpp"

#include <unistd.h>

#include <cstdio>
#include <deque>
#include <random>
#include <vector>

#include "font.hpp"
#include "onecopy/onecopy.hpp"

int run_content(const std::string& path, unsigned seed, bool copies) {
  std::mt19937 random(seed);
  std::deque<onecopy::value> used;
  std::deque<std::vector<std::byte>> copied;
  try {
    auto service = onecopy::channel::connect(path);
    for (;;) {
      const char* kind = random() % 2 == 0 ? "local:" : "web:";
      service.send(kind + std::to_string(random() % 12), 10);
      const onecopy::message answer = service.receive(10);
      const onecopy::value& font = answer.object();
      const std::span<const std::byte> bytes(font.data(), font.data_bytes());
      if (!is_sound_font(bytes)) {
        std::fprintf(stderr, "font_cache: %s is not the font it should be\n", std::string(answer.text()).c_str());
        return 1;
      }
      if (copies) copied.emplace_back(bytes.begin(), bytes.end());
      else used.push_back(font);
      if (used.size() > 8) used.pop_front();
      if (copied.size() > 8) copied.pop_front();
      usleep(2000);
    }
  } catch (const onecopy::error& e) {
    if (e.kind() == onecopy::error_kind::peer_closed) return 0;  // the service has ended
    std::fprintf(stderr, "font_cache: %s\n", e.what());
    return 1;
  }
}
