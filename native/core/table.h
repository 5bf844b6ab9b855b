// core/table.h - hash entries and their dialogs: create, find, change, end, walk, snapshot.
//
// A record is one hot cache line plus blocks of text.  Who may call what stands at each call (architecture:
// *Who may change what*).  A change takes the entry's spinlock for a bounded copy, sets only the fields it
// names and adds one to `version`; it is atomic against SIGKILL.  Look-up by Call-ID and by (h_entry, h_id)
// is O(1) whatever hash_size is. Times: deadlines are seconds of CLOCK_BOOTTIME, *_ts are Unix seconds; both
// are handed in.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "arena.h"
#include "counters.h"
#include "status.h"
#include "undo.h"

namespace holdfast {

using Text = std::span<const std::uint8_t>;

struct DialogHandle {
  std::uint32_t index = 0;  // 0 is no dialog
  std::uint32_t generation = 0;
};

enum DialogState : std::uint32_t {
  kUnconfirmed = 1,
  kEarly = 2,
  kConfirmedNoAck = 3,
  kConfirmed = 4,
  kDeleted = 5
};
enum Direction : std::uint32_t { kNone = 0, kDownstream = 1, kUpstream = 2 };

/// What a look-up answers with; the words TypeScript reads (DialogWord gives their order).
enum DialogWord : std::uint32_t {
  kDIndex,
  kDGeneration,
  kDVersion,
  kDEntry,
  kDId,
  kDCookieId,
  kDState,
  kDDirection,
  kDHolds,
  kDFlags,        // dflags, spec 7.6
  kDScriptFlags,  // sflags
  kDProperties,   // iflags, spec 7.5
  kDLifetime,     // seconds
  kDDue,          // CLOCK_BOOTTIME seconds, 0: not armed
  kDInitTs,
  kDStartTs,
  kDEndTs,
  kDCallerCSeq,
  kDCalleeCSeq,  // highest number seen from that side; kNoCSeq while unknown.  In state 5 the highest that
                 // was sent on: a BYE of ours has it
  kDCallerSocket,
  kDCalleeSocket,   // numbers of the segment's socket names, 0: unknown
  kDRecordRoutes,   // Record-Route entries in the INVITE as received (spec 5, k)
  kDCalleeTagHash,  // 0: not known yet
  kDMembers,        // profile memberships
  kDVariables,      // number of variables
  kDTimeoutRoute,   // 1 if a timeout route's name is set
  kDByeOwed,        // bit 0: to the caller, bit 1: to the callee
  kDTransactionIndex,
  kDTransactionGeneration,  // the INVITE server transaction while unanswered; 0, 0: none
  kDMarks,                  // DialogMark
  kDEarlyLegs,              // early legs kept
  kDSteps,       // bit 0: downstream numbers are mapped (map_cseq), bit 1: upstream; 0: all go as they came
  kDSavedDue,    // the deadline before a keep-alive shortened it, 0: none
  kDKaFailures,  // keep-alives unanswered in a row: by the caller in the low 16 bits, by the callee above
  kDKaDue,       // CLOCK_BOOTTIME seconds of the next keep-alive, 0: none
  kDWordEnd
};
inline constexpr std::uint32_t kDialogWords = 40;
inline constexpr std::uint32_t kNoCSeq = 0xffff'ffff;

enum DialogMark : std::uint32_t {
  kMarkRouteAsked = 1,   // the timeout route was asked for; gone with every change of the deadline
  kMarkByeAwaited = 2,   // found at attach: ended by a BYE that may not have gone on; a hold stands for it
  kMarkShortened = 4,    // a keep-alive that nobody answered shortened the lifetime
  kMarkEndOwed = 8,      // claim_end was called, and the owner has not begun its effects yet ...
  kMarkEndExpired = 16,  // ... with kExpired
  kMarkEndNoAck = 32,    // ... in state 3
  kMarkByeToCallerUnsent =
      64,  // found at attach: owed, and no transaction of ours sends it.  Whoever sends it ...
  kMarkByeToCalleeUnsent = 128,  // ... clears both; one hold stands for them
  kMarkAll = 255,
};
/// In the flags (src/dialog/record.ts): a BYE ended it.
inline constexpr std::uint32_t kFlagHasBye = 4;

/// Bounds of what a dialog keeps, in bytes.  The texts of NewDialog together are bounded too, so that a
/// snapshot without variables and members always fits into 65,536 bytes.
inline constexpr std::size_t kTextBytesMax = 4096;  // Call-ID, tags, URIs, contacts
inline constexpr std::size_t kRouteSetBytesMax = 16 * 1024;
inline constexpr std::size_t kTimeoutRouteBytesMax = 255;
inline constexpr std::size_t kSourceBytesMax = 63;  // "[2001:db8::1]:5060"
inline constexpr std::size_t kNewDialogBytesMax = 36 * 1024;
inline constexpr std::size_t kVariableKeyBytesMax = 1024;
inline constexpr std::size_t kVariableBytesMax = 8 * 1024;
inline constexpr std::size_t kVariablesBytesMax =
    32 * 1024;  // of one dialog, keys and values with 4 bytes for each
inline constexpr std::uint32_t kVariablesMax = 255;
inline constexpr std::uint32_t kMembersMax = 65535;  // memberships of one dialog
/// Dialogs of one Call-ID (all forks of a call and what a loop makes of it): each new one walks the others.
inline constexpr std::uint32_t kSameCallIdMax = 256;
inline constexpr std::uint32_t kEndedLooksMax = 16'384;  // records passed over by one next_ended()
inline constexpr std::uint32_t kNextLooksMax = 256;  // free records passed over by one next()
inline constexpr std::size_t kSnapshotBytesMax =
    128 * 1024;  // enough for texts, all variables and 64 memberships

struct NewDialog {
  Text call_id, caller_tag, from_uri, to_uri, request_uri, caller_contact, caller_route_set, timeout_route;
  std::uint32_t caller_cseq = 0, lifetime = 0, script_flags = 0, properties = 0, init_ts = 0;
  std::uint32_t caller_socket = 0, record_routes = 0;
  Text caller_source;
};

/// Which fields a change names.
enum ChangeField : std::uint32_t {
  kChangeState = 1u << 0,  // expected state -> state; counts follow
  kChangeDue = 1u << 1,    // due (0 disarms)
  kChangeLifetime = 1u << 2,
  kChangeStartTs = 1u << 3,
  kChangeEndTs = 1u << 4,
  kChangeFlags = 1u << 5,        // dflags: (old & ~flags_clear) | flags_set
  kChangeScriptFlags = 1u << 6,  // the same with script_flags_*
  kChangeProperties = 1u << 7,
  kChangeCallerCSeq = 1u << 8,  // raised, never lowered
  kChangeCalleeCSeq = 1u << 9,
  kChangeCalleeLeg = 1u << 10,  // callee_tag, callee_contact, callee_route_set, callee_socket, callee_source
  kChangeCallerContact = 1u << 11,  // contact, its source (none given: none kept), and the socket if not 0
  kChangeCalleeContact = 1u << 12,
  kChangeTimeoutRoute = 1u << 13,
  kChangeTransaction = 1u << 14,  // kept in states 1 and 2 only
  kChangeMarks = 1u << 15,  // (old & ~marks_clear) | marks_set; see DialogMark for what `due` does to them
  kChangeSavedDue = 1u << 16,
  kChangeKaDue = 1u << 17,  // arms the keep-alive wheel; 0 disarms
  kChangeCallerRouteSet = 1u << 18,
};

struct Change {
  std::uint32_t fields = 0;
  std::uint32_t expected_state = 0;  // 0: any.  Anything else and the record's state differs: kConflict
  std::uint32_t state = 0, due = 0, lifetime = 0, start_ts = 0, end_ts = 0;
  std::uint32_t flags_set = 0, flags_clear = 0, script_flags_set = 0, script_flags_clear = 0;
  std::uint32_t properties_set = 0, properties_clear = 0, caller_cseq = 0, callee_cseq = 0;
  std::uint32_t caller_socket = 0, callee_socket = 0;
  std::uint32_t transaction_index = 0, transaction_generation = 0, marks_set = 0, marks_clear = 0;
  std::uint32_t saved_due = 0, ka_due = 0;
  Text callee_tag, callee_contact, callee_route_set, caller_contact, timeout_route;
  Text caller_source, callee_source, caller_route_set;
};

inline constexpr std::uint32_t kEarlyLegsMax = 16;  // of one dialog
/// A leg that an 18x with a To tag opened.
struct NewEarlyLeg {
  Text tag, contact, route_set;
};

enum class EndReason : std::uint8_t { kBye, kExpired, kCommand };

inline constexpr std::uint32_t kForksMax = 16;  // dialogs that 2xx of one INVITE make, the first included

class Segment;
struct CSeqSteps;
struct DialogRecord;
struct DialogCold;
struct DialogExtra;

/// A view over all dialogs for one thread.
class Table {
 public:
  using Words = std::span<std::uint32_t, kDialogWords>;

