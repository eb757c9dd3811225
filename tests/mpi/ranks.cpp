// One rank of a program that broadcasts and scatters in several ways; test_cpp.py runs it. Each rank has the store of
// its host, as told by RANKS_PLACES. Ends with status 0 if all was right.
#include <onecopy/mpi_table.hpp>
#include <onecopy/onecopy.hpp>

#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <numeric>
#include <sstream>

namespace {

int rank_of_this = 0, failures = 0;

void expect(bool what, const char* text) {
  if (what) return;
  ++failures;
  std::cerr << "rank " << rank_of_this << ": not so: " << text << std::endl;
}
#define EXPECT(what) expect((what), #what)

template <class Call>
std::string failure_of(Call call) {
  try {
    call();
  } catch (const onecopy::error& e) {
    return std::string(onecopy::name_of(e.kind())) + ": " + e.what();
  }
  return "";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::uint64_t sent_so_far() {
  MPI_Barrier(MPI_COMM_WORLD);
  std::ifstream lines("/proc/net/dev");
  std::string line;
  std::uint64_t sent = 0;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    for (int i = 0; word == "lo:" && i < 9; ++i) words >> sent;
  }
  MPI_Barrier(MPI_COMM_WORLD);
  return sent;
}

bool damage_next_piece = false;

void broadcasts() {
  std::vector<double> numbers(3'000'000);
  std::iota(numbers.begin(), numbers.end(), 0.0);
  onecopy::array<double> shared;
  if (rank_of_this == 1) shared = onecopy::share(std::span<const double>(numbers));
  const std::uint64_t before = sent_so_far();
  const auto got = onecopy::mpi::bcast(shared, MPI_COMM_WORLD, 1);
  const std::uint64_t moved = sent_so_far() - before;
  EXPECT(std::equal(got.begin(), got.end(), numbers.begin(), numbers.end()));
  MPI_Barrier(MPI_COMM_WORLD);
  EXPECT(onecopy::store::list().size() == 1);
  MPI_Barrier(MPI_COMM_WORLD);
  const auto hosts = onecopy::mpi::hosts();
  EXPECT(hosts.size() == 3 && hosts[0] == (std::vector<int>{0, 2}) && hosts[1] == (std::vector<int>{1, 3}));
  const auto size = static_cast<double>(numbers.size() * 8);
  if (std::getenv("RANKS_COUNTED")) EXPECT(double(moved) >= 2 * size && double(moved) <= 1.1 * 2 * size);
  const std::uint64_t again = sent_so_far();
  const auto same = onecopy::mpi::bcast(got, MPI_COMM_WORLD, 4);  // from another host: all have it
  if (std::getenv("RANKS_COUNTED")) EXPECT(double(sent_so_far() - again) < 0.1 * size);
  EXPECT(same.node().region() == got.node().region());

  onecopy::value table;
  if (rank_of_this == 0) {
    onecopy::writer w;
    const auto column = w.table(w.root(), 2, 3);
    const std::int32_t n[] = {7, 8, 9};
    w.array(column, {.type = onecopy::dtype::int32, .count = 3}, n);
    const std::string_view text[] = {"a", "", "c"};
    w.strings(column + 1, text);
    w.names(w.root(), {"n", "text"});
    table = onecopy::value(w.publish());
  }
  const auto t = onecopy::mpi::bcast(table);
  EXPECT(t.rows() == 3 && t["n"].as<std::int32_t>()[2] == 9 && t["text"].string(2) == "c");
  // A part of an object: the receiver gets that part.
  const auto column = onecopy::mpi::bcast(rank_of_this == 0 ? t["n"] : onecopy::value());
  EXPECT(column.kind() == onecopy::node_kind::array && column.as<std::int32_t>()[0] == 7);
}

void errors() {
  using onecopy::array;
  auto nothing = failure_of([] { onecopy::mpi::bcast(array<double>()); });
  EXPECT(has(nothing, "invalid_argument") && has(nothing, "no object"));
  EXPECT(has(failure_of([] { onecopy::mpi::bcast(array<double>(), MPI_COMM_WORLD, 9); }), "invalid_argument"));
  array<double> writable;
  if (rank_of_this == 0) writable = onecopy::make_writable<double>(10);
  EXPECT(has(failure_of([&] { onecopy::mpi::bcast(writable); }), "wrong_type"));
  writable = {};

  // A host without room.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  array<double> big;
  if (rank_of_this == 0) big = onecopy::share(std::span<const double>(std::vector<double>(500'000, 1.5)));
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank_of_this == 1) {
    const rlimit small{.rlim_cur = 1'000'000, .rlim_max = before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  const auto full = failure_of([&] { onecopy::mpi::bcast(big); });
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT(!full.empty() && (rank_of_this == 1 || has(full, "rank 1")));
  EXPECT(onecopy::mpi::bcast(big).size() == 500'000);

  // A network that changes a byte; see MPI_Bcast below.
  array<double> fresh;
  if (rank_of_this == 0) fresh = onecopy::share(std::span<const double>(std::vector<double>(500'000, 2.5)));
  damage_next_piece = rank_of_this == 4;
  const auto damaged = failure_of([&] { onecopy::mpi::bcast(fresh); });
  EXPECT(!damage_next_piece && has(damaged, "corrupt") && has(damaged, "checksum"));
  EXPECT(rank_of_this == 4 || has(damaged, "rank 4"));
  EXPECT(onecopy::mpi::bcast(fresh)[499'999] == 2.5);
}

void scatters() {
  std::vector<std::int64_t> numbers(1003);
  std::iota(numbers.begin(), numbers.end(), 0);
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  for (const std::size_t count : {std::size_t{1003}, std::size_t{2}, std::size_t{0}}) {
    const auto all = std::span<const std::int64_t>(numbers).first(count);
    const auto got = onecopy::mpi::scatter<std::int64_t>(rank_of_this == 1 ? all : all.first(0), MPI_COMM_WORLD, 1);
    const auto parts = static_cast<std::size_t>(size), me = static_cast<std::size_t>(rank_of_this);
    const std::size_t first = me * (count / parts) + std::min(me, count % parts);
    const std::size_t mine = count / parts + (me < count % parts);
    EXPECT(got.mine.size() == mine && std::equal(got.mine.begin(), got.mine.end(), numbers.begin() + long(first)));
    MPI_Barrier(MPI_COMM_WORLD);  // the root has let go of the others' parts
    EXPECT(onecopy::store::list().size() == 1);
    MPI_Barrier(MPI_COMM_WORLD);
  }
}

// Row i: n = i, x = i / 2 but missing for every fifth, text, and one of three kinds; days carry their meaning along.
onecopy::value table_of(std::uint64_t rows) {
  std::vector<std::int64_t> n(rows);
  std::iota(n.begin(), n.end(), 0);
  std::vector<double> x(rows);
  std::vector<std::uint8_t> there((rows + 7) / 8), kind(rows);
  std::vector<std::string> texts;
  std::vector<std::string_view> text;
  for (std::uint64_t i = 0; i < rows; ++i) {
    x[i] = double(i) / 2;
    if (i % 5 != 0) there[i / 8] |= static_cast<std::uint8_t>(1 << (i % 8));
    kind[i] = static_cast<std::uint8_t>(i % 3);
    texts.push_back("row " + std::to_string(i));
  }
  for (const auto& t : texts) text.push_back(t);
  const std::string_view kinds[] = {"red", "green", "blue"};
  onecopy::writer w;
  const auto column = w.table(w.root(), 5, rows);
  w.array(column, {.type = onecopy::dtype::int64, .count = rows}, n.data());
  w.array(column + 1, {.type = onecopy::dtype::float64, .count = rows, .validity = there.data()}, x.data());
  w.strings(column + 2, text);
  w.strings(w.categorical(column + 3, {.type = onecopy::dtype::uint8, .count = rows}, kind.data(), 0, true), kinds);
  w.array(column + 4, {.type = onecopy::dtype::int64, .count = rows, .semantic = onecopy::semantic::date,
                       .unit = onecopy::time_unit::day}, n.data());
  const std::string_view zone[] = {"UTC"};
  const std::string_view of_column[] = {"tzone"};
  w.strings(w.attributes(column + 4, of_column), zone);
  w.names(w.root(), {"n", "x", "text", "kind", "day"});
  return onecopy::value(w.publish());
}

void tables() {
  using onecopy::mpi::scatter_table;
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const auto parts = static_cast<std::uint64_t>(size), me = static_cast<std::uint64_t>(rank_of_this);
  for (const std::uint64_t count : {std::uint64_t{100'003}, std::uint64_t{3}, std::uint64_t{0}}) {
    onecopy::value table;
    if (rank_of_this == 1) table = table_of(count);
    const std::uint64_t before = sent_so_far();
    const auto got = scatter_table(table, MPI_COMM_WORLD, 1);
    const std::uint64_t moved = sent_so_far() - before;
    const std::uint64_t first = me * (count / parts) + std::min(me, count % parts);
    EXPECT(got.rows == count / parts + (me < count % parts));
    EXPECT(got.of_host.rows() == (rank_of_this % 2 == 1 && rank_of_this < 4 ? count : got.of_host.rows()));
    const auto n = got.column<std::int64_t>("n"), day = got.column<std::int64_t>("day");
    const auto x = got.column<double>("x");
    const auto kind = got.column<std::uint8_t>("kind");
    EXPECT(n.size() == got.rows && got.of_host["day"].semantic() == onecopy::semantic::date);
    EXPECT(got.of_host["day"].attribute("tzone")->string(0) == "UTC" && got.of_host["kind"].ordered());
    EXPECT(got.of_host["kind"].dictionary().string(2) == "blue");
    bool right = true;
    for (std::uint64_t i = 0; i < got.rows; ++i) {
      const std::uint64_t row = first + i;
      right = right && n[i] == std::int64_t(row) && day[i] == std::int64_t(row) && x[i] == double(row) / 2 &&
              got.of_host["x"].is_missing(got.first + i) == (row % 5 == 0) && kind[i] == row % 3 &&
              got.string("text", i) == "row " + std::to_string(row);
    }
    EXPECT(right);
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT(onecopy::store::list().size() == 1);
    if (std::getenv("RANKS_COUNTED") && count > 1000) {
      // Two of five ranks read the root's own table; a row has about 40 bytes.
      EXPECT(double(moved) > 0.6 * 25 * double(count) && double(moved) < 0.6 * 60 * double(count));
    }
    MPI_Barrier(MPI_COMM_WORLD);
  }
  EXPECT(has(failure_of([] { scatter_table({}); }), "invalid_argument"));
  onecopy::value other;
  if (rank_of_this == 0) other = onecopy::share(std::span<const double>(std::vector<double>(9, 1.0))).node();
  EXPECT(has(failure_of([&] { scatter_table(other); }), "wrong_type"));
  if (rank_of_this == 0) {
    onecopy::writer w;
    const auto column = w.table(w.root(), 1, 4);
    w.list(column, 4);
    w.names(w.root(), {"deep"});
    other = onecopy::value(w.publish());
  }
  const auto refused = failure_of([&] { scatter_table(other); });
  EXPECT(has(refused, "unsupported") && has(refused, "deep"));
}

}  // namespace

// In place of MPI's own, which its other name leads to.
int MPI_Bcast(void* buffer, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  const int result = PMPI_Bcast(buffer, count, type, root, comm);
  if (damage_next_piece && type == MPI_BYTE && count == 1 << 20) {
    static_cast<unsigned char*>(buffer)[12'345] ^= 1;
    damage_next_piece = false;
  }
  return result;
}

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_of_this);
  // "[0, 1, 0]": the number of this rank's host.
  std::string places = std::getenv("RANKS_PLACES");
  for (char& c : places)
    if (c < '0' || c > '9') c = ' ';
  std::istringstream numbers(places);
  int place = 0;
  for (int i = 0; i <= rank_of_this; ++i) numbers >> place;
  setenv("ONECOPY_DIR", (std::string(std::getenv("RANKS_BASE")) + "/host" + std::to_string(place)).c_str(), 1);
  try {
    for (const auto part : {broadcasts, errors, scatters, tables}) {
      part();
      MPI_Barrier(MPI_COMM_WORLD);
      EXPECT(onecopy::store::list().empty());
      MPI_Barrier(MPI_COMM_WORLD);
    }
  } catch (const std::exception& e) {
    std::cerr << "rank " << rank_of_this << ": " << e.what() << std::endl;
    MPI_Abort(MPI_COMM_WORLD, 3);
  }
  int all = 0;
  MPI_Allreduce(&failures, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  MPI_Finalize();
  return all == 0 ? 0 : 1;
}
