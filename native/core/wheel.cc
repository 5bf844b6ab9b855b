#include "wheel.h"

#include <algorithm>

namespace holdfast {

namespace {

constexpr std::uint32_t kSlotMask = kWheelSlots - 1;

/// `tick` is not later than `now`.
bool is_past(std::uint32_t tick, std::uint32_t now) noexcept {
  return static_cast<std::int32_t>(tick - now) <= 0;
}

}  // namespace

void Wheel::reset(std::uint32_t now) noexcept {
  LockGuard guard(head_->lock);
  head_->done = now;
  head_->walking = head_->cursor = head_->armed = 0;
  std::fill(std::begin(head_->first), std::end(head_->first), 0u);
}

void Wheel::arm(std::uint32_t node, std::uint32_t due) noexcept {
  if (node == 0 || node > nodes_max_) return;
  LockGuard guard(head_->lock);
  WheelNode& n = at(node);
  // The slot being walked counts as walked: what is armed for it comes with the next one.
  const std::uint32_t walked = head_->done + head_->walking;
  if (is_past(due, walked)) due = walked + 1;
  if (due == 0) due = 1;  // 0 says "not linked"
  if (n.at != 0) {
    if (is_past(n.at, due)) {
      n.due = due;  // later than where it is linked: put right when that tick comes
      return;
    }
    unlink(node);
  }
  link(node, due);
}

void Wheel::cancel(std::uint32_t node) noexcept {
  if (node == 0 || node > nodes_max_) return;
  LockGuard guard(head_->lock);
  if (at(node).at != 0) unlink(node);
}

void Wheel::link(std::uint32_t node, std::uint32_t due) noexcept {
  WheelNode& n = at(node);
  std::uint32_t& first = head_->first[due & kSlotMask];
  n = {first, 0, due, due};
  if (first != 0) at(first).prev = node;
  first = node;
  ++head_->armed;
}

void Wheel::unlink(std::uint32_t node) noexcept {
  WheelNode& n = at(node);
  if (head_->cursor == node) head_->cursor = n.next;
  if (n.prev != 0) {
    at(n.prev).next = n.next;
  } else {
    head_->first[n.at & kSlotMask] = n.next;
  }
  if (n.next != 0) at(n.next).prev = n.prev;
  n = {0, 0, 0, 0};
  --head_->armed;
}

std::uint32_t Wheel::advance(std::uint32_t now, std::span<std::uint32_t> out) noexcept {
  LockGuard guard(head_->lock);
  const std::uint32_t room = static_cast<std::uint32_t>(std::min<std::size_t>(out.size(), kAdvanceNodesMax));
  std::uint32_t taken = 0, looks = 0, slots = 0;
  while (is_past(head_->done + 1, now)) {
    if (!head_->walking) {
      if (slots++ == kAdvanceSlotsMax) return taken;
      // After a pause of more than a turn one turn meets every node.
      if (now - head_->done > kWheelSlots) head_->done = now - kWheelSlots;
      head_->walking = 1;
      head_->cursor = head_->first[(head_->done + 1) & kSlotMask];
    }
    while (head_->cursor != 0) {
      if (taken == room || looks++ == kAdvanceLooksMax) return taken;
      const std::uint32_t node = head_->cursor;
      WheelNode& n = at(node);
      head_->cursor = n.next;
      if (!is_past(n.at, now)) continue;  // another turn
      const std::uint32_t due = n.due;
      unlink(node);
      if (is_past(due, now)) {
        out[taken++] = named_ ? *reinterpret_cast<const std::uint32_t*>(&n + 1) : node;
      } else {
        link(node, due);  // it was moved to a later tick meanwhile
      }
    }
    head_->walking = 0;
    ++head_->done;
  }
  return taken;
}

bool Wheel::behind(std::uint32_t now) const noexcept {
  LockGuard guard(head_->lock);
  return is_past(head_->done + 1, now);
}

std::uint32_t Wheel::quiet_ticks(std::uint32_t now, std::uint32_t ahead) const noexcept {
  LockGuard guard(head_->lock);
  if (head_->armed == 0) return ahead;
  if (is_past(head_->done + 1, now)) return 0;
  ahead = std::min(ahead, kWheelSlots);
  for (std::uint32_t ticks = 1; ticks <= ahead; ++ticks) {
    if (head_->first[(now + ticks) & kSlotMask] != 0) return ticks;
  }
  return ahead;
}

std::uint32_t Wheel::armed() const noexcept {
  LockGuard guard(head_->lock);
  return head_->armed;
}

std::uint32_t Wheel::walked() const noexcept {
  LockGuard guard(head_->lock);
  return head_->done;
}

}  // namespace holdfast
