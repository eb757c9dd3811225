#include "onecopy/channel.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <mutex>

#include "onecopy/store.hpp"
#include "onecopy/writer.hpp"
#include "os/process.hpp"
#include "os/socket.hpp"
#include "os/system.hpp"
#include "transport/carry.hpp"
#include "transport/copies.hpp"
#include "transport/message_builder.hpp"
#include "transport/packet.hpp"
#include "transport/waiting.hpp"

namespace onecopy {

namespace wire = transport;

struct channel::impl {
  explicit impl(const channel_options& chosen) : options(chosen) {}

  os::fd socket;
  channel_options options;
  os::peer_identity creator;
  std::atomic<bool> dead{false};  // what came was not a channel's: nothing more is sent or received

  std::mutex sending;
  std::uint32_t next_message = 1;

  std::mutex receiving;
  message_builder building;

  mutable std::mutex knowing;
  bool greeted = false;
  std::optional<wire::hello> other;
  bool other_in_our_store = false;

  // ---- who is there

  wire::hello myself() const {
    wire::hello me;
    me.user = static_cast<std::uint32_t>(os::user_id());
    // A process without a usable store still sends and receives descriptors.
    try {
      me.host = store::host_id();
      me.store = store::store_id();
    } catch (const error&) {
      me.store = object_id::random().text().substr(0, 16);  // nobody's
    }
    return me;
  }

  // Not when the channel is made: an end that is made here for a child must not say that the child is us.
  void greet() {
    {
      const std::lock_guard held(knowing);
      if (std::exchange(greeted, true)) return;
    }
    const auto packet = wire::write_hello(myself());
    const std::span<const std::byte> piece = packet;
    // A peer that is gone already shows at the first send or receive.
    (void)os::send_message(socket.get(), std::span(&piece, 1), {}, os::deadline::in(0));
  }

  channel::peer_information peer() const {
    channel::peer_information who;
    who.process = creator.pid;
    const std::lock_guard held(knowing);
    if (other) {
      who.known = true;
      who.user = other->user;
      who.same_store = other_in_our_store && options.assume != channel_options::peer::stranger;
      return who;
    }
    who.user = creator.uid;
    who.same_store = options.assume == channel_options::peer::same_store ||
                     (options.assume == channel_options::peer::automatic && creator.uid == os::user_id());
    return who;
  }

  // Which store it sees we take from the other end: to lie about that gains nothing. Which user it is the kernel says.
  void meet(wire::hello who, uid_t sender) {
    const wire::hello me = myself();
    const std::lock_guard held(knowing);
    who.user = sender;
    other_in_our_store = who.user == me.user && who.host == me.host && who.store == me.store;
    other = std::move(who);
  }
  // The other end may have been handed on to a process of another user since it was greeted.
  bool comes_from(uid_t sender) {
    const std::lock_guard held(knowing);
    if (other->user == sender) return true;
    other->user = sender;
    other_in_our_store = false;
    return false;
  }

  bool knows_peer() const {
    const std::lock_guard held(knowing);
    return other.has_value();
  }

  // ---- waiting

  bool wait(bool for_reading, const os::deadline& until) {
    return wire::wait(socket.get(), for_reading, until, options.check_interrupt);
  }

  [[noreturn]] void give_up(const failure& why) {
    dead = true;
    os::shut_down(socket.get());  // the other end sees a closed channel, not silence
    raise(why);
  }

  [[noreturn]] void nonsense(const char* what) {
    give_up({error_kind::corrupt, "receive from a channel", what,
             "Is the other end an onecopy channel, and does nobody else write to its socket?"});
  }

  void require_alive(const char* tried) const {
    if (dead)
      throw error(error_kind::peer_closed, tried, "the channel was closed, as the other end did not speak as a channel",
                  "Open a new one");
  }

  // ---- sending

  void put(std::span<const std::byte> head, std::string_view bytes, std::span<const os::fd> descriptors,
           const os::deadline& until) {
    const std::array<std::span<const std::byte>, 2> pieces = {head, std::as_bytes(std::span(bytes))};
    std::vector<int> numbers;
    for (const auto& one : descriptors) numbers.push_back(one.get());
    for (;;) {
      auto sent = os::send_message(socket.get(), pieces, numbers, os::deadline::in(0));
      if (sent) return;
      // Too many descriptors under way is the same as a full socket, but nothing can be waited for.
      const bool flooded = sent.reason().kind == error_kind::busy;
      if (!flooded && sent.reason().kind != error_kind::timeout) raise(sent.reason());
      if (until.passed()) raise(sent.reason());
      if (flooded) pause();
      else if (!wait(false, until)) raise(sent.reason());
    }
  }
  void pause() {
    if (options.check_interrupt) options.check_interrupt();
    (void)os::wait_readable(-1, os::deadline::in(0.001));  // of no descriptor: sleeps
  }

  wire::terms terms() {
    look_for_hello();
    return {peer().same_store, std::min<std::size_t>(options.inline_limit, wire::blob_limit)};
  }

