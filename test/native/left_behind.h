// test/native/left_behind.h - what a process that dies in the middle of its work leaves to the next one.
#pragma once
#include <cstdlib>
#include <vector>

#include "core/transactions.h"
#include "segment_memory.h"

namespace holdfast {

/// Calls in every state, transactions with and without branches, and a change that was under way.
inline void leave_behind(Segment& segment) {
  Table table(segment, 0);
  Profiles profiles(segment, 0);
  Transactions transactions(segment, 0);
  DialogWords words{};
  const auto ok = [](Status status) {
    if (status != Status::kOk) std::abort();
  };
  std::vector<DialogHandle> calls;
  for (unsigned n = 0; n < 14; ++n) {
    const TestCall call(n);
    ok(table.create(call.dialog(), words));
    const DialogHandle handle = handle_of(words);
    calls.push_back(handle);
    if (n % 3 != 0) ok(table.change(handle, call.answer(), words));
    if (n % 4 == 0) ok(profiles.join(handle, 0, text(n % 8 == 0 ? "alice" : "bob"), 0, nullptr));
    if (n % 5 == 0) ok(table.set_variable(handle, text("account"), text(std::string(n * 40 + 1, 'v'))));
  }
  ok(table.early_leg(calls[0], {text("e0"), text("sip:e@h"), text("<sip:p;lr>")}, words));
  ok(table.early_leg(calls[0], {text("e1"), text("sip:e@h"), {}}, words));
  ok(table.fork(calls[1], TestCall(101).answer(), words));
  std::uint32_t number = 0;
  ok(table.take_cseq(calls[2], kDownstream, 0, &number));
  Change keep_alive;
  keep_alive.fields = kChangeKaDue;
  keep_alive.ka_due = 1030;
  ok(table.change(calls[4], keep_alive, words));
  ok(table.claim_end(calls[5], EndReason::kCommand, 3, 0, 1234, words));  // both BYEs are owed
  ok(table.hold(calls[7]));
  ok(table.change(calls[7], to_state(kDeleted), words));  // ended, held by nobody that survives
  ok(table.change(calls[8], to_state(kDeleted), words));  // gone: a free record among others
  Member pending = 0;
  ok(profiles.join({}, 0, text("alice"), 0, &pending));

  std::array<std::uint32_t, kRegisterWords> registers{};
  const auto transaction = [&](unsigned n, std::uint32_t owner, unsigned branches, DialogHandle dialog) {
    const std::string request =
        "INVITE sip:b@b.example SIP/2.0\r\nCall-ID: " + TestCall(n).call_id + "\r\n\r\n";
    ok(transactions.create(owner, 77 + n, text(request), Need::kNewCall, registers));
    registers[kTKind] = 1;
    registers[kTEndDue] = 5000 + n;
    registers[kTDialogIndex] = dialog.index;
    registers[kTDialogGeneration] = dialog.generation;
    if (dialog.index != 0) ok(table.hold(dialog));
    const Edit edit[] = {{3, 0, 4}};
    for (unsigned branch = 0; branch < branches; ++branch)
      ok(transactions.add_branch(registers, edit, text("Via:"), Need::kNewCall));
    ok(transactions.store(registers));
    ok(transactions.set_reply(registers, text("SIP/2.0 180 Ringing\r\n\r\n")));
  };
  transaction(0, 0, 1, calls[0]);
  transaction(3, 1, 3, calls[3]);
  transaction(6, 0, 0, {});
  transaction(9, 1, 1, {});
  transactions.free(registers[kTIndex]);
  transaction(12, 1, 2, calls[12]);
  ok(transactions.create(2, 0, {}, Need::kCallIsUp, registers));  // the timer worker's, of no dialog
  registers[kTKind] = 3, registers[kTEndDue] = 4000;
  ok(transactions.store(registers));

  // Thread 3 was changing the deadline of a call.
  DialogRecord& record = segment.dialog(calls[10].index);
  Undo undo = segment.undo(3);
  undo.save(&record, kDialogUndoBytes);
  undo.mark();
  record.due = 0xbad;
  record.state = kEarly;
}

}  // namespace holdfast