  /// `thread` is the caller's own number (layout.h): its undo slot and its block of counters.
  Table(Segment& segment, std::uint32_t thread) noexcept;

  /// Hash entry of a Call-ID (spec 1.1), already masked.
  [[nodiscard]] std::uint32_t entry_of(Text call_id) const noexcept;

  /// Makes a dialog in state 1 with the entry's next h_id and puts it into both indexes.  Owner of the entry
  /// only. kNoMemory (the last tenth of each pool is not for new calls), kOutOfRange (a text over its bound).
  /// The record has one hold, the table's: a change to state 5 drops it, one out of state 5 takes it again.
  /// kLimit: kSameCallIdMax dialogs have that Call-ID.
  [[nodiscard]] Status create(const NewDialog& dialog, Words out) noexcept;

  /// Finds by address; the record may be in any state.  kNotFound.
  [[nodiscard]] Status find_by_id(std::uint32_t entry, std::uint32_t id, Words out) noexcept;
  [[nodiscard]] Status load(DialogHandle handle, Words out) noexcept;

  /// Spec 1.3, tight match of one dialog: kOk with kDDirection set, or kConflict.  kNotFound: handle over.
  [[nodiscard]] Status match(DialogHandle handle, Text call_id, Text from_tag, Text to_tag, Direction wanted,
                             Words out) noexcept;
  /// Spec 1.3 over all dialogs of the Call-ID in order of insertion: a live dialog with an equal callee tag
  /// wins over one whose callee tag is not known, live ones win over deleted ones.  kNotFound.
  [[nodiscard]] Status find_by_call_id(Text call_id, Text from_tag, Text to_tag, Direction wanted,
                                       Words out) noexcept;
  /// By Call-ID and, if not empty, the caller's tag, whatever the To tag: for spirals (1.6) and listings.
  /// `nth` counts from 0 in order of insertion.
  [[nodiscard]] Status find_call(Text call_id, Text caller_tag, std::uint32_t nth, Words out) noexcept;

