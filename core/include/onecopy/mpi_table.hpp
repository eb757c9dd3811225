// The rows of a table for the ranks of an MPI program: each rank its own, each host one table that its ranks share.
// Needs MPI, as mpi.hpp does, which says what holds for all of these functions.
//
//     onecopy::value trades;
//     if (rank == 0) trades = onecopy::open("trades.onecopy");
//     const auto mine = onecopy::mpi::scatter_table(trades);
//     for (double price : mine.column<double>("price")) ...
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "onecopy/error.hpp"
#include "onecopy/mpi.hpp"
#include "onecopy/value.hpp"
#include "onecopy/writer.hpp"

namespace onecopy::mpi {

// Rows [first, first + rows) of a table that the ranks of a host share.
struct table_part {
  value of_host;
  std::uint64_t first = 0, rows = 0;

  // This rank's rows of a column of numbers. Throws not_found, wrong_type.
  template <class T>
  std::span<const T> column(std::string_view name) const {
    return of_host[name].template as<T>().subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(rows));
  }
  // One row of a column of strings, counted from this rank's first; "" when missing. Throws not_found, and what
  // value::string throws.
  std::string_view string(std::string_view name, std::uint64_t row) const { return of_host[name].string(first + row); }
};

namespace detail {

// Runs of rows of a column, as if they were one.
class picked {
 public:
  void add(std::uint64_t first, std::uint64_t count) {
    if (count == 0) return;
    runs_.push_back({size_, first, count});
    size_ += count;
  }
  std::uint64_t size() const noexcept { return size_; }
  // The row of the column that stands at `i`.
  std::uint64_t operator[](std::uint64_t i) const {
    const auto next = std::upper_bound(runs_.begin(), runs_.end(), i,
                                       [](std::uint64_t at, const run& r) { return at < r.at; });
    return (next - 1)->first + (i - (next - 1)->at);
  }
  // How many more rows follow each other from `i` on.
  std::uint64_t together_from(std::uint64_t i) const {
    const auto next = std::upper_bound(runs_.begin(), runs_.end(), i,
                                       [](std::uint64_t at, const run& r) { return at < r.at; });
    return (next - 1)->at + (next - 1)->count - i;
  }

 private:
  struct run {
    std::uint64_t at, first, count;
  };
  std::vector<run> runs_;
  std::uint64_t size_ = 0;
};

class picked_strings final : public string_source {
 public:
  picked_strings(value from, const picked& rows) : from_(std::move(from)), rows_(rows) {}
  std::uint64_t size() const override { return rows_.size(); }
  item at(std::uint64_t i) const override {
    const std::uint64_t row = rows_[i];
    const auto* marks = from_.encodings();
    return {.text = from_.string(row), .missing = from_.is_missing(row), .bytes = marks && marks[row] != 0};
  }

 private:
  value from_;
  picked rows_;
};

// Writes some rows of a column, or of an attribute that is like one.
inline void write_rows(writer& w, writer::slot at, const value& from, const picked& rows, const std::string& name) {
  const auto all_of = [](const value& v) {
    picked all;
    all.add(0, v.size());
    return all;
  };
  const auto spec = [&] {
    array_spec out{.type = from.type(), .count = rows.size(), .semantic = from.semantic(), .unit = from.unit(),
                   .item_size = size_of(from.type()) == 0 ? from.item_size() : 0,
                   .least_is_missing = from.least_is_missing()};
    if (const auto* bits = from.validity()) {
      auto own = std::make_shared<std::vector<std::uint8_t>>((rows.size() + 7) / 8);
      for (std::uint64_t i = 0; i < rows.size(); ++i)
        if (bits[rows[i] / 8] >> (rows[i] % 8) & 1) (*own)[i / 8] |= static_cast<std::uint8_t>(1u << (i % 8));
      out.validity = own->data();
      w.keep(std::move(own));
    }
    return out;
  };
  const auto cant_be_cut = [&] {
    return error(error_kind::unsupported, "scatter the column \"" + name + "\" of a table",
                 std::string("it is of kind ") + name_of(from.kind()) + ", whose rows can't be cut",
                 "Scatter the other columns, and broadcast this one");
  };
  switch (from.kind()) {
    case node_kind::array: {
      if (from.type() == dtype::record || from.shape().size() > 1) throw cant_be_cut();
      const std::uint64_t width = from.item_size();
      w.array(at, spec(), [from, rows, width](std::uint64_t offset, std::span<std::byte> out) {
        while (!out.empty()) {
          const std::uint64_t row = offset / width, within = offset % width;
          const auto n = std::min<std::uint64_t>(out.size(), rows.together_from(row) * width - within);
          std::memcpy(out.data(), from.data() + rows[row] * width + within, static_cast<std::size_t>(n));
          out = out.subspan(static_cast<std::size_t>(n));
          offset += n;
        }
      });
      break;
    }
    case node_kind::string:
    case node_kind::coded_string: {
      auto source = std::make_shared<picked_strings>(from, rows);
      w.strings(at, *source);
      w.keep(std::move(source));
      break;
    }
    case node_kind::categorical: {
      const std::uint64_t width = from.item_size();
      auto codes = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(rows.size() * width));
      for (std::uint64_t i = 0; i < rows.size(); i += rows.together_from(i))
        std::memcpy(codes->data() + i * width, from.data() + rows[i] * width,
                    static_cast<std::size_t>(rows.together_from(i) * width));
      const value levels = from.dictionary();
      const auto slot = w.categorical(at, spec(), codes->data(), from.code_base(), from.ordered());
      w.keep(std::move(codes));
      write_rows(w, slot, levels, all_of(levels), name);
      break;
    }
    case node_kind::null: w.null(at); break;
    default: throw cant_be_cut();
  }
  if (from.attribute_count() == 0) return;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < from.attribute_count(); ++i) names.emplace_back(from.attribute_name(i));
  const std::vector<std::string_view> views(names.begin(), names.end());
  const auto slot = w.attributes(at, views);
  for (std::size_t i = 0; i < names.size(); ++i) {
    const value attribute = from.attribute(i);
    const bool of_rows = names[i] == "names" && attribute.size() == from.size();
    write_rows(w, slot + static_cast<writer::slot>(i), attribute, of_rows ? rows : all_of(attribute), name);
  }
}

