// One copy on each host for the ranks of an MPI program. The only header of onecopy that needs MPI, and not part of
// onecopy.hpp; with CMake link to onecopy::mpi, which there is when MPI is found.
//
//     onecopy::array<double> grid;
//     if (rank == 0) grid = onecopy::share(std::span<const double>(computed));
//     grid = onecopy::mpi::bcast(grid);        // all ranks of a host use the same memory
//
// Ranks are of one host when they see the same store. All functions are collective: every rank of the communicator
// calls them, in the same order, from one thread. If one fails on any rank it throws on every rank; the communicator
// can be used again, and nothing stays behind. MPI's own failures end the program, unless the communicator's error handler
// returns them: then they are thrown as error_kind::system on the rank that they occur on.
#pragma once

#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <exception>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "onecopy/array.hpp"
#include "onecopy/error.hpp"
#include "onecopy/store.hpp"
#include "onecopy/value.hpp"

namespace onecopy::mpi {
namespace detail {

// An MPI count is an int, so no more than 2 GiB go at once. Small pieces also let each rank of MPI's tree pass one on
// while it receives the next.
inline constexpr std::size_t piece = 1 << 20;

inline void must(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(result, text, &length);
  throw error(error_kind::system, what, std::string(text, static_cast<std::size_t>(length)));
}

class together {
 public:
  together(MPI_Comm a_comm, const char* a_doing) : comm(a_comm), doing(a_doing) {
    must(MPI_Comm_rank(comm, &rank), doing);
    must(MPI_Comm_size(comm, &size), doing);
  }

  // Throws on every rank if any came with an error: that of the first such rank.
  void agree(const std::exception_ptr& mine) const {
    int failed = mine ? rank : size, first = 0;
    must(MPI_Allreduce(&failed, &first, 1, MPI_INT, MPI_MIN, comm), doing);
    if (first == size) return;
    int about[2] = {static_cast<int>(error_kind::system), 0};
    std::string text;
    if (rank == first) {
      try {
        std::rethrow_exception(mine);
      } catch (const error& e) {
        about[0] = static_cast<int>(e.kind());
        text = e.what();
      } catch (const std::exception& e) {
        text = e.what();
      } catch (...) {
        text = "an exception that is no std::exception";
      }
      about[1] = static_cast<int>(text.size());
    }
    must(MPI_Bcast(about, 2, MPI_INT, first, comm), doing);
    text.resize(static_cast<std::size_t>(about[1]));
    must(MPI_Bcast(text.data(), about[1], MPI_BYTE, first, comm), doing);
    if (mine) std::rethrow_exception(mine);
    throw error(static_cast<error_kind>(about[0]), doing, "rank " + std::to_string(first) + " failed: " + text);
  }

  // Runs `work`; throws on every rank if it threw on any.
  template <class Work>
  void step(Work work) const {
    std::exception_ptr failure;
    try {
      work();
    } catch (...) {
      failure = std::current_exception();
    }
    agree(failure);
  }

