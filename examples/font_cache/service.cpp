#include "service.hpp"

#include <poll.h>

#include <chrono>
#include <fstream>
#include <iterator>

font_service::font_service(std::string path, std::vector<std::string> fonts, std::uint64_t budget)
    : door_(std::move(path)), fonts_(std::move(fonts)), cache_({.budget = budget, .on_evict = count_eviction()}) {}

std::function<void(const onecopy::eviction&)> font_service::count_eviction() {
  return [this](const onecopy::eviction& what) {
    ++numbers_.evictions;
    numbers_.freed += what.bytes;
  };
}

// "local:<n>" is a file of this machine: used where it lies, the page cache is the one copy. "web:<n>" was downloaded
// (read, here): it goes into sealed memory, so that content processes can neither change nor cut it.
onecopy::value font_service::load(const std::string& key) {
  const std::size_t colon = key.find(':');
  const std::string& path = fonts_.at(std::stoul(key.substr(colon + 1)) % fonts_.size());
  if (key.substr(0, colon) == "local") return onecopy::map_file(path);
  std::ifstream file(path, std::ios::binary);
  const std::string downloaded{std::istreambuf_iterator<char>(file), {}};
  onecopy::writer w;
  w.array(w.root(), {.type = onecopy::dtype::raw, .count = downloaded.size()}, downloaded.data());
  return onecopy::value(w.publish({.where = onecopy::backing::memfd}));
}

void font_service::answer(int descriptor) {
  onecopy::channel& client = clients_.at(descriptor);
  try {
    while (auto request = client.try_receive()) {
      const std::string key(request->text());
      client.send(cache_.get(key, [&] { return load(key); }), key, 1);
      ++numbers_.answers;
    }
  } catch (const onecopy::error&) {
    // It was killed, or is stuck, or talks nonsense: this client is over, the others notice nothing. What it used the
    // kernel has given back already.
    clients_.erase(descriptor);
    ++numbers_.ends;
  }
}

void font_service::run(double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (std::chrono::steady_clock::now() < end) {
    std::vector<pollfd> all = {{door_.descriptor(), POLLIN, 0}};
    for (const auto& [descriptor, client] : clients_) all.push_back({descriptor, POLLIN, 0});
    if (poll(all.data(), all.size(), 50) <= 0) continue;
    for (std::size_t i = 1; i < all.size(); ++i)
      if (all[i].revents != 0) answer(all[i].fd);
    if (all[0].revents == 0) continue;
    onecopy::channel client = door_.accept(1);
    const int descriptor = client.descriptor();
    clients_.emplace(descriptor, std::move(client));
    ++numbers_.connections;
  }
}
