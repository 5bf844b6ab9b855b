// SIGKILL at every numbered point, and at random instants under two writers: what is left can be taken over.
// flags: -DHOLDFAST_KILL_POINTS
//
// A program of its own: the core is compiled with its kill points.  A child works on shared pages and is
// killed; the parent attaches as the next process would.  Every record must be wholly old or wholly new, what
// was rebuilt must agree with the records, and no block may be lost or owned twice (verify).
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <random>
#include <thread>

#include "core/kill_point.h"
#include "core/transactions.h"
#include "segment_memory.h"

using namespace holdfast;

namespace {

const char* what = "";
unsigned checks = 0;

void check(bool good, const char* claim, unsigned number = 0) {
  ++checks;
  if (good) return;
  std::fprintf(stderr, "kill_test: %s, at %u: not so: %s\n", what, number, claim);
  std::exit(1);
}

void check_sound(Segment& segment, unsigned number) {
  const Verification v = segment.verify();
  if (!v.sound())
    std::fprintf(stderr, "blocks %u arena %u index %u pools %u profiles %u counts %u wheels %u\n", v.blocks,
                 v.arena, v.index, v.pools, v.profiles, v.counts, v.wheels);
  check(v.sound(), "verify() finds nothing", number);
  check(Table(segment, 0).audit() == 0, "audit() finds nothing", number);
}

/// All dialogs by record, each with its texts, variables and members.
using State = std::map<std::uint32_t, std::string>;
State state_of(Segment& segment) {
  State state;
  Table table(segment, 0);
  static std::uint8_t out[kSnapshotBytesMax];
  for (std::uint32_t index = table.next(1); index != 0; index = table.next(index + 1)) {
    std::size_t length = 0;
    if (table.snapshot(index, out, &length) == Status::kOk) state[index] = std::string(out, out + length);
  }
  return state;
}

/// The dialogs that a scenario begins with.
struct Stage {
  Segment& segment;
  DialogHandle early, confirmed, ended, early_with_extra, kept_alive, early_alone, forked, sibling;
  Member pending = 0;
};

constexpr std::size_t kStageBytes = 6 << 20;

Stage set_up(TestSegment& t) {
  Table table(*t.segment, 0);
  Profiles profiles(*t.segment, 0);
  DialogWords words{};
  Stage stage{*t.segment, {}, {}, {}, {}, {}, {}, {}, {}};
  const auto make = [&](unsigned n) {
    check(table.create(TestCall(n).dialog(), words) == Status::kOk, "a dialog is made");
    return handle_of(words);
  };
  stage.early = make(1);
  check(table.change(stage.early, to_state(kEarly), words) == Status::kOk, "early");
  stage.confirmed = make(2);
  check(table.change(stage.confirmed, TestCall(2).answer(), words) == Status::kOk, "answered");
  stage.ended = make(1);  // on the chain of the first
  check(table.hold(stage.ended) == Status::kOk, "held");
  check(table.change(stage.ended, to_state(kDeleted), words) == Status::kOk, "ended");
  for (const DialogHandle handle : {stage.early, stage.confirmed}) {
    check(profiles.join(handle, 0, text("alice"), 0, nullptr) == Status::kOk, "joined");
    check(profiles.join(handle, 0, text("bob"), 0, nullptr) == Status::kOk, "joined");
    check(profiles.join(handle, 1, {}, 0, nullptr) == Status::kOk, "joined");
    check(table.set_variable(handle, text("account"), text("4711")) == Status::kOk, "variable");
  }
  stage.early_with_extra = make(3);
  Change c;
  c.fields = kChangeState | kChangeTransaction;
  c.state = kEarly, c.transaction_index = 3, c.transaction_generation = 1;
  check(table.change(stage.early_with_extra, c, words) == Status::kOk, "early, with its transaction");
  for (const char* tag : {"e0", "e1"})
    check(table.early_leg(stage.early_with_extra, {text(tag), text("sip:e@h"), text("<sip:p;lr>")}, words) ==
              Status::kOk,
          "an early leg");
  stage.early_alone = make(5);
  check(table.early_leg(stage.early_alone, {text("e5"), {}, {}}, words) == Status::kOk, "an early leg");
  stage.forked = make(6);
  check(table.change(stage.forked, TestCall(6).answer(), words) == Status::kOk, "answered");
  check(table.fork(stage.forked, TestCall(66).answer(), words) == Status::kOk, "and once more");
  stage.sibling = handle_of(words);
  std::uint32_t failures = 0;
  check(table.probe_answered(stage.sibling, 1, true, &failures) == Status::kOk, "a keep-alive failed");
  for (const std::string_view value : {"carol", "dave"})
    check(profiles.join(stage.forked, 0, text(value), 0, nullptr) == Status::kOk, "joined");
  check(profiles.join(stage.forked, 1, {}, 0, nullptr) == Status::kOk, "joined");
  check(profiles.join(stage.sibling, 2, text("gw"), 0, nullptr) == Status::kOk, "joined");
  stage.kept_alive = make(4);
  check(table.change(stage.kept_alive, TestCall(4).answer(), words) == Status::kOk, "answered");
  c = {};
  c.fields = kChangeKaDue;
  c.ka_due = 1030;
  check(table.change(stage.kept_alive, c, words) == Status::kOk, "kept alive");
  std::uint32_t number = 0;
  for (const Direction direction : {kDownstream, kUpstream})
    check(table.take_cseq(stage.kept_alive, direction, 0, &number) == Status::kOk, "a CSeq is taken");
  check(profiles.join({}, 0, text("alice"), 0, &stage.pending) == Status::kOk, "joined before the dialog");
  return stage;
}

using Act = std::function<void(Stage&)>;

/// Runs `act` once to its end and once with a kill at each point that it passes.
void kill_everywhere(const char* name, const Act& act) {
  what = name;
  State before, after;
  std::uint64_t bytes_before = 0, bytes_after = 0;
  {
    TestSegment t(kStageBytes);
    set_up(t);
    check(t.attach(), "attach to the old state");
    before = state_of(*t.segment);
    bytes_before = t.segment->used_bytes();
  }
  {
    TestSegment t(kStageBytes);
    Stage stage = set_up(t);
    act(stage);
    check_sound(*t.segment, 0);
    check(t.attach(), "attach to the new state");
    after = state_of(*t.segment);
    bytes_after = t.segment->used_bytes();
  }
  check(before != after, "the act changes something");
  constexpr unsigned kPointsMax = 200;
  unsigned point = 1, old_seen = 0, new_seen = 0;
  for (;; ++point) {
    check(point < kPointsMax, "an act passes fewer points", point);
    TestSegment t(kStageBytes);
    Stage stage = set_up(t);
    const pid_t child = fork();
    check(child >= 0, "fork");
    if (child == 0) {
      kill_after_points = point;
      act(stage);
      _exit(0);
    }
    int status = 0;
    check(waitpid(child, &status, 0) == child, "waitpid");
    if (WIFEXITED(status)) {
      check(WEXITSTATUS(status) == 0, "the child ends well", point);
      break;  // that was the last point
    }
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "killed at the point", point);
    check(t.attach(), "attach", point);
    check_sound(*t.segment, point);
    const State now = state_of(*t.segment);
    check(now == before || now == after, "wholly old or wholly new", point);
    check(t.segment->used_bytes() == (now == before ? bytes_before : bytes_after), "no byte more or less",
          point);
    ++(now == before ? old_seen : new_seen);
    // And it works on.
    Table table(*t.segment, 1);
    DialogWords words{};
    check(table.create(TestCall(9).dialog(), words) == Status::kOk, "a new dialog", point);
    check(table.change(handle_of(words), to_state(kDeleted), words) == Status::kOk, "and its end", point);
    check(state_of(*t.segment) == now, "leaves the others alone", point);
    check_sound(*t.segment, point);
  }
  check(old_seen > 0 && new_seen > 0, "some points lie before the change, some behind it");
  std::printf("  %-28s %2u points: %2u old, %2u new\n", name, point - 1, old_seen, new_seen);
}