  MPI_Comm comm;
  const char* doing;
  int rank = 0, size = 0;
};

// For each rank, the lowest rank of its host. Not MPI_COMM_TYPE_SHARED: to MPI two containers on one machine, which
// have a store each, are one host.
inline std::vector<int> leaders(const together& all) {
  std::uint64_t mine[2] = {};
  all.step([&] {
    mine[0] = std::stoull(store::host_id(), nullptr, 16);
    mine[1] = std::stoull(store::store_id(), nullptr, 16);
  });
  std::vector<std::uint64_t> places(2 * static_cast<std::size_t>(all.size));
  must(MPI_Allgather(mine, 2, MPI_UINT64_T, places.data(), 2, MPI_UINT64_T, all.comm), all.doing);
  std::map<std::pair<std::uint64_t, std::uint64_t>, int> first;
  std::vector<int> leader;
  for (int rank = 0; rank < all.size; ++rank) {
    const auto at = 2 * static_cast<std::size_t>(rank);
    leader.push_back(first.try_emplace({places[at], places[at + 1]}, rank).first->second);
  }
  return leader;
}

inline void check_root(const together& all, int root) {
  if (root < 0 || root >= all.size)
    throw error(error_kind::invalid_argument, all.doing, "root is " + std::to_string(root),
                "Give the number of a rank, 0 to " + std::to_string(all.size - 1));
}

// A checksum of pieces in their order; what sender and receivers compare at the end.
struct sum {
  void add(std::span<const std::byte> part) noexcept {
    const std::uint64_t both[2] = {value, store::checksum(part)};
    value = store::checksum(std::as_bytes(std::span(both)));
  }
  std::uint64_t value = 0;
};

// A group of the sender, its rank 0, and those who receive.
class group {
 public:
  group(const together& all, bool member, bool sender) : doing_(all.doing) {
    must(MPI_Comm_split(all.comm, member ? 0 : MPI_UNDEFINED, sender ? 0 : all.rank + 1, &comm_), doing_);
    if (comm_ != MPI_COMM_NULL) must(MPI_Comm_size(comm_, &size_), doing_);
  }
  ~group() {
    if (comm_ != MPI_COMM_NULL) MPI_Comm_free(&comm_);
  }
  group(const group&) = delete;
  group& operator=(const group&) = delete;

  int size() const { return size_; }

  // Whether all members have the memory that they need.
  bool all_ready(bool here) const {
    int mine = here, all = 0;
    must(MPI_Allreduce(&mine, &all, 1, MPI_INT, MPI_LAND, comm_), doing_);
    return all != 0;
  }

  // The pieces, and their sum.
  void send(std::span<const std::byte> bytes) const {
    sum total;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      const auto part = bytes.subspan(at, std::min(piece, bytes.size() - at));
      total.add(part);
      // MPI has one function for both directions, so it asks for memory that it does not write to here.
      take(const_cast<std::byte*>(part.data()), part.size());
    }
    take(reinterpret_cast<std::byte*>(&total.value), sizeof total.value);
  }

  void take(std::byte* where, std::size_t size) const {
    must(MPI_Bcast(where, static_cast<int>(size), MPI_BYTE, 0, comm_), doing_);
  }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
  const char* doing_;
  int size_ = 0;
};

// Receives a region into this store; an empty one if another member has no room. A member that fails goes on taking
// pieces, or the others would wait for it.
inline region receive(const group& from, const object_id& id, std::uint64_t bytes) {
  std::vector<std::byte> buffer;
  std::span<const std::byte> rest;
  std::uint64_t left = bytes;
  std::optional<bool> coming;
  sum total;
  bool intact = true;
  const auto next = [&] {
    buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(piece, left)));
    from.take(buffer.data(), buffer.size());
    total.add(buffer);
    left -= buffer.size();
    rest = buffer;
    if (left > 0) return;
    std::uint64_t sent = 0;
    from.take(reinterpret_cast<std::byte*>(&sent), sizeof sent);
    intact = sent == total.value;
  };
  struct given_up {};
  try {
    return store::import(id, bytes, [&](std::uint64_t, std::span<std::byte> out) {
      // The first call shows that the memory is reserved.
      if (!coming) coming = from.all_ready(true);
      if (!*coming) throw given_up{};
      while (!out.empty()) {
        if (rest.empty() && left == 0)
          throw error(error_kind::no_space, "receive a shared object", "it would have to be sent again");
        if (rest.empty()) next();
        if (!intact)
          throw error(error_kind::corrupt, "receive a shared object", "what came is not what was sent: its checksum differs",
                      "Try again; if it happens again, the network or the memory of a host is damaged");
        const std::size_t size = std::min(out.size(), rest.size());
        std::memcpy(out.data(), rest.data(), size);
        out = out.subspan(size);
        rest = rest.subspan(size);
      }
    });
  } catch (const given_up&) {
    return {};
  } catch (...) {
    if (!coming) coming = from.all_ready(false);
    while (*coming && left > 0) next();
    throw;
  }
}

}  // namespace detail