  // A sender that never receives would not read what the other end says of itself.
  void look_for_hello() {
    if (knows_peer()) return;
    const std::unique_lock held(receiving, std::try_to_lock);
    std::array<std::byte, sizeof(wire::packet_header)> beginning;
    if (!held || !wire::begins_as_hello(std::span(beginning.data(), os::peek(socket.get(), beginning)))) return;
    (void)take_packet(os::deadline::in(0));
  }

  void send(std::span<const value> objects, std::string_view bytes, double timeout, const code_place& from) {
    require_alive("send over a channel");
    const os::deadline until = os::deadline::in(timeout);
    const std::lock_guard held(sending);
    greet();
    const wire::terms with = terms();
    if (bytes.size() > wire::bytes_limit) return send_many_bytes(objects, bytes, with, until, from);
    if (!bytes.empty()) wire::note_copy(bytes.size(), "sent as bytes over a channel", from);
    send_items(objects, bytes, value(), with, until, from);
  }

  void send_many_bytes(std::span<const value> objects, std::string_view bytes, const wire::terms& with,
                       const os::deadline& until, const code_place& from) {
    wire::note_copy(bytes.size(), "sent as bytes over a channel", from);
    writer w;
    w.array(w.root(), {.type = dtype::raw, .count = bytes.size()}, bytes.data());
    send_items(objects, {}, value(w.publish({.where = backing::memfd})), with, until, from);
  }

  void send_items(std::span<const value> objects, std::string_view bytes, const value& many_bytes,
                  const wire::terms& with, const os::deadline& until, const code_place& from) {
    const std::uint32_t number = next_message++;
    std::vector<wire::item> items;
    std::vector<os::fd> descriptors;
    std::size_t size = sizeof(wire::packet_header);
    std::uint8_t first = wire::flag_first;
    const auto flush = [&](std::uint8_t last) {
      const std::string_view tail = last != 0 ? bytes : std::string_view();
      const auto flags = static_cast<std::uint8_t>(first | last);
      put(wire::write_packet(flags, number, items, tail.size()), tail, descriptors, until);
      items.clear();
      descriptors.clear();
      size = sizeof(wire::packet_header);
      first = 0;
    };
    const auto add = [&](const value& object, std::uint8_t flags) {
      auto carried = wire::pack(object, with, from);
      if (!carried && carried.reason().os_error == EMFILE && !descriptors.empty()) {
        flush(0);  // what was collected so far takes the descriptors that are missing now
        carried = wire::pack(object, with, from);
      }
      wire::carried one = unwrap(std::move(carried));
      one.what.flags = flags;
      const bool full = size + one.what.size() + bytes.size() > wire::packet_limit;
      if (!items.empty() && (full || descriptors.size() == os::descriptors_per_message)) flush(0);
      size += one.what.size();
      items.push_back(std::move(one.what));
      if (one.descriptor.valid()) descriptors.push_back(std::move(one.descriptor));
    };
    if (many_bytes) add(many_bytes, wire::item_is_bytes);
    for (const value& object : objects) add(object, 0);
    flush(wire::flag_last);
  }

  // ---- receiving; the caller holds `receiving`

  // Takes one packet. Nothing when it was no end of a message. Throws timeout when there is none.
  std::optional<message> take_packet(const os::deadline& until) {
    static thread_local std::vector<std::byte> buffer(wire::packet_limit);
    auto got = os::receive_message(socket.get(), buffer, os::deadline::in(0));
    while (!got && got.reason().kind == error_kind::timeout) {
      if (until.passed() || !wait(true, until)) raise(got.reason());
      got = os::receive_message(socket.get(), buffer, os::deadline::in(0));
    }
    os::received in = unwrap(std::move(got));
    if (in.end)
      throw error(error_kind::peer_closed, "receive from a channel",
                  "the other end is closed or its process has ended");
    if (in.truncated) nonsense("a packet is larger than any channel's");
    auto taken = wire::read_packet(std::span(buffer.data(), in.size));
    if (!taken) give_up(taken.reason());
    if (taken->kind == wire::packet_kind::hello) {
      meet(std::move(taken->who), in.sender.value_or(creator.uid));
      return {};
    }
    if (!knows_peer()) nonsense("the other end did not say who it is");
    return take_message_packet(*taken, in);
  }