void numbered_points() {
  DialogWords words{};
  const auto ok = [](Status status) {
    if (status != Status::kOk) _exit(7);
  };
  kill_everywhere("create", [&](Stage& s) { ok(Table(s.segment, 0).create(TestCall(5).dialog(), words)); });
  kill_everywhere("create on a chain",
                  [&](Stage& s) { ok(Table(s.segment, 0).create(TestCall(1).dialog(), words)); });
  kill_everywhere("change: answered",
                  [&](Stage& s) { ok(Table(s.segment, 0).change(s.early, TestCall(1).answer(), words)); });
  kill_everywhere("change: numbers", [&](Stage& s) {
    Change c;
    c.fields = kChangeFlags | kChangeScriptFlags | kChangeProperties | kChangeLifetime | kChangeDue |
               kChangeCallerCSeq;
    c.flags_set = 1, c.script_flags_set = 2, c.properties_set = 4, c.lifetime = 99, c.due = 77'000,
    c.caller_cseq = 50;
    ok(Table(s.segment, 1).change(s.confirmed, c, words));
  });
  kill_everywhere("change: both contacts", [&](Stage& s) {
    Change c;
    c.fields = kChangeCallerContact | kChangeCalleeContact | kChangeTimeoutRoute | kChangeFlags;
    c.caller_contact = text("sip:alice@198.51.100.7:40123;transport=udp;ob");
    c.callee_contact = text("sip:bob@198.51.100.8:40124;transport=udp;ob");
    c.timeout_route = text("TOO_LONG");
    c.flags_set = 8;
    ok(Table(s.segment, 0).change(s.confirmed, c, words));
  });
  kill_everywhere("change: transaction", [&](Stage& s) {
    Change c;
    c.fields = kChangeTransaction | kChangeMarks;
    c.transaction_index = 7, c.transaction_generation = 8, c.marks_set = kMarkRouteAsked;
    ok(Table(s.segment, 0).change(s.early, c, words));
  });
  kill_everywhere("change: answered, with extra", [&](Stage& s) {
    ok(Table(s.segment, 0).change(s.early_with_extra, TestCall(3).answer(), words));
  });
  kill_everywhere("change: keep-alive, saved due", [&](Stage& s) {
    Change c;
    c.fields = kChangeKaDue | kChangeSavedDue | kChangeDue | kChangeMarks;
    c.ka_due = 2000, c.saved_due = 50'000, c.due = 1010, c.marks_set = kMarkShortened;
    ok(Table(s.segment, 2).change(s.confirmed, c, words));
  });
  kill_everywhere("change: keep-alive off", [&](Stage& s) {
    Change c;
    c.fields = kChangeKaDue;
    ok(Table(s.segment, 2).change(s.kept_alive, c, words));
  });
  kill_everywhere("change: kept alive, freed",
                  [&](Stage& s) { ok(Table(s.segment, 0).change(s.kept_alive, to_state(kDeleted), words)); });
  kill_everywhere("take the first CSeq", [&](Stage& s) {
    std::uint32_t number = 0;
    ok(Table(s.segment, 2).take_cseq(s.confirmed, kDownstream, 0, &number));
  });
  kill_everywhere("take a CSeq after others", [&](Stage& s) {
    std::uint32_t number = 0;
    ok(Table(s.segment, 2).take_cseq(s.kept_alive, kUpstream, 0, &number));
  });
  kill_everywhere("fork",
                  [&](Stage& s) { ok(Table(s.segment, 0).fork(s.confirmed, TestCall(77).answer(), words)); });
  kill_everywhere("fork of a renumbered branch", [&](Stage& s) {
    ok(Table(s.segment, 0).fork(s.kept_alive, TestCall(77).answer(), words, 1, 1));
  });
  kill_everywhere("memberships to a sibling",
                  [&](Stage& s) { ok(Table(s.segment, 0).change(s.forked, to_state(kDeleted), words)); });
  kill_everywhere("memberships to one that has some", [&](Stage& s) {
    ok(Table(s.segment, 2).claim_end(s.sibling, EndReason::kCommand, 3, 0, 1234, words));
  });
  kill_everywhere("leave a sibling's profile",
                  [&](Stage& s) { ok(Profiles(s.segment, 1).leave(s.sibling, 1, {}, true)); });
  kill_everywhere("the first early leg", [&](Stage& s) {
    ok(Table(s.segment, 0).early_leg(s.early, {text("e9"), text("sip:e9@h"), {}}, words));
  });
  kill_everywhere("one more early leg", [&](Stage& s) {
    ok(Table(s.segment, 0).early_leg(s.early_with_extra, {text("e9"), text("sip:e9@h"), {}}, words));
  });
  kill_everywhere("another first early leg", [&](Stage& s) {
    ok(Table(s.segment, 0).early_leg(s.early_with_extra, {text("e1"), text("sip:new@h"), {}}, words));
  });
  kill_everywhere("another last early leg", [&](Stage& s) {
    ok(Table(s.segment, 0).early_leg(s.early_with_extra, {text("e0"), text("sip:new@h"), {}}, words));
  });
  kill_everywhere("an early leg less", [&](Stage& s) {
    ok(Table(s.segment, 0).end_early_leg(s.early_with_extra, text("e0"), words));
  });
  kill_everywhere("the last early leg goes",
                  [&](Stage& s) { ok(Table(s.segment, 0).end_early_leg(s.early_alone, text("e5"), words)); });
  kill_everywhere("change: failed, with early legs", [&](Stage& s) {
    ok(Table(s.segment, 0).change(s.early_with_extra, to_state(kDeleted), words));
  });
  kill_everywhere("a keep-alive fails", [&](Stage& s) {
    std::uint32_t failures = 0;
    ok(Table(s.segment, 2).probe_answered(s.confirmed, 2, true, &failures));
  });
  kill_everywhere("a keep-alive is answered again", [&](Stage& s) {
    std::uint32_t failures = 0;
    ok(Table(s.segment, 2).probe_answered(s.sibling, 1, false, &failures));
  });
  kill_everywhere("shift CSeqs",
                  [&](Stage& s) { ok(Table(s.segment, 2).shift_cseq(s.confirmed, kDownstream, 7, 1)); });
  kill_everywhere("map a CSeq", [&](Stage& s) {
    std::uint32_t number = 0;
    HOLDFAST_KILL_POINT();
    ok(Table(s.segment, 2).map_cseq(s.kept_alive, kDownstream, 90, &number));
    HOLDFAST_KILL_POINT();
  });
  kill_everywhere("claim of one kept alive", [&](Stage& s) {
    ok(Table(s.segment, 2).claim_end(s.kept_alive, EndReason::kCommand, 3, 0, 1234, words));
  });
  kill_everywhere("change: ended, freed",
                  [&](Stage& s) { ok(Table(s.segment, 0).change(s.confirmed, to_state(kDeleted), words)); });
  kill_everywhere("change: failed, freed",
                  [&](Stage& s) { ok(Table(s.segment, 0).change(s.early, to_state(kDeleted), words)); });
  kill_everywhere("claim, BYEs owed", [&](Stage& s) {
    ok(Table(s.segment, 2).claim_end(s.confirmed, EndReason::kCommand, 3, 0, 1234, words));
  });
  kill_everywhere("claim, effects owed", [&](Stage& s) {
    ok(Table(s.segment, 0).claim_end(s.confirmed, EndReason::kBye, 0, 0, 1234, words));
  });
  kill_everywhere(
      "join", [&](Stage& s) { ok(Profiles(s.segment, 1).join(s.confirmed, 2, text("gw1"), 5, nullptr)); });
  kill_everywhere("join a known value", [&](Stage& s) {
    ok(Profiles(s.segment, 0).join(s.confirmed, 0, text("alice"), 0, nullptr));
  });
  kill_everywhere("attach a membership",
                  [&](Stage& s) { ok(Profiles(s.segment, 0).attach(s.pending, s.early)); });
  // Items of other systems do not outlive the process: what shows is the join after them.
  kill_everywhere("other systems' calls, then a join", [&](Stage& s) {
    Profiles profiles(s.segment, 1);
    for (const char* uid : {"u1", "u2", "u3"}) ok(profiles.add_remote(2, text("gw9"), text(uid), 9));
    ok(profiles.remove_remote(2, text("gw9"), text("u2")));
    for (std::uint32_t part = 0; part < kRemoteParts; ++part) (void)profiles.expire_remotes(10, part);
    ok(profiles.join(s.confirmed, 2, text("gw9"), 1, nullptr));
  });
  kill_everywhere("leave the newest",
                  [&](Stage& s) { ok(Profiles(s.segment, 1).leave(s.confirmed, 1, {}, true)); });
  kill_everywhere("leave the oldest",
                  [&](Stage& s) { ok(Profiles(s.segment, 1).leave(s.confirmed, 0, text("alice"), false)); });
  kill_everywhere("set a new variable", [&](Stage& s) {
    ok(Table(s.segment, 0).set_variable(s.confirmed, text("trunk"), text("gw1")));
  });
  kill_everywhere("replace a variable", [&](Stage& s) {
    ok(Table(s.segment, 0).set_variable(s.confirmed, text("account"), text(std::string(300, '9'))));
  });
  kill_everywhere("remove the last variable",
                  [&](Stage& s) { ok(Table(s.segment, 0).remove_variable(s.confirmed, text("account"))); });
}