// The ranks of each host: those that use one copy.
inline std::vector<std::vector<int>> hosts(MPI_Comm comm = MPI_COMM_WORLD) {
  const detail::together all(comm, "look for ranks of one host");
  std::map<int, std::vector<int>> by_leader;
  const auto leader = detail::leaders(all);
  for (int rank = 0; rank < all.size; ++rank) by_leader[leader[static_cast<std::size_t>(rank)]].push_back(rank);
  std::vector<std::vector<int>> out;
  for (auto& [_, ranks] : by_leader) out.push_back(std::move(ranks));
  return out;
}

// The root's region on every rank: one copy on each host, brought there once, by MPI's own broadcast. A host that has
// it already gets nothing. `from` is looked at on the root only. The copies have the id of the original, so a handle of
// any rank is good on all these hosts. Each copy ends when the last process of its host lets go of it.
// Throws invalid_argument (no region on the root; no such root), wrong_type (a mutable region, and more than one host),
// unsupported (a region that has no name in the root's store), no_space, no_memory.
inline region bcast(const region& from, MPI_Comm comm = MPI_COMM_WORLD, int root = 0) {
  const detail::together all(comm, "broadcast an object");
  detail::check_root(all, root);
  const auto leader = detail::leaders(all);
  const int root_leader = leader[static_cast<std::size_t>(root)];
  const bool one_host = std::all_of(leader.begin(), leader.end(), [&](int l) { return l == root_leader; });
  const bool at_root = all.rank == root;

  struct {
    std::uint64_t bytes = 0;
    char handle[112] = {};
  } offer;
  all.step([&] {
    if (!at_root) return;
    if (!from) throw error(error_kind::invalid_argument, "broadcast an object", "the root has given no object");
    if (from.writable() && !one_host)
      throw error(error_kind::wrong_type, "broadcast a mutable object to other hosts",
                  "what one host writes the others would not see", "Share a copy of it that is not mutable");
    // No lease: the root holds the object until all have attached.
    const std::string text = from.handle(0, 0.0).text();
    if (text.size() >= sizeof offer.handle)
      throw error(error_kind::unsupported, "broadcast an object", "its handle is too long: " + text);
    offer.bytes = from.bytes().size();
    std::memcpy(offer.handle, text.data(), text.size());
  });
  detail::must(MPI_Bcast(&offer, static_cast<int>(sizeof offer), MPI_BYTE, root, comm), all.doing);

  region held = at_root ? from : region();
  if (!one_host) {
    const int my_leader = leader[static_cast<std::size_t>(all.rank)];
    bool receiving = false;
    if (all.rank == my_leader && my_leader != root_leader) {
      try {
        held = store::attach(handle::parse(offer.handle));
      } catch (const error&) {
        receiving = true;  // not here; or damaged, which the next attempt will tell
      }
    }
    std::exception_ptr failure;
    {
      const detail::group group(all, at_root || receiving, at_root);
      if (group.size() > 1) {
        try {
          if (receiving) held = detail::receive(group, handle::parse(offer.handle).id, offer.bytes);
          else if (group.all_ready(true)) group.send(from.bytes());
        } catch (...) {
          failure = std::current_exception();
        }
      }
    }
    all.agree(failure);
  }
  // Whoever received holds the region until all have attached.
  region mine;
  all.step([&] { mine = held ? held : store::attach(handle::parse(offer.handle)); });
  return mine;
}

// The root's object on every rank. On the root it may be any node; its whole region is brought.
inline value bcast(const value& from, MPI_Comm comm = MPI_COMM_WORLD, int root = 0) {
  const region whole = bcast(from.region(), comm, root);
  std::uint32_t node = from.index();
  detail::must(MPI_Bcast(&node, 1, MPI_UINT32_T, root, comm), "broadcast an object");
  return value(whole, node);
}

// The root's array on every rank; on the others `from` may be empty. Throws wrong_type on all as well.
template <class T>
array<T> bcast(const array<T>& from, MPI_Comm comm = MPI_COMM_WORLD, int root = 0) {
  return array<T>(bcast(from.node(), comm, root));
}

