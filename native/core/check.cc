// What attach() looks at before it believes a dialog: each block that a record names exists, is as large as
// what it says it holds, and the texts are those that the record's hashes were made of.  A file that was
// damaged by others is then refused with a remedy, not followed into memory that is not there.
#include <array>

#include "cseq.h"
#include "dialog_blocks.h"
#include "layout.h"
#include "profiles.h"
#include "rebuild.h"
#include "segment.h"

namespace holdfast {

namespace {

/// One record and what it names.
class DialogCheck {
 public:
  explicit DialogCheck(Segment& segment) noexcept : segment_(segment), arena_(segment.arena()) {}

  [[nodiscard]] bool is_whole(const DialogRecord& record) const noexcept {
    if (record.state > kDeleted || record.version == 0 || record.id == 0 || record.bye_owed > 3) return false;
    const auto* cold = at<DialogCold>(record.cold);
    if (cold == nullptr || !holds_texts(*cold, record.cold, kBoundOfCold)) return false;
    const Text call_id = text_of(*cold, kColdCallId);
    return record.call_id == segment_.keyed_hash()(call_id) && record.entry == segment_.entry_of(call_id) &&
           record.caller_tag == tag_hash(segment_, text_of(*cold, kColdCallerTag)) &&
           cold->caller_socket <= segment_.header().sockets &&
           cold->callee_socket <= segment_.header().sockets && callee_is_whole(record) &&
           variables_are_whole(*cold) && extra_is_whole(*cold) && members_are_whole(record);
  }

 private:
  /// The block as what it is said to be; null: there is no such block, or it is too small.
  template <typename T>
  [[nodiscard]] const T* at(Block block) const noexcept {
    return arena_.is_block(block, sizeof(T)) ? reinterpret_cast<const T*>(arena_.bytes(block)) : nullptr;
  }

  template <typename T, std::size_t count>
  [[nodiscard]] bool holds_texts(const T& head, Block block,
                                 const std::size_t (&bounds)[count]) const noexcept {
    for (std::size_t n = 0; n < count; ++n)
      if (head.length[n] > bounds[n]) return false;
    return arena_.is_block(block, bytes_of(head));
  }

  [[nodiscard]] bool callee_is_whole(const DialogRecord& record) const noexcept {
    if (record.callee == 0) return record.callee_tag == 0;
    const auto* leg = at<CalleeLeg>(record.callee);
    return leg != nullptr && holds_texts(*leg, record.callee, kBoundOfLeg) &&
           record.callee_tag == tag_hash(segment_, text_of(*leg, kLegTag));
  }

  [[nodiscard]] bool variables_are_whole(const DialogCold& cold) const noexcept {
    if (cold.variables == 0) return cold.variable_count == 0;
    const auto* block = at<VariableBlock>(cold.variables);
    if (block == nullptr || block->count != cold.variable_count || block->bytes > kVariablesBytesMax ||
        !arena_.is_block(cold.variables, sizeof *block + block->bytes))
      return false;
    const auto* texts = reinterpret_cast<const std::uint8_t*>(block + 1);
    std::size_t used = 0;
    for (std::uint32_t n = 0; n < block->count; ++n) {
      std::uint16_t length[2];  // key, value
      if (used + sizeof length > block->bytes) return false;
      std::memcpy(length, texts + used, sizeof length);
      used += sizeof length + length[0] + length[1];
    }
    return used == block->bytes;
  }

  [[nodiscard]] bool extra_is_whole(const DialogCold& cold) const noexcept {
    if (cold.extra == 0) return true;
    const auto* extra = at<DialogExtra>(cold.extra);
    if (extra == nullptr || extra->transaction_index > segment_.header().transactions_max) return false;
    if (extra->steps != 0) {
      const auto* steps = at<CSeqSteps>(extra->steps);
      if (steps == nullptr || steps->list[0].count > kCSeqStepsMax || steps->list[1].count > kCSeqStepsMax)
        return false;
    }
    constexpr std::size_t kBoundOfEarly[kEarlyTextEnd] = {kTextBytesMax, kTextBytesMax, kRouteSetBytesMax};
    std::uint32_t count = 0;
    for (Block block = extra->early; block != 0; ++count) {
      const auto* leg = at<EarlyLeg>(block);
      if (count == kEarlyLegsMax || leg == nullptr || !holds_texts(*leg, block, kBoundOfEarly)) return false;
      block = leg->next;
    }
    return count == extra->early_legs;
  }

  [[nodiscard]] bool members_are_whole(const DialogRecord& record) const noexcept {
    if (record.state == kDeleted) return record.members == 0;
    std::uint32_t count = 0;
    for (Block block = record.members; block != 0; ++count) {
      const auto* member = at<MemberBlock>(block);
      if (count == kMembersMax || member == nullptr || member->profile >= segment_.header().profiles ||
          !arena_.is_block(block, sizeof *member + member->value_bytes + member->uid_bytes))
        return false;
      block = member->next_of_record;
    }
    return true;
  }

  Segment& segment_;
  Arena& arena_;
};

}  // namespace

void check_dialogs(Rebuild& work) noexcept {
  Segment& segment = work.segment;
  const DialogCheck check(segment);
  for (std::uint32_t index = 1; index <= segment.dialogs().carved(); ++index) {
    const DialogRecord& record = segment.dialog(index);
    if (record.state != 0 && !check.is_whole(record)) work.found.blocks += 1;
  }
}

}  // namespace holdfast