/// attach() itself is killed at each of its points, and then whoever attaches after that one, too.
void attach_points() {
  what = "attach";
  State whole;
  std::uint64_t bytes = 0;
  const auto begin = [](TestSegment& t) {
    Stage stage = set_up(t);
    DialogWords words{};
    check(Table(stage.segment, 2).claim_end(stage.kept_alive, EndReason::kCommand, 3, 0, 1234, words) ==
              Status::kOk,
          "both BYEs are owed");
    // A thread that died in the middle of a change.
    Undo undo = stage.segment.undo(1);
    DialogRecord& record = stage.segment.dialog(stage.confirmed.index);
    undo.save(&record, kDialogUndoBytes);
    undo.mark();
    record.state = kEarly, record.due = 7;
  };
  {
    TestSegment t(kStageBytes);
    begin(t);
    check(t.attach(), "attach");
    whole = state_of(*t.segment);
    bytes = t.segment->used_bytes();
  }
  constexpr unsigned kPointsMax = 2'000;
  unsigned point = 1;
  for (;; ++point) {
    check(point < kPointsMax, "attach() passes fewer points", point);
    TestSegment t(kStageBytes);
    begin(t);
    bool ended = false;
    for (int deaths = 0; deaths < 2; ++deaths) {
      const pid_t child = fork();
      check(child >= 0, "fork");
      if (child == 0) {
        kill_after_points = point;
        _exit(t.attach() ? 0 : 3);
      }
      int status = 0;
      check(waitpid(child, &status, 0) == child, "waitpid");
      ended = ended || WIFEXITED(status);
      check(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL,
            "killed, or well ended", point);
    }
    check(t.attach(), "the next one attaches", point);
    check_sound(*t.segment, point);
    check(state_of(*t.segment) == whole, "the same calls", point);
    check(t.segment->used_bytes() == bytes, "no byte more or less", point);
    if (ended) break;
  }
  std::printf("  %-28s %2u points\n", what, point - 1);
}