namespace detail {

// The first of `count` rows that a rank gets, when all get as many as the others or one more.
inline std::uint64_t first_row(std::uint64_t count, int rank, int ranks) {
  const auto r = static_cast<std::uint64_t>(rank), all = static_cast<std::uint64_t>(ranks);
  return r * (count / all) + std::min(r, count % all);
}

// To the ranks of each host, in `take`, what `make` returned for it on the root. One host after the other: the root
// lets go of a host's part when the host has it. Throws on all ranks what any of them threw.
template <class Piece, class Make, class Take>
void deal(const together& all, const std::vector<int>& leader, int root, Make make, Take take) {
  for (int to = 0; to < all.size; ++to) {
    if (leader[static_cast<std::size_t>(to)] != to) continue;
    const bool here = leader[static_cast<std::size_t>(all.rank)] == to;
    Piece share;
    std::exception_ptr failure;
    if (all.rank == root) {
      try {
        share = make(to);
      } catch (...) {
        failure = std::current_exception();
      }
    }
    all.agree(failure);
    MPI_Comm few = MPI_COMM_NULL;
    must(MPI_Comm_split(all.comm, here || all.rank == root ? 0 : MPI_UNDEFINED, all.rank == root ? 0 : all.rank + 1,
                        &few), all.doing);
    if (few != MPI_COMM_NULL) {
      try {
        auto got = bcast(share, few, 0);
        if (here) take(std::move(got));
      } catch (...) {
        failure = std::current_exception();
      }
      MPI_Comm_free(&few);
    }
    all.agree(failure);
  }
}

}  // namespace detail

// What scatter gives to a rank: its elements, and the array that it shares with the ranks of its host.
template <class T>
struct part {
  array<T> of_host;
  std::span<const T> mine;
};

// Each rank's part of the root's elements, as equal as can be: rank 0 has the first. Each host receives those of its
// ranks at once, and no others. `items` is looked at on the root only. Throws as bcast does.
template <class T>
part<T> scatter(std::span<const T> items, MPI_Comm comm = MPI_COMM_WORLD, int root = 0) {
  const detail::together all(comm, "scatter an array");
  detail::check_root(all, root);
  const auto leader = detail::leaders(all);
  std::uint64_t count = items.size();
  detail::must(MPI_Bcast(&count, 1, MPI_UINT64_T, root, comm), all.doing);
  const auto first_of = [&](int rank) { return detail::first_row(count, rank, all.size); };
  part<T> out;
  std::uint64_t before = 0;
  detail::deal<array<T>>(all, leader, root, [&](int to) {
    std::vector<std::span<const T>> runs;
    std::uint64_t size = 0;
    for (int rank = 0; rank < all.size; ++rank) {
      if (leader[static_cast<std::size_t>(rank)] != to) continue;
      runs.push_back(items.subspan(first_of(rank), first_of(rank + 1) - first_of(rank)));
      size += runs.back().size();
    }
    writer w;
    w.array(w.root(), {.type = dtype_of<T>, .count = size}, [&](std::uint64_t offset, std::span<std::byte> bytes) {
      for (const auto& run : runs) {
        const auto source = std::as_bytes(run);
        if (offset >= source.size()) {
          offset -= source.size();
          continue;
        }
        const auto n = std::min(bytes.size(), source.size() - static_cast<std::size_t>(offset));
        std::memcpy(bytes.data(), source.data() + offset, n);
        bytes = bytes.subspan(n);
        offset = 0;
        if (bytes.empty()) break;
      }
    });
    return array<T>(value(w.publish()));
  }, [&](array<T> got) {
    for (int rank = 0; rank < all.rank; ++rank)
      if (leader[static_cast<std::size_t>(rank)] == leader[static_cast<std::size_t>(all.rank)])
        before += first_of(rank + 1) - first_of(rank);
    out.of_host = std::move(got);
  });
  out.mine = out.of_host.span().subspan(static_cast<std::size_t>(before),
                                        static_cast<std::size_t>(first_of(all.rank + 1) - first_of(all.rank)));
  return out;
}

}  // namespace onecopy::mpi