  std::optional<message> take_message_packet(wire::packet& taken, os::received& in) {
    const bool same_user = comes_from(in.sender.value_or(creator.uid));
    if ((taken.flags & wire::flag_first) != 0) building.begin(taken.message);  // an unfinished one was given up
    else if (!same_user) nonsense("a message came in parts from different users");
    if (!building.begun || building.number != taken.message)
      nonsense("the middle of a message came without its beginning");
    if (building.size() + taken.items.size() > wire::items_in_message)
      nonsense("a message has more objects than any may have");
    std::size_t next = 0;
    for (const wire::item& one : taken.items) {
      os::fd descriptor;
      if (one.has_descriptor() && next < in.descriptors.size()) descriptor = std::move(in.descriptors[next++]);
      building.add(one, std::move(descriptor));
    }
    if ((taken.flags & wire::flag_last) == 0) return {};
    return building.finish(taken.bytes);
  }
};

channel::channel(std::unique_ptr<impl> made) noexcept : impl_(std::move(made)) {}
channel::channel() noexcept = default;
channel::channel(channel&&) noexcept = default;
channel& channel::operator=(channel&&) noexcept = default;
channel::~channel() = default;

channel::channel(int descriptor, const channel_options& options) : impl_(std::make_unique<impl>(options)) {
  const auto kind = unwrap(os::kind_of_socket(descriptor));
  if (kind != os::socket_kind::packet)
    throw error(error_kind::invalid_argument, "make a channel of descriptor " + std::to_string(descriptor),
                "its socket does not keep messages apart",
                "Make it with channel::pair(), a listener, or socketpair(AF_UNIX, SOCK_SEQPACKET)");
  impl_->creator = unwrap(os::peer_of(descriptor));
  os::tell_senders(descriptor);
  // Larger than the usual 200 KB: a message of many objects then goes out without waiting for the receiver.
  (void)os::send_buffer(descriptor, std::size_t{1} << 20);
  os::set_close_on_exec(descriptor, true);
  impl_->socket.reset(descriptor);
}

std::pair<channel, channel> channel::pair(const channel_options& options) {
  auto ends = unwrap(os::socket_pair());
  channel first(ends.first.get(), options);
  (void)ends.first.release();
  channel second(ends.second.get(), options);
  (void)ends.second.release();
  return {std::move(first), std::move(second)};
}

channel channel::connect(const std::string& path, double timeout, const channel_options& options) {
  os::fd made = unwrap(os::connect_to(path, os::deadline::in(timeout)));
  channel connected(made.get(), options);
  (void)made.release();
  connected.impl_->greet();
  return connected;
}

namespace {
constexpr const char* inherited_name = "ONECOPY_CHANNEL";
}

std::pair<channel, int> channel::spawn(const std::vector<std::string>& command, const channel_options& options) {
  if (command.empty())
    throw error(error_kind::invalid_argument, "start a program with a channel", "there is no command",
                "Name a program and its arguments");
  auto [here, there] = pair(options);
  const int process = unwrap(os::start_program(command, there.descriptor(), std::string(inherited_name) + "=3"));
  return {std::move(here), process};
}

channel channel::inherited(const channel_options& options) {
  const std::string text = os::take_variable(inherited_name);
  int number = -1;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || problem != std::errc() || end != text.data() + text.size() || number < 0)
    throw error(error_kind::invalid_argument, "take over the channel of the parent",
                std::string(inherited_name) + " is not set to the number of a descriptor",
                "Start this program with channel::spawn, or onecopy.Channel.spawn in Python");
  return channel(number, options);
}

void channel::greet() { impl_->greet(); }

channel::impl& channel::open_or_throw(const char* tried) const {
  if (!impl_ || !impl_->socket.valid())
    throw error(error_kind::invalid_argument, tried, "the channel is closed", "Open a new one");
  return *impl_;
}

void channel::send(std::string_view bytes, double timeout, const code_place& from) {
  open_or_throw("send over a channel").send({}, bytes, timeout, from);
}
void channel::send(const value& object, std::string_view bytes, double timeout, const code_place& from) {
  open_or_throw("send over a channel").send(std::span(&object, 1), bytes, timeout, from);
}
void channel::send(std::span<const value> objects, std::string_view bytes, double timeout,
                   const code_place& from) {
  open_or_throw("send over a channel").send(objects, bytes, timeout, from);
}

message channel::receive(double timeout) {
  impl& self = open_or_throw("receive from a channel");
  self.require_alive("receive from a channel");
  const os::deadline until = os::deadline::in(timeout);
  const std::lock_guard held(self.receiving);
  self.greet();
  for (unsigned taken = 1;; ++taken) {
    if (auto whole = self.take_packet(until)) return *std::move(whole);
    // Whoever floods us with parts of messages neither makes us late nor keeps an interrupt from us. What is there at
    // any moment is less than this.
    if (taken % 4096 != 0) continue;
    if (self.options.check_interrupt) self.options.check_interrupt();
    if (until.passed())
      throw error(error_kind::timeout, "receive from a channel", "no message was complete in the time given",
                  "Wait longer, or see what the other end does");
  }
}

std::optional<message> channel::try_receive() {
  try {
    return receive(0);
  } catch (const error& e) {
    if (e.kind() == error_kind::timeout) return {};
    throw;
  }
}

int channel::descriptor() const noexcept { return impl_ ? impl_->socket.get() : -1; }

channel::peer_information channel::peer() const {
  impl& self = open_or_throw("ask who is at the other end");
  self.look_for_hello();
  return self.peer();
}

channel::peer_information channel::wait_for_peer(double timeout) {
  impl& self = open_or_throw("wait for the other end");
  self.require_alive("wait for the other end");
  self.greet();
  const os::deadline until = os::deadline::in(timeout);
  const std::lock_guard held(self.receiving);
  // Its greeting is always the first that comes.
  if (!self.knows_peer()) (void)self.take_packet(until);
  return self.peer();
}

void channel::close() noexcept {
  if (impl_) impl_->socket.reset();
}

int channel::release() { return open_or_throw("give up a channel's descriptor").socket.release(); }

}  // namespace onecopy