// ---- two writers, a random instant ----

constexpr unsigned kCallsPerWriter = 60;
const bool is_nightly = std::getenv("HOLDFAST_NIGHTLY") != nullptr;
const unsigned kRounds = is_nightly ? 1'000 : 30;

/// All fields of a change carry one number, so that a mixture of two is seen.
Change marked(std::uint32_t number, std::string& contact) {
  Change c;
  c.fields = kChangeFlags | kChangeScriptFlags | kChangeProperties | kChangeLifetime | kChangeStartTs |
             kChangeEndTs | kChangeCallerContact | kChangeCalleeContact | kChangeDue;
  c.flags_clear = c.script_flags_clear = c.properties_clear = 0xffffffff;
  c.flags_set = c.script_flags_set = c.properties_set = c.lifetime = c.start_ts = c.end_ts = number;
  c.due = 1 + number;
  contact = "sip:" + std::string(number % 200, 'x') + "@" + std::to_string(number);
  c.caller_contact = c.callee_contact = text(contact);
  return c;
}

std::string text_at(const std::string& snapshot, std::uint32_t number) {
  std::size_t at = kDialogWords * 4;
  for (;; --number) {
    std::uint32_t length;
    std::memcpy(&length, snapshot.data() + at, 4);
    if (number == 0) return snapshot.substr(at + 4, length);
    at += 4 + (length + 3) / 4 * 4;
  }
}