  /// Applies a change; `out` shows the record after it.  State 5 takes the record out of profiles, counts and
  /// wheel in the same step.  Fields open to any thread: due, lifetime, flags, properties, CSeq, marks, saved
  /// due, keep-alive; the rest is the owner's.  The first 2xx and the end let early legs and transaction go.
  [[nodiscard]] Status change(DialogHandle handle, const Change& change, Words out) noexcept;

  /// Ends a dialog in state 3 or 4 once, whoever calls (architecture, *Ending*).  kExpired: only if due <=
  /// now. kConflict: somebody else ended it.  kNotDue.  `bye_sides` bit 0 caller, bit 1 callee: BYE owed.  A
  /// BYE to the caller takes the next number of the callee's side and the other way round: the words show the
  /// numbers taken.  The table's hold is left to the owner, who clears kMarkEndOwed, runs the effects and
  /// drops it: whoever finds the mark knows that they have not run.
  [[nodiscard]] Status claim_end(DialogHandle handle, EndReason reason, std::uint32_t bye_sides,
                                 std::uint32_t now_boot, std::uint32_t end_ts, Words out) noexcept;

  /// A further 2xx of the INVITE, of another callee: a sibling in state 3 with entry, Call-ID, caller,
  /// numbers, flags and variables of the dialog; its own are h_id, callee's leg (the texts and socket that
  /// kChangeCalleeLeg would take), start_ts, due and CSeq steps: this callee had the INVITE, whose number is
  /// `from`, with `by` more.  In its cookie is the first one's id.  `out` shows it.  Owner only.  kConflict:
  /// one of the family has that tag, `out` shows it.  kRefused: the dialog has had no 2xx.  kNoMemory.  kLimit:
  /// the family has kForksMax records, or the Call-ID kSameCallIdMax.
  ///
  /// Memberships belong to the family: when the dialog that has them ends, they go to one that is up.
  [[nodiscard]] Status fork(DialogHandle handle, const Change& leg, Words out, std::uint32_t from = 0,
                            std::uint32_t by = 0) noexcept;

