// The other process of the process tests: does what the lines on its standard input say, and answers each with one
// line: "ok ...", "error <kind> <message>" or "wrong ...". What it holds goes when it is told so, or when it is killed.
#include <dirent.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <sstream>

#include "support/board.hpp"
#include "support/pattern.hpp"

namespace {

using namespace onecopy;

std::map<std::string, region> held;

struct wrong {
  std::string what;
};

void require_pattern(const region& of) {
  if (const auto fault = test::pattern_fault(of); !fault.empty()) throw wrong{"WRONG BYTES: " + fault};
}

// share <slot> <seed> <words> [name=.. replace keep writable memfd file=..]
std::string share(std::istream& line) {
  std::string slot, word;
  std::uint64_t seed = 0, count = 0;
  line >> slot >> seed >> count;
  publish_options options;
  while (line >> word) {
    if (word.rfind("name=", 0) == 0) options.name = word.substr(5);
    if (word.rfind("file=", 0) == 0) options.where = backing::file, options.path = word.substr(5);
    if (word == "replace") options.replace = true;
    if (word == "keep") options.keep = true;
    if (word == "writable") options.writable = true;
    if (word == "memfd") options.where = backing::memfd;
  }
  region made = test::publish_pattern(seed, count, options);
  held[slot] = made;
  if (options.where != backing::store) return name_of(made.where());
  return made.handle(0, 0).text() + " " + name_of(made.where());
}

std::string attach(std::istream& line) {
  std::string slot, text;
  line >> slot >> text;
  const region found = handle::looks_like(text) ? onecopy::attach(text).region() : store::attach_name(text);
  require_pattern(found);
  held[slot] = found;
  return std::to_string(value(found).as<std::uint64_t>()[0]);
}

std::string drop(std::istream& line) {
  std::string slot;
  while (line >> slot) slot == "all" ? held.clear() : void(held.erase(slot));
  return {};
}

std::string check(std::istream&) {
  for (const auto& [slot, object] : held) require_pattern(object);
  return std::to_string(held.size());
}

// many <count> <words>: that many objects at once, all held.
std::string many(std::istream& line) {
  std::uint64_t count = 0, words = 0;
  line >> count >> words;
  for (std::uint64_t i = 0; i < count; ++i) held["many" + std::to_string(i)] = test::publish_pattern(i, words);
  return std::to_string(held.size());
}

std::string lease(std::istream& line) {
  std::string slot;
  double seconds = 0;
  line >> slot >> seconds;
  return held.at(slot).handle(0, seconds).text();
}

std::string descriptors() {
  std::size_t count = 0;
  DIR* all = opendir("/proc/self/fd");
  while (all != nullptr && readdir(all) != nullptr) ++count;
  if (all != nullptr) closedir(all);
  return std::to_string(count);
}

// Takes every mapping the kernel allows, then gives `leave` of them back.
std::string use_up_mappings(std::size_t leave) {
  std::vector<void*> taken;
  for (int protection = PROT_READ;; protection ^= PROT_WRITE) {  // neighbours that differ don't merge
    void* one = mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (one == MAP_FAILED) break;
    taken.push_back(one);
  }
  for (; leave > 0 && !taken.empty(); --leave, taken.pop_back()) munmap(taken.back(), 4096);
  return std::to_string(taken.size());
}

// fork <what the child does>; the child's end is awaited.
std::string in_child(std::istream& line, const std::function<std::string(const std::string&)>& run) {
  std::string rest;
  std::getline(line, rest);
  const pid_t child = fork();
  if (child == 0) {
    const std::string answer = run(rest);
    std::_Exit(answer.rfind("ok", 0) == 0 ? 0 : 1);
  }
  int how = 0;
  waitpid(child, &how, 0);
  return std::to_string(how);
}

// churn <board> <number of this process> <seed>: makes, posts, attaches, checks and drops objects until it is killed.
std::string churn(std::istream& line) {
  std::string path;
  std::size_t self = 0;
  std::uint64_t seed = 0;
  line >> path >> self >> seed;
  test::board posts(path);
  std::mt19937_64 random(seed);
  std::vector<region> mine;
  for (std::uint64_t round = 0;; ++round) {
    try {
      switch (random() % 8) {
        case 0: case 1: case 2: {
          publish_options options;
          if (random() % 8 == 0) {
            options.name = "churn" + std::to_string(random() % 4);
            options.replace = random() % 2 == 0;
          }
          mine.push_back(test::publish_pattern(random(), 2 + random() % (random() % 4 == 0 ? 60'000 : 600), options));
          posts.post(self, mine.back().handle(0, 0).text());
          break;
        }
        case 3: case 4: case 5: {
          const std::string text = posts.read(random() % test::board::places);
          if (text.empty()) break;
          mine.push_back(onecopy::attach(text).region());
          require_pattern(mine.back());
          posts.count_success();
          break;
        }
        case 6:
          mine.push_back(store::attach_name("churn" + std::to_string(random() % 4)));
          require_pattern(mine.back());
          break;
        default:
          if (random() % 16 == 0) store::collect();
          if (!mine.empty()) mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(random() % mine.size()));
      }
      if (mine.size() > 20) mine.clear();
    } catch (const error& refused) {
      // Gone before we came, or the name is taken: both are everyday. Anything else is a fault.
      if (refused.kind() != error_kind::not_found && refused.kind() != error_kind::exists) {
        posts.fail(std::string(name_of(refused.kind())) + ": " + refused.what());
        return "stopped";
      }
    } catch (const wrong& found) {
      posts.fail(found.what);
      return "stopped";
    }
  }
}

std::string run(const std::string& text) {
  std::istringstream line(text);
  std::string verb, a, b;
  line >> verb;
  try {
    std::string answer;
    if (verb == "share") answer = share(line);
    else if (verb == "attach") answer = attach(line);
    else if (verb == "drop") answer = drop(line);
    else if (verb == "check") answer = check(line);
    else if (verb == "many") answer = many(line);
    else if (verb == "lease") answer = lease(line);
    else if (verb == "churn") answer = churn(line);
    else if (verb == "fork") answer = in_child(line, run);
    else if (verb == "open") line >> a >> b, held[a] = store::open_file(b), require_pattern(held[a]);
    else if (verb == "list") answer = std::to_string(store::list().size());
    else if (verb == "exists") line >> a, answer = store::exists(handle::parse(a)) ? "yes" : "no";
    else if (verb == "collect") answer = std::to_string(store::collect().objects);
    else if (verb == "holders") line >> a, answer = std::to_string(held.at(a).holders());
    else if (verb == "directory") answer = store::directory();
    else if (verb == "descriptors") answer = descriptors();
    else if (verb == "doctor") {
      for (const auto& each : store::doctor())
        answer += each.what + ": " + each.found + (each.remedy.empty() ? "; " : " (" + each.remedy + "); ");
    } else if (verb == "write") {
      line >> a, held.at(a).writable_bytes()[value(held.at(a)).data_offset()] ^= std::byte{1};
    } else if (verb == "diverged") {
      const value root{(line >> a, held.at(a))};
      answer = root.region().diverged(root.data_offset(), root.data_bytes()) ? "yes" : "no";
    } else if (verb == "limit") {
      rlim_t most = 0;
      line >> a >> most;
      const auto which = a == "descriptors" ? RLIMIT_NOFILE : RLIMIT_AS;
      rlimit limit{};
      if (getrlimit(which, &limit) != 0) throw wrong{"getrlimit failed"};
      limit.rlim_cur = std::min(most, limit.rlim_max);
      if (setrlimit(which, &limit) != 0) throw wrong{"setrlimit failed"};
    } else if (verb == "maps") {
      std::size_t leave = 0;
      line >> leave;
      answer = use_up_mappings(leave);
    } else throw wrong{"no such command: " + verb};
    return "ok " + answer;
  } catch (const error& refused) {
    std::string message = refused.what();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return "error " + std::string(name_of(refused.kind())) + " " + message;
  } catch (const wrong& found) {
    return "wrong " + found.what;
  } catch (const std::exception& other) {
    return std::string("wrong exception ") + other.what();
  }
}

// Started by channel::spawn: gives back each object, and ends with the channel.
int echo() {
  try {
    channel parent = channel::inherited();
    for (;;) {
      const message m = parent.receive();
      parent.send(m.objects(), m.text());
    }
  } catch (const error& e) {
    return e.kind() == error_kind::peer_closed ? 0 : 1;
  }
}

}  // namespace

int main(int count, char** words) {
  if (count > 1 && std::string(words[1]) == "echo") return echo();
  std::string line;
  while (std::getline(std::cin, line) && line != "exit") std::cout << run(line) << std::endl;
}