/// One of the acts that few calls see.
void do_rarely(Table& table, DialogHandle handle, std::uint32_t random, std::vector<DialogHandle>& mine,
               DialogWords& words) {
  const std::string tag = "t" + std::to_string(random / 16 % 20);
  std::uint32_t number = 0;
  Change c;
  switch (random % 7) {
    case 0:
      (void)table.take_cseq(handle, random / 8 % 2 == 0 ? kDownstream : kUpstream, 0, &number);
      break;
    case 1:
      (void)table.early_leg(handle, {text(tag), text("sip:" + std::to_string(random / 512)), {}}, words);
      break;
    case 2:
      (void)table.end_early_leg(handle, text(tag), words);
      break;
    case 3:
      (void)table.probe_answered(handle, 1 + random / 8 % 2, random / 32 % 2 == 0, &number);
      break;
    case 4:
      c.callee_tag = text(tag);
      c.due = 3000, c.start_ts = 1;
      if (table.fork(handle, c, words) == Status::kOk) mine.push_back(handle_of(words));
      break;
    case 5: {
      DialogHandle due[16];
      (void)table.advance_keep_alive(random / 8 % 2, 1000 + random / 16 % 100, due);
      break;
    }
    default:
      c.fields = kChangeKaDue | kChangeSavedDue | kChangeTransaction;
      c.ka_due = 1000 + random / 8 % 100, c.saved_due = random / 1024 % 2, c.transaction_index = 5;
      (void)table.change(handle, c, words);
  }
}

