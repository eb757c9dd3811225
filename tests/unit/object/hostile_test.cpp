// Regions that lie: every word of the header and the node table is set to values that hurt. Reading must refuse them or
// give something valid. Run under sanitizers too (tests/suites/sanitizers.sh).
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "format/layout.hpp"
#include "support/random_tree.hpp"
#include "support/scratch.hpp"
#include "support/walk.hpp"

namespace {

using namespace onecopy;

std::vector<std::byte> bytes_of(const region& from) { return {from.bytes().begin(), from.bytes().end()}; }

std::vector<std::byte> sample() {
  static const std::vector<std::byte> bytes = bytes_of(test::publish(test::everything()));
  return bytes;
}

format::header head_of(const std::vector<std::byte>& bytes) {
  format::header head;
  std::memcpy(&head, bytes.data(), sizeof head);
  return head;
}

template <class T>
T load(const std::vector<std::byte>& bytes, std::size_t at) {
  T word;
  std::memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

template <class T>
void set_each(std::vector<std::byte>& bytes, std::size_t begin, std::size_t end, const std::vector<T>& values) {
  std::size_t accepted = 0, refused = 0;
  for (std::size_t at = begin; at + sizeof(T) <= end; at += sizeof(T)) {
    const T before = load<T>(bytes, at);
    for (T hostile : values) {
      for (const T word : {hostile, static_cast<T>(before + hostile)}) {
        if (word == before) continue;
        SCOPED_TRACE("offset " + std::to_string(at) + " set to " + std::to_string(word));
        std::memcpy(bytes.data() + at, &word, sizeof word);
        test::walker walk;
        walk.budget = 2'000;
        test::read_hostile(bytes, walk) ? ++accepted : ++refused;
      }
    }
    std::memcpy(bytes.data() + at, &before, sizeof before);
  }
  EXPECT_GT(refused, 0u);
}

const std::vector<std::uint64_t> words = {
    0, 1, 7, 8, 63, 64, 4096, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x100000000, std::uint64_t{1} << 60,
    std::uint64_t{1} << 61, (std::uint64_t{1} << 61) + 1, INT64_MAX, std::uint64_t{1} << 63, UINT64_MAX - 63,
    UINT64_MAX - 7, UINT64_MAX};
const std::vector<std::uint32_t> halves = {0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF};

TEST(Hostile, TheSampleItselfIsAccepted) {
  test::walker walk;
  EXPECT_TRUE(test::read_hostile(sample(), walk));
  EXPECT_GT(walk.sum, 0u);
}

TEST(Hostile, EveryWordOfTheHeader) {
  auto bytes = sample();
  set_each(bytes, 0, sizeof(format::header), words);
  set_each(bytes, 0, sizeof(format::header), halves);
}

TEST(Hostile, EveryWordOfTheNodeTable) {
  auto bytes = sample();
  const auto head = head_of(bytes);
  set_each(bytes, head.nodes_offset, head.nodes_offset + head.node_count * sizeof(format::node_record), words);
}

TEST(Hostile, EveryHalfWordOfTheNodeTable) {
  auto bytes = sample();
  const auto head = head_of(bytes);
  set_each(bytes, head.nodes_offset, head.nodes_offset + head.node_count * sizeof(format::node_record), halves);
}

TEST(Hostile, EveryKindAndTypeInEveryNode) {
  auto bytes = sample();
  const auto head = head_of(bytes);
  for (std::uint64_t node = 0; node < head.node_count; ++node) {
    const std::size_t at = head.nodes_offset + node * sizeof(format::node_record);
    const std::byte kind = bytes[at], type = bytes[at + 1];
    for (unsigned k = 0; k < 12; ++k) {
      for (unsigned t = 0; t < 24; ++t) {
        bytes[at] = static_cast<std::byte>(k), bytes[at + 1] = static_cast<std::byte>(t);
        test::walker walk;
        walk.budget = 500;
        test::read_hostile(bytes, walk);
      }
    }
    bytes[at] = kind, bytes[at + 1] = type;
  }
}

TEST(Hostile, EveryByteOfTheContents) {
  auto bytes = sample();
  const auto head = head_of(bytes);
  // Behind the node table lie shapes, offsets, codes and texts.
  const std::size_t begin = head.nodes_offset + head.node_count * sizeof(format::node_record);
  for (std::size_t at = begin; at < bytes.size(); at += 8) {
    const std::byte before = bytes[at];
    bytes[at] = ~before;
    test::walker walk;
    walk.budget = 2'000;
    test::read_hostile(bytes, walk);
    bytes[at] = before;
  }
}

TEST(Hostile, CutShortAnywhere) {
  const auto bytes = sample();
  for (std::size_t size = 0; size < bytes.size(); size += size < 1024 ? 1 : 61) {
    test::walker walk;
    EXPECT_FALSE(test::read_hostile(std::span(bytes).first(size), walk)) << size;
  }
}

TEST(Hostile, Noise) {
  std::mt19937_64 random(test::seed());
  SCOPED_TRACE("ONECOPY_TEST_SEED=" + std::to_string(test::seed()));
  for (int i = 0; i < 3000; ++i) {
    auto bytes = sample();
    // A few words anywhere, so that lies can agree with each other.
    for (std::uint64_t n = 1 + random() % 4; n > 0; --n) {
      const std::uint64_t word = random() % 3 == 0 ? words[random() % words.size()] : random() % (2 * bytes.size());
      std::memcpy(bytes.data() + random() % (bytes.size() / 8) * 8, &word, 8);
    }
    test::walker walk;
    walk.budget = 2'000;
    test::read_hostile(bytes, walk);
  }
}

TEST(Hostile, RefusalsSayCorruptAndWhatToDo) {
  auto bytes = sample();
  bytes[0] = std::byte{'X'};
  const int file = memfd_create("hostile", MFD_CLOEXEC);
  ASSERT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  try {
    store::from_descriptor(file, true);
    ADD_FAILURE() << "accepted";
  } catch (const error& refused) {
    EXPECT_EQ(refused.kind(), error_kind::corrupt);
    EXPECT_FALSE(refused.remedy().empty());
  }
  close(file);
}

TEST(Hostile, ANewerFormatIsUnsupportedAndNotCorrupt) {
  auto bytes = sample();
  auto head = head_of(bytes);
  head.version_major = format_version_major + 1;
  std::memcpy(bytes.data(), &head, sizeof head);
  const int file = memfd_create("hostile", MFD_CLOEXEC);
  ASSERT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  try {
    store::from_descriptor(file, true);
    ADD_FAILURE() << "accepted";
  } catch (const error& refused) {
    EXPECT_EQ(refused.kind(), error_kind::unsupported);
  }
  close(file);
}

// A later minor version may add kinds: they are kept apart, and the rest stays readable.
TEST(Hostile, NodesOfAnUnknownKindDoNotHideTheOthers) {
  test::tree from;
  from.kind = node_kind::list;
  from.children.resize(2);
  from.children[0].kind = from.children[1].kind = node_kind::array;
  from.children[0].spec = from.children[1].spec = {.type = dtype::float64, .count = 100};
  from.children[0].data.resize(800);
  from.children[1].data.resize(800, std::byte{1});
  auto bytes = bytes_of(test::publish(from));
  const auto head = head_of(bytes);
  bytes[head.nodes_offset + sizeof(format::node_record)] = std::byte{77};
  const int file = memfd_create("hostile", MFD_CLOEXEC);
  ASSERT_EQ(write(file, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  const value root{store::from_descriptor(file, true)};
  close(file);
  EXPECT_EQ(static_cast<int>(root.child(0).kind()), 77);
  EXPECT_EQ(test::different(root.child(1), from.children[1]), "");
  EXPECT_THROW(root.child(0).as<double>(), error);
}

}  // namespace
