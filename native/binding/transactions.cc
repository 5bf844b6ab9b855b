// Transactions of a shard: registers in X, texts in M, keys and hashes from the parser's words.
#include <algorithm>
#include <array>
#include <cstring>

#include "../core/branch_name.h"
#include "../net/splice.h"
#include "../sip-parser/sip_parser.h"
#include "road.h"

namespace holdfast::binding {

namespace {

using Bytes = std::span<const std::uint8_t>;

/// Parsed words at a byte offset of M, and texts of the message they describe; every offset is checked.
class Parsed {
 public:
  Parsed(const ShardState& shard, std::uint32_t message, std::uint32_t words) noexcept
      : shard_(shard), message_(message) {
    if (words % 4 == 0 && shard.in_memory(words, SIP_WORDS * 4) && message <= shard.memory_bytes) {
      words_ = reinterpret_cast<const std::uint32_t*>(shard.memory + words);
    }
  }
  [[nodiscard]] bool usable() const noexcept { return words_ != nullptr; }
  [[nodiscard]] std::uint32_t operator[](std::uint32_t word) const noexcept { return words_[word]; }
  /// The text whose offset stands in `word` and whose length follows.
  [[nodiscard]] Bytes text(std::uint32_t word) const noexcept { return at(words_[word], words_[word + 1]); }
  [[nodiscard]] Bytes at(std::uint32_t offset, std::uint32_t length) const noexcept {
    const std::uint64_t from = std::uint64_t{message_} + offset;
    if (length == 0 || from > shard_.memory_bytes || length > shard_.memory_bytes - from) return {};
    return {shard_.memory + from, length};
  }

 private:
  const ShardState& shard_;
  std::uint32_t message_;
  const std::uint32_t* words_ = nullptr;
};

/// A keyed hash over several texts: of the list of their hashes, so that no text can pass for a part of its
/// neighbour.
class Mix {
 public:
  explicit Mix(const KeyedHash& hash) noexcept : hash_(hash) {}
  void add(Bytes text) noexcept { put(hash_(text)); }
  void add(std::uint64_t number) noexcept { put(number); }
  [[nodiscard]] std::uint64_t end() const noexcept {
    return hash_({reinterpret_cast<const std::uint8_t*>(parts_.data()), count_ * sizeof parts_[0]});
  }