[[noreturn]] void write_for_ever(Segment& segment, std::uint32_t thread, std::uint32_t seed) {
  std::mt19937 random(seed);
  Table table(segment, thread);
  Profiles profiles(segment, thread);
  Transactions transactions(segment, thread);
  DialogWords words{};
  std::array<std::uint32_t, kRegisterWords> registers{};
  std::vector<DialogHandle> mine;
  std::vector<std::uint32_t> live_transactions;
  std::string contact;
  const std::string request(300, 'r');
  for (;;) {
    const std::uint32_t act = random() % 100;
    if (mine.size() < kCallsPerWriter && act < 30) {
      if (table.create(TestCall(thread * 1000 + random() % 200).dialog(), words) == Status::kOk)
        mine.push_back(handle_of(words));
      continue;
    }
    if (mine.empty()) continue;
    const std::size_t at = random() % mine.size();
    const DialogHandle handle = mine[at];
    const std::string value = "v" + std::to_string(random() % 9);
    if (act < 46) {
      const Change c = marked(1 + random() % 100'000, contact);  // 0 is what was never changed
      (void)table.change(handle, c, words);
    } else if (act < 50) {
      do_rarely(table, handle, random(), mine, words);
    } else if (act < 58) {
      (void)table.change(handle, TestCall(1).answer(), words);
    } else if (act < 64) {
      if (table.claim_end(handle, EndReason::kBye, random() % 4, 0, 1, words) == Status::kOk) {
        (void)table.bye_answered(handle, 3);
        table.drop(handle);
        mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(at));
      }
    } else if (act < 70) {
      (void)table.change(handle, to_state(kDeleted), words);
      mine.erase(mine.begin() + static_cast<std::ptrdiff_t>(at));
    } else if (act < 78) {
      (void)profiles.join(handle, random() % 3, text(value), 40, nullptr);
    } else if (act < 82) {
      (void)profiles.leave(handle, random() % 3, text(value), true);
    } else if (act < 84) {
      Member member = 0;
      if (profiles.join({}, 0, text(value), 0, &member) == Status::kOk &&
          profiles.attach(member, handle) != Status::kOk)
        profiles.give_back(member);
    } else if (act < 92) {
      (void)table.set_variable(handle, text(value), text(std::string(random() % 400, 'y')));
    } else if (act < 96) {
      if (transactions.create(thread, random() | 1u, text(request), Need::kNewCall, registers) ==
          Status::kOk) {
        registers[kTEndDue] = 1 + random() % 1000;
        registers[kTDialogIndex] = handle.index;
        registers[kTDialogGeneration] = handle.generation;
        (void)transactions.set_reply(registers, text(value));
        (void)transactions.store(registers);
        live_transactions.push_back(registers[kTIndex]);
      }
    } else if (!live_transactions.empty()) {
      transactions.free(live_transactions.back());
      live_transactions.pop_back();
    }
  }
}