  /// Adds or replaces the early leg of that To tag, in state 1 or 2 (else kConflict).  Owner only.  kLimit:
  /// kEarlyLegsMax others are kept.
  [[nodiscard]] Status early_leg(DialogHandle handle, const NewEarlyLeg& leg, Words out) noexcept;
  /// Removes one.  kNotFound.
  [[nodiscard]] Status end_early_leg(DialogHandle handle, Text tag, Words out) noexcept;

  /// The number of a request of our own in `direction`: one more than the highest sent, and remembered;
  /// received numbers not yet seen get one more from now on.  `again`: that request, seen before, is sent
  /// anew under the number taken, and keeps it (an INVITE with credentials; its ACK).  Any thread.
  [[nodiscard]] Status take_cseq(DialogHandle handle, Direction direction, std::uint32_t again,
                                 std::uint32_t* number) noexcept;
  /// What was received from `from` on was sent, and is sent, with `by` more: the dialog began with a request
  /// that went out under another number (an INVITE with credentials of ours).  Any thread.
  [[nodiscard]] Status shift_cseq(DialogHandle handle, Direction direction, std::uint32_t from,
                                  std::uint32_t by) noexcept;
  /// The number under which a request received with `received` is sent on.  A number not seen before counts
  /// as seen.  Any thread.
  [[nodiscard]] Status map_cseq(DialogHandle handle, Direction direction, std::uint32_t received,
                                std::uint32_t* number) noexcept;
  /// The highest number sent in `direction`, 0: none.  Any thread.
  [[nodiscard]] Status sent_cseq(DialogHandle handle, Direction direction, std::uint32_t* number) noexcept;

  /// The BYEs to `sides` have their final answer, or none will come.  Any thread.
  [[nodiscard]] Status bye_answered(DialogHandle handle, std::uint32_t sides) noexcept;

  /// Holds keep a record that has ended.  drop() frees it when the last hold of a deleted dialog goes.  The
  /// table's own, which create() makes, is not given away while the dialog lives.
  [[nodiscard]] Status hold(DialogHandle handle) noexcept;
  /// The transaction of the INVITE that made the dialog holds it (unless it `has_hold` already), and the
  /// dialog names the transaction until it is answered.  kNoMemory: held, but not named.
  [[nodiscard]] Status link(DialogHandle handle, bool has_hold, std::uint32_t transaction_index,
                            std::uint32_t transaction_generation) noexcept;
  void drop(DialogHandle handle) noexcept;

  /// $dlg_var.  An absent key is kNotFound; `out` receives at most its size, the full length is returned
  /// through `length`.
  [[nodiscard]] Status set_variable(DialogHandle handle, Text key, Text value) noexcept;
  [[nodiscard]] Status remove_variable(DialogHandle handle, Text key) noexcept;
  [[nodiscard]] Status get_variable(DialogHandle handle, Text key, std::span<std::uint8_t> out,
                                    std::size_t* length) noexcept;

  /// One consistent copy under the entry's lock: kDialogWords words, then for each text a length word and its
  /// bytes padded to 4, in the order of SnapshotText; then variables (key, value), profile members (name,
  /// value) and early legs (tag, contact, Route set), newest first. kOutOfRange if words and texts do not fit
  /// (65,536 bytes always suffice for them); of the rest what does not fit is left out: kDVariables,
  /// kDMembers and kDEarlyLegs say how many follow (all variables and members in kSnapshotBytesMax).
  [[nodiscard]] Status snapshot(std::uint32_t index, std::span<std::uint8_t> out,
                                std::size_t* length) noexcept;
  /// The next record index >= `cursor` in use, 0: none.  After kNextLooksMax free records it is the last of
  /// these, which load() and snapshot() do not find: whoever walks on from it misses none.  Any thread.
  [[nodiscard]] std::uint32_t next(std::uint32_t cursor) const noexcept;
  /// Loads the first unanswered dialog of `owner`'s from number `cursor` on; false: there is none.
  [[nodiscard]] bool next_unanswered(std::uint32_t owner, std::uint32_t cursor, Words out) noexcept;