 private:
  void put(std::uint64_t part) noexcept {
    if (count_ == parts_.size()) {
      parts_[0] = end();
      count_ = 1;
    }
    parts_[count_++] = part;
  }
  const KeyedHash& hash_;
  std::size_t count_ = 0;
  std::array<std::uint64_t, 16> parts_;
};

constexpr std::uint32_t kRequest = 1;  // SIP_W_KIND

constexpr std::uint32_t nonzero(std::uint32_t hash) noexcept { return hash == 0 ? 1 : hash; }

/// ACK and CANCEL belong to the INVITE when asked for as such; a method without a number counts by its name.
std::uint64_t method_part(const Parsed& parsed, const KeyedHash& hash, bool as_invite) noexcept {
  const std::uint32_t method = parsed[SIP_W_METHOD];
  if (method == SIP_UNKNOWN) return hash(parsed.text(SIP_W_METHOD_OFF));
  return as_invite && (method == SIP_ACK || method == SIP_CANCEL) ? std::uint64_t{SIP_INVITE} : method;
}

/// RFC 3261 17.2.3.
std::uint64_t server_key(const Parsed& parsed, const KeyedHash& hash, bool as_invite) noexcept {
  constexpr char kCookie[] = "z9hG4bK";
  constexpr std::size_t kCookieBytes = sizeof kCookie - 1;
  Mix mix(hash);
  const Bytes branch = parsed.text(SIP_W_VIA_BRANCH_OFF);
  if (branch.size() > kCookieBytes && std::memcmp(branch.data(), kCookie, kCookieBytes) == 0) {
    mix.add(std::uint64_t{1});
    mix.add(branch);
    // Host names are compared without case.
    const Bytes host = parsed.text(SIP_W_VIA_HOST_OFF);
    std::uint8_t lower[256];
    const std::size_t length = std::min(host.size(), sizeof lower);
    for (std::size_t n = 0; n < length; ++n)
      lower[n] = host[n] >= 'A' && host[n] <= 'Z' ? host[n] | 0x20 : host[n];
    mix.add(Bytes(lower, length));
    mix.add(std::uint64_t{parsed[SIP_W_VIA_PORT]});
  } else {
    // The RFC 2543 rule.  The To tag is left out: an ACK carries the one that our answer added.
    mix.add(std::uint64_t{2});
    mix.add(parsed.text(SIP_W_RURI_OFF));
    mix.add(parsed.text(SIP_W_FROM_TAG_OFF));
    mix.add(parsed.text(SIP_W_CALL_ID_OFF));
    mix.add(std::uint64_t{parsed[SIP_W_CSEQ_NUMBER]});
    mix.add(parsed.text(SIP_W_VIA_OFF));
  }
  mix.add(method_part(parsed, hash, as_invite));
  const std::uint64_t key = mix.end();
  return key == 0 ? 1 : key;
}

/// RFC 5393 4.2.
std::uint32_t loop_hash(ShardState& shard, std::uint32_t message, std::uint32_t words) noexcept {
  const Parsed parsed(shard, message, words);
  if (!parsed.usable()) return 0;
  Mix mix(shard.segment->keyed_hash());
  mix.add(std::uint64_t{3});
  mix.add(parsed.text(SIP_W_TO_TAG_OFF));
  mix.add(parsed.text(SIP_W_FROM_TAG_OFF));
  mix.add(parsed.text(SIP_W_CALL_ID_OFF));
  mix.add(parsed.text(SIP_W_RURI_OFF));
  mix.add(std::uint64_t{parsed[SIP_W_CSEQ_NUMBER]});
  const std::uint64_t present = std::uint64_t{parsed[SIP_W_PRESENT_HI]} << 32 | parsed[SIP_W_PRESENT_LO];
  constexpr std::uint64_t kAsked = std::uint64_t{1} << SIP_HDR_ROUTE |
                                   std::uint64_t{1} << SIP_HDR_PROXY_REQUIRE |
                                   std::uint64_t{1} << SIP_HDR_PROXY_AUTHORIZATION;
  if (present & kAsked) {
    const std::uint32_t headers = std::min<std::uint32_t>(parsed[SIP_W_HEADER_COUNT], SIP_HEADERS_MAX);
    for (std::uint32_t n = 0; n < headers; ++n) {
      const std::uint32_t at = SIP_HEADERS_AT + n * SIP_HEADER_WORDS;
      const std::uint32_t id = parsed[at + SIP_H_ID_NAME_LEN] >> 16;
      if (id >= 64 || !(kAsked >> id & 1)) continue;
      mix.add(std::uint64_t{id});
      mix.add(parsed.at(parsed[at + SIP_H_VALUE_OFF], parsed[at + SIP_H_VALUE_LEN]));
    }
  }
  return nonzero(static_cast<std::uint32_t>(mix.end()));
}

// -- records
// -----------------------------------------------------------------------------------------------------------

/// XList holds (message, words) pairs of parsed messages in M.
void prefetch(ShardState& shard, std::uint32_t count) noexcept {
  std::array<std::uint64_t, net::kBatchMax> keys;
  std::array<Bytes, net::kBatchMax> call_ids;
  std::uint32_t requests = 0, messages = 0;
  const std::uint32_t* pair = shard.x(kXList);
  for (std::uint32_t n = 0; n < std::min(count, net::kBatchMax); ++n, pair += 2) {
    const Parsed parsed(shard, pair[0], pair[1]);
    if (!parsed.usable()) continue;
    const Bytes call_id = parsed.text(SIP_W_CALL_ID_OFF);
    if (!call_id.empty()) call_ids[messages++] = call_id;
    // A reply names its transaction; a request has to look for it.
    if (parsed[SIP_W_KIND] == kRequest)
      keys[requests++] = server_key(parsed, shard.segment->keyed_hash(), true);
  }
  shard.transactions.prefetch_keys(std::span(keys).first(requests));
  shard.table.prefetch(std::span(call_ids).first(messages));
}

Status transaction_match(ShardState& shard, std::uint32_t message, std::uint32_t words,
                         std::uint32_t as_invite) noexcept {
  const Parsed parsed(shard, message, words);
  if (!parsed.usable()) return Status::kOutOfRange;
  const std::uint64_t key = server_key(parsed, shard.segment->keyed_hash(), as_invite != 0);
  std::uint32_t* args = shard.x(kXArgs);
  args[0] = static_cast<std::uint32_t>(key);
  args[1] = static_cast<std::uint32_t>(key >> 32);
  const Status found = shard.transactions.find(shard.owner, key, shard.registers());
  // A request that is new here is looked at for a loop, and its branches carry the hash.
  if (found != Status::kOk) args[2] = loop_hash(shard, message, words);
  return found;
}

Status transaction_create(ShardState& shard, std::uint32_t message, std::uint32_t length,
                          std::uint32_t up_call) noexcept {
  if (!shard.in_memory(message, length)) return Status::kOutOfRange;
  const std::uint64_t key = std::uint64_t{shard.x(kXArgs)[1]} << 32 | shard.x(kXArgs)[0];
  return shard.transactions.begin(shard.owner, key, shard.text(message, length),
                                  up_call != 0 ? Need::kCallIsUp : Need::kNewCall, shard.registers());
}

/// The next of this shard's records.
Status transaction_next(ShardState& shard, std::uint32_t cursor) noexcept {
  return shard.transactions.next(shard.owner, cursor, shard.registers()) ? Status::kOk : Status::kNotFound;
}

Status transaction_load(ShardState& shard, std::uint32_t index, std::uint32_t generation) noexcept {
  // Only its owner works on a record: whose it is comes before the copy, which another may be writing.
  if (!shard.transactions.is_owned_by(index, shard.owner)) return Status::kNotFound;
  return shard.transactions.load(index, generation, shard.registers());
}

/// XArgs[0..1]: the dialog of the transaction whose branch stands in M.
Status transaction_dialog(ShardState& shard, std::uint32_t branch, std::uint32_t length) noexcept {
  BranchName name;
  if (!shard.in_memory(branch, length) || !read_branch_name(shard.text(branch, length), &name))
    return Status::kNotFound;
  const DialogHandle dialog = shard.transactions.dialog_of(name, shard.owner);
  shard.x(kXArgs)[0] = dialog.index;
  shard.x(kXArgs)[1] = dialog.generation;
  return dialog.index != 0 ? Status::kOk : Status::kNotFound;
}

Status transaction_load_index(ShardState& shard, std::uint32_t index) noexcept {
  if (!shard.transactions.is_owned_by(index, shard.owner)) return Status::kNotFound;
  return shard.transactions.load(index, shard.registers());
}

Status transaction_store(ShardState& shard, std::uint32_t sheds) noexcept {
  if (sheds != 0) shard.road->make_room_for_blocks();
  return shard.transactions.store(shard.registers(), sheds != 0);
}

void transaction_free(ShardState& shard, std::uint32_t index) noexcept {
  if (!shard.transactions.is_owned_by(index, shard.owner)) return;
  shard.road->make_room_for_blocks();
  shard.transactions.free(index);
}

std::uint32_t transaction_room(ShardState& shard) noexcept { return shard.transactions.room(); }

/// Lengths of requests of our own; the second may be 0: none.
std::uint32_t transaction_has_room(ShardState& shard, std::uint32_t first, std::uint32_t second) noexcept {
  const std::size_t requests[] = {first, second};
  return shard.transactions.has_room({requests, second == 0 ? 1u : 2u}) ? 1 : 0;
}

/// The edits in XArgs: their number, then (offset, drop, insert) each.
template <auto add>
Status with_edits(ShardState& shard, std::uint32_t text, std::uint32_t text_length,
                  std::uint32_t up_call) noexcept {
  const std::uint32_t count = shard.x(kXArgs)[0];
  if (count > kEditsMax) return Status::kLimit;
  if (!shard.in_memory(text, text_length)) return Status::kOutOfRange;
  Edit edits[kEditsMax];
  std::memcpy(edits, shard.x(kXArgs) + 1, count * sizeof(Edit));
  return (shard.transactions.*add)(shard.registers(), {edits, count}, shard.text(text, text_length),
                                   up_call != 0 ? Need::kCallIsUp : Need::kNewCall);
}

Status transaction_add_branch(ShardState& shard, std::uint32_t text, std::uint32_t text_length,
                              std::uint32_t up_call) noexcept {
  return with_edits<&Transactions::add_branch>(shard, text, text_length, up_call);
}

// -- sending what is stored
// --------------------------------------------------------------------------------------------

net::Outgoing outgoing(const ShardState& shard, const std::uint32_t* destination,
                       std::uint32_t branch) noexcept {
  net::Outgoing message;
  message.flow = destination[0];
  message.to.port = destination[1];
  std::copy(destination + 2, destination + 6, message.to.address.begin());
  message.tag = shard.registers()[kTIndex];
  message.branch = branch;
  return message;
}
static_assert(kTPort == kTFlow + 1 && kTAddress0 == kTFlow + 2 && kBPort == kBFlow + 1 &&
              kBAddress0 == kBFlow + 2);

iovec piece(Bytes bytes) noexcept { return {const_cast<std::uint8_t*>(bytes.data()), bytes.size()}; }

/// The branch's copy of the request; 0 pieces if it is gone.
std::uint32_t branch_pieces(ShardState& shard, std::uint32_t index, std::uint32_t branch,
                            std::span<iovec> out) noexcept {
  std::span<const Edit> edits;
  Bytes text;
  if (!shard.transactions.branch_edits(index, branch, &edits, &text)) return 0;
  return net::splice(shard.transactions.request(index), edits, text, out);
}

bool in_hand(const ShardState& shard) noexcept {
  return shard.transactions.is_owned_by(shard.registers()[kTIndex], shard.owner);
}

Status transaction_send_branch(ShardState& shard, std::uint32_t branch) noexcept {
  if (branch >= kBranchesMax || !in_hand(shard)) return Status::kNotFound;
  iovec pieces[net::kPiecesMax];
  const std::uint32_t count = branch_pieces(shard, shard.registers()[kTIndex], branch, pieces);
  if (count == 0) return Status::kNotFound;
  const std::uint32_t* words = shard.registers().data() + kHeadWords + branch * kBranchWords;
  return shard.road->queue(outgoing(shard, words + kBFlow, branch), {pieces, count});
}

/// The next branch, whose words are filled in: kept, stored and queued.
Status transaction_forward(ShardState& shard, std::uint32_t text, std::uint32_t text_length,
                           std::uint32_t up_call) noexcept {
  const std::uint32_t branch = shard.registers()[kTBranchCount];
  const Status kept = with_edits<&Transactions::forward>(shard, text, text_length, up_call);
  if (kept == Status::kOk) (void)transaction_send_branch(shard, branch);  // a failed send is told later
  return kept;
}

/// The request comes once more, as if from where it came.
Status transaction_repeat_request(ShardState& shard) noexcept {
  if (!in_hand(shard)) return Status::kNotFound;
  const std::uint32_t* words = shard.registers().data();
  const Bytes request = shard.transactions.request(words[kTIndex]);
  if (request.empty()) return Status::kNotFound;
  DatagramLetter letter{};
  letter.flow = words[kTFlow];
  letter.port = words[kTPort];
  std::copy(words + kTAddress0, words + kTAddress0 + 4, letter.address);
  letter.tick = shard.clock.tick();
  const Status status = shard.road->mailboxes.post_datagram(shard.owner, letter, request);
  if (status == Status::kOk) shard.open->wakes->wake(shard.owner);
  return status;
}

Status transaction_send_reply(ShardState& shard) noexcept {
  if (!in_hand(shard)) return Status::kNotFound;
  const Bytes reply = shard.transactions.reply(shard.registers()[kTIndex]);
  if (reply.empty()) return Status::kNotFound;
  const iovec pieces[] = {piece(reply)};
  return shard.road->queue(outgoing(shard, shard.registers().data() + kTFlow, net::kNoBranch), pieces);
}

/// The message that XSend describes, in one piece.
bool described(ShardState& shard, std::span<std::uint8_t> room, Bytes* out) noexcept {
  iovec pieces[kSendPiecesMax];
  const std::uint32_t count = send_pieces(shard, pieces);
  if (count == 0) return false;
  const std::span<const iovec> all(pieces, count);
  if (net::bytes_of(all) > room.size()) return false;
  *out = room.first(net::gather(all, room));
  return true;
}

Status transaction_set_reply(ShardState& shard) noexcept {
  std::uint8_t room[kDatagramBytesMax];
  Bytes reply;
  if (!described(shard, room, &reply)) return Status::kOutOfRange;
  shard.road->make_room_for_blocks();
  return shard.transactions.set_reply(shard.registers(), reply);
}

Status transaction_send_kept(ShardState& shard) noexcept {
  const Status kept = transaction_set_reply(shard);
  const Status queued = queue_described(shard);
  return kept == Status::kOk ? queued : kept;
}

Status transaction_set_branch_reply(ShardState& shard, std::uint32_t branch) noexcept {
  std::uint8_t room[kDatagramBytesMax];
  Bytes reply;
  if (!described(shard, room, &reply)) return Status::kOutOfRange;
  shard.road->make_room_for_blocks();
  return shard.transactions.set_branch_reply(shard.registers(), branch, reply);
}

// -- copies for TypeScript
// ---------------------------------------------------------------------------------------------

std::uint32_t copy_pieces(ShardState& shard, std::span<const iovec> pieces, std::uint32_t offset,
                          std::uint32_t room) noexcept {
  const std::size_t bytes = net::bytes_of(pieces);
  if (bytes == 0 || bytes > room || !shard.in_memory(offset, room)) return 0;
  return static_cast<std::uint32_t>(net::gather(pieces, {shard.memory + offset, room}));
}

std::uint32_t transaction_request(ShardState& shard, std::uint32_t offset, std::uint32_t room) noexcept {
  if (!in_hand(shard)) return 0;
  const iovec pieces[] = {piece(shard.transactions.request(shard.registers()[kTIndex]))};
  return copy_pieces(shard, pieces, offset, room);
}

std::uint32_t transaction_branch_reply(ShardState& shard, std::uint32_t branch, std::uint32_t offset,
                                       std::uint32_t room) noexcept {
  if (!in_hand(shard)) return 0;
  const iovec pieces[] = {piece(shard.transactions.branch_reply(shard.registers()[kTIndex], branch))};
  return copy_pieces(shard, pieces, offset, room);
}

std::uint32_t transaction_reply(ShardState& shard, std::uint32_t offset, std::uint32_t room) noexcept {
  if (!in_hand(shard)) return 0;
  const iovec pieces[] = {piece(shard.transactions.reply(shard.registers()[kTIndex]))};
  return copy_pieces(shard, pieces, offset, room);
}

std::uint32_t transaction_branch_request(ShardState& shard, std::uint32_t branch, std::uint32_t offset,
                                         std::uint32_t room) noexcept {
  if (!in_hand(shard)) return 0;
  iovec pieces[net::kPiecesMax];
  return copy_pieces(shard, {pieces, branch_pieces(shard, shard.registers()[kTIndex], branch, pieces)},
                     offset, room);
}

// -- time, hashes, names
// -----------------------------------------------------------------------------------------------

std::uint32_t transaction_advance(ShardState& shard) noexcept {
  shard.clock.read();
  const std::span<std::uint32_t> due(shard.x(kXList), kAdvanceNodesMax);
  const std::uint32_t count = shard.transactions.advance(shard.owner, shard.clock.tick(), due);
  shard.transactions.prefetch(due.first(count));
  return count;
}

std::uint32_t hash(ShardState& shard, std::uint32_t offset, std::uint32_t length) noexcept {
  return nonzero(static_cast<std::uint32_t>(shard.segment->keyed_hash()(shard.text(offset, length))));
}

/// XArgs: owner, index, generation, branch, hash.
std::uint32_t write_branch(ShardState& shard, std::uint32_t offset) noexcept {
  if (!shard.in_memory(offset, kBranchNameBytesMax)) return 0;
  const std::uint32_t* args = shard.x(kXArgs);
  return static_cast<std::uint32_t>(
      write_branch_name({args[0], args[1], args[2], args[3], args[4]}, shard.memory + offset));
}

Status read_branch(ShardState& shard, std::uint32_t offset, std::uint32_t length) noexcept {
  BranchName name;
  if (!read_branch_name(shard.text(offset, length), &name)) return Status::kNotFound;
  std::uint32_t* args = shard.x(kXArgs);
  args[0] = name.owner;
  args[1] = name.index;
  args[2] = name.generation;
  args[3] = name.branch;
  args[4] = name.hash;
  return Status::kOk;
}

}  // namespace

std::uint32_t send_pieces(const ShardState& shard, std::span<iovec, kSendPiecesMax> out) noexcept {
  const std::uint32_t* send = shard.x(kXSend);
  const std::uint32_t count = send[kSCount];
  if (count > kSendPiecesMax) return 0;
  std::uint32_t pieces = 0;
  for (std::uint32_t n = 0; n < count; ++n) {
    const std::uint32_t offset = send[kSPieces + 2 * n], length = send[kSPieces + 2 * n + 1];
    if (!shard.in_memory(offset, length)) return 0;
    if (length != 0) out[pieces++] = {shard.memory + offset, length};
  }
  return pieces;
}

Status queue_described(ShardState& shard) noexcept {
  iovec pieces[kSendPiecesMax];
  const std::uint32_t count = send_pieces(shard, pieces);
  if (count == 0) return Status::kOutOfRange;
  const std::uint32_t* words = shard.x(kXSend);
  net::Outgoing message;
  message.flow = words[kSFlow];
  message.to.port = words[kSPort];
  std::copy(words + kSAddress0, words + kSAddress0 + 4, message.to.address.begin());
  message.tag = words[kSTag];
  return shard.road->queue(message, {pieces, count});
}

void register_transactions(ShardBuilder& builder) {
  builder.method<&transaction_match>("transactionMatch");
  builder.method<&prefetch>("prefetch");
  builder.method<&transaction_create>("transactionCreate");
  builder.method<&transaction_next>("transactionNext");
  builder.method<&transaction_repeat_request>("transactionRepeatRequest");
  builder.method<&transaction_load>("transactionLoad");
  builder.method<&transaction_load_index>("transactionLoadIndex");
  builder.method<&transaction_dialog>("transactionDialog");
  builder.method<&transaction_store>("transactionStore");
  builder.method<&transaction_free>("transactionFree");
  builder.method<&transaction_room>("transactionRoom");
  builder.method<&transaction_has_room>("transactionHasRoom");
  builder.method<&transaction_add_branch>("transactionAddBranch");
  builder.method<&transaction_send_branch>("transactionSendBranch");
  builder.method<&transaction_forward>("transactionForward");
  builder.method<&transaction_send_reply>("transactionSendReply");
  builder.method<&transaction_set_reply>("transactionSetReply");
  builder.method<&transaction_send_kept>("transactionSendKept");
  builder.method<&transaction_set_branch_reply>("transactionSetBranchReply");
  builder.method<&transaction_request>("transactionRequest");
  builder.method<&transaction_reply>("transactionReply");
  builder.method<&transaction_branch_reply>("transactionBranchReply");
  builder.method<&transaction_branch_request>("transactionBranchRequest");
  builder.method<&transaction_advance>("transactionAdvance");
  builder.method<&loop_hash>("loopHash");
  builder.method<&hash>("hash");
  builder.method<&write_branch>("writeBranch");
  builder.method<&read_branch>("readBranch");
}

}  // namespace holdfast::binding