void check_whole(Segment& segment, unsigned round) {
  for (const auto& [index, snapshot] : state_of(segment)) {
    std::uint32_t w[kDialogWords];
    std::memcpy(w, snapshot.data(), sizeof w);
    const std::string call_id = text_at(snapshot, kTextCallId);
    check(call_id.starts_with("3c26700857a87f84-") && call_id.ends_with("@10.0.0.1"), "the Call-ID is whole",
          round);
    check(text_at(snapshot, kTextFromUri) == "sip:alice@atlanta.example.com", "the From URI is whole", round);
    check((core_hash(text(call_id)) & (segment.header().hash_size - 1)) == w[kDEntry],
          "the entry is the Call-ID's", round);
    const std::uint32_t number = w[kDFlags];
    const bool ended_or_forked = w[kDEndTs] >= 1 || w[kDId] != w[kDCookieId];
    check(w[kDScriptFlags] == number && w[kDProperties] == number && (number == 0 || ended_or_forked),
          "flags are of one change", round);
    const std::string contact = text_at(snapshot, kTextCallerContact);
    if (number != 0) {
      std::string expected;
      (void)marked(number, expected);
      check(w[kDLifetime] == number, "so is the lifetime", round);
      check(contact == expected, "and the caller's contact", round);
    } else {
      check(contact == "sip:alice@192.0.2.101:5060;transport=udp", "the contact as it was made", round);
    }
    // The texts that found it find it.
    Table table(segment, 0);
    DialogWords words{};
    check(table.find_by_id(w[kDEntry], w[kDId], words) == Status::kOk && words[kDIndex] == index,
          "found by id", round);
    bool found = false;
    for (std::uint32_t nth = 0; !found && table.find_call(text(call_id), {}, nth, words) == Status::kOk;
         ++nth)
      found = words[kDIndex] == index;
    check(found, "found by Call-ID", round);
  }
}

void random_instants() {
  what = "two writers";
  std::mt19937 random(20'261'123);
  TestSegment t(8 << 20);
  std::uint64_t most = 0;
  for (unsigned round = 1; round <= kRounds; ++round) {
    const std::uint32_t seed = random();
    std::fflush(stdout);
    const pid_t child = fork();
    check(child >= 0, "fork", round);
    if (child == 0) {
      std::thread other([&] { write_for_ever(*t.segment, 1, seed + 1); });
      write_for_ever(*t.segment, 0, seed);
    }
    usleep(2000 + random() % 25'000);
    check(kill(child, SIGKILL) == 0, "kill", round);
    int status = 0;
    check(waitpid(child, &status, 0) == child && WIFSIGNALED(status), "it was killed, nothing else ended it",
          round);
    check(t.attach(), "attach", round);
    check_sound(*t.segment, round);
    check_whole(*t.segment, round);
    most = std::max<std::uint64_t>(most, t.segment->dialogs().used());
    if (round % 5 != 0) continue;
    // Everything ends: nothing is left behind by so many deaths.
    Table table(*t.segment, 0);
    Transactions transactions(*t.segment, 0);
    DialogWords words{};
    for (std::uint32_t index = 1; index <= t.segment->transactions().carved(); ++index) {
      std::array<std::uint32_t, kRegisterWords> registers{};
      if (transactions.load(index, registers) != Status::kOk) continue;
      const DialogHandle held{registers[kTDialogIndex], registers[kTDialogGeneration]};
      transactions.free(index);
      if (held.index != 0) table.drop(held);
    }
    for (const auto& [index, snapshot] : state_of(*t.segment)) {
      std::memcpy(words.data(), snapshot.data(), sizeof words);
      const DialogHandle handle = handle_of(words);
      if (words[kDState] == kDeleted) {
        // Its end may be owed, and its BYEs.
        for (std::uint32_t holds = words[kDHolds]; holds > 0; --holds) table.drop(handle);
      } else {
        check(table.change(handle, to_state(kDeleted), words) == Status::kOk, "each can be ended", round);
      }
    }
    check(t.segment->used_bytes() == 0, "no byte stays", round);
    check(t.segment->arena().free_chunks() == t.segment->arena().chunks(), "no chunk stays", round);
    check_sound(*t.segment, round);
  }
  check(most > kCallsPerWriter / 2, "the writers got somewhere");
  std::printf("  %u rounds, up to %llu dialogs\n", kRounds, static_cast<unsigned long long>(most));
}

}  // namespace

int main() {
  numbered_points();
  attach_points();
  random_instants();
  std::printf("kill_test: %u checks\n", checks);
  return 0;
}