  /// The next record index >= `cursor` that has ended and is still kept; else as next(), after kEndedLooksMax
  /// others.  Any thread.
  [[nodiscard]] std::uint32_t next_ended(std::uint32_t cursor) const noexcept;

  /// At most `out.size()` dialogs of `owner` whose deadline is past (each as index, generation).  A dialog
  /// stays due until it is ended or its deadline is moved: it comes again with the next second, so nobody
  /// loses it.
  [[nodiscard]] std::uint32_t advance(std::uint32_t owner, std::uint32_t now_boot,
                                      std::span<DialogHandle> out) noexcept;

  /// The same for keep-alives: a dialog stays due until its next one is set (kChangeKaDue).
  [[nodiscard]] std::uint32_t advance_keep_alive(std::uint32_t owner, std::uint32_t now_boot,
                                                 std::span<DialogHandle> out) noexcept;
  /// A keep-alive to `side` (1 caller, 2 callee) was answered, or `failed`: `failures` of that side in a row
  /// so far. Any thread.  kConflict: the dialog has ended.
  [[nodiscard]] Status probe_answered(DialogHandle handle, std::uint32_t side, bool failed,
                                      std::uint32_t* failures) noexcept;

  [[nodiscard]] std::uint32_t live() const noexcept;  // records in use, any state

  /// Brings in what find_by_call_id() of these Call-IDs will touch, all at once instead of one after the
  /// other.
  void prefetch(std::span<const Text> call_ids) const noexcept;

  /// Recounts states and profile members: the sum of absolute differences to the kept counts, 0 unless we are
  /// wrong (calls that change meanwhile are waited out, a few times).  Main thread.
  [[nodiscard]] std::uint64_t audit() const noexcept;

 private:
  friend class Profiles;
  friend class RecordAudit;
  class Locked;  // locked.h: a record found by its handle, its entry locked

  [[nodiscard]] DialogCold& cold(const DialogRecord& record) const noexcept;
  [[nodiscard]] DialogExtra* extra_of(const DialogCold& numbers) const noexcept;
  [[nodiscard]] CSeqSteps* steps_of(const DialogCold& numbers) const noexcept;
  /// One step that makes the lists if there are none, and lets `change` work on one of them.
  template <class Change>
  [[nodiscard]] Status change_steps(DialogHandle handle, Direction direction, Change&& change) noexcept;
  [[nodiscard]] Status make_extra(std::uint32_t index, Need need, Block* out) noexcept;
  void save_truth(DialogExtra& extra) noexcept;
  void free_early(Block first) noexcept;
  void drop_extra(std::uint32_t index, Block extra) noexcept;
  void prefetch_texts(const DialogRecord& record) const noexcept;
  void fill(std::uint32_t index, Direction direction, Words out) const noexcept;
  [[nodiscard]] Direction matched(const DialogRecord& record, Text call_id, Text from_tag, Text to_tag,
                                  Direction wanted) const noexcept;
  [[nodiscard]] Status enter_call_id(std::uint32_t index) noexcept;
  [[nodiscard]] Status enter(std::uint32_t index) noexcept;
  void take_out(std::uint32_t index) noexcept;
  void count_states(std::uint32_t before, std::uint32_t after) noexcept;
  void leave_everything(std::uint32_t index, Block members) noexcept;
  [[nodiscard]] Status replace_variables(DialogRecord& record, Text key, Text value, bool keep) noexcept;

  Segment* segment_;
  Undo undo_;
  Counters counters_;
};

/// Keyed hash of a tag as records keep it; 0 only for an empty one.
[[nodiscard]] std::uint32_t tag_hash(const Segment& segment, Text tag) noexcept;

enum SnapshotText : std::uint32_t {
  kTextCallId,
  kTextFromUri,
  kTextToUri,
  kTextRequestUri,
  kTextCallerTag,
  kTextCalleeTag,
  kTextCallerContact,
  kTextCalleeContact,
  kTextCallerRouteSet,
  kTextCalleeRouteSet,
  kTextCallerSocket,
  kTextCalleeSocket,
  kTextTimeoutRoute,
  kTextCallerSource,  // observed addresses, "192.0.2.1:40123"; empty: none kept
  kTextCalleeSource,
  kTextCount
};

}  // namespace holdfast