// A table of some rows, with all columns, their types and their names.
inline value table_of_rows(const value& table, const picked& rows) {
  writer w;
  const auto names = table.attribute("names");
  const auto slot = w.table(w.root(), table.size(), rows.size());
  std::vector<std::string> of_columns;
  for (std::uint64_t i = 0; i < table.size(); ++i) {
    of_columns.push_back(names ? std::string(names->string(i)) : std::to_string(i));
    write_rows(w, slot + static_cast<writer::slot>(i), table.child(i), rows, of_columns.back());
  }
  const std::vector<std::string_view> views(of_columns.begin(), of_columns.end());
  if (names) w.names(w.root(), views);
  return value(w.publish());
}

}  // namespace detail

// Each rank's share of the root's rows, as equal as can be: rank 0 has the first. A host receives the rows of all its
// ranks at once and no others, as one table with all columns. The root's host uses the root's table as it is.
// Columns: numbers with or without missing values, dates and times, strings, categories. Of the attributes of the table
// itself the other hosts get the names of the columns; indexes and row names stay behind. `table` is looked at on the
// root only. Collective.
// Throws as bcast does, and wrong_type (no table), unsupported (a column that holds lists, records or matrices).
inline table_part scatter_table(const value& table, MPI_Comm comm = MPI_COMM_WORLD, int root = 0) {
  const detail::together all(comm, "scatter a table");
  detail::check_root(all, root);
  const auto leader = detail::leaders(all);
  std::uint64_t count = 0;
  all.step([&] {
    if (all.rank != root) return;
    if (!table) throw error(error_kind::invalid_argument, all.doing, "the root has given no object");
    if (table.kind() != node_kind::table)
      throw error(error_kind::wrong_type, all.doing, std::string("it is of kind ") + name_of(table.kind()),
                  "Use scatter() for arrays, bcast() for anything else");
    count = table.rows();
  });
  detail::must(MPI_Bcast(&count, 1, MPI_UINT64_T, root, comm), all.doing);
  const auto first_of = [&](int rank) { return detail::first_row(count, rank, all.size); };
  const int root_leader = leader[static_cast<std::size_t>(root)];
  table_part out;
  out.rows = first_of(all.rank + 1) - first_of(all.rank);
  detail::deal<value>(all, leader, root, [&](int to) {
    if (to == root_leader) return table;
    detail::picked rows;
    for (int rank = 0; rank < all.size; ++rank)
      if (leader[static_cast<std::size_t>(rank)] == to) rows.add(first_of(rank), first_of(rank + 1) - first_of(rank));
    return detail::table_of_rows(table, rows);
  }, [&](value got) {
    const int mine = leader[static_cast<std::size_t>(all.rank)];
    if (mine == root_leader) out.first = first_of(all.rank);
    else
      for (int rank = 0; rank < all.rank; ++rank)
        if (leader[static_cast<std::size_t>(rank)] == mine) out.first += first_of(rank + 1) - first_of(rank);
    out.of_host = std::move(got);
  });
  return out;
}

}  // namespace onecopy::mpi
