// Every word number and constant that TypeScript needs, by its C++ name without the k.
#include <napi.h>

#include "../core/branch_name.h"
#include "../core/counters.h"
#include "../core/cseq.h"
#include "../core/mailbox.h"
#include "../core/table.h"
#include "../core/transactions.h"
#include "../net/datagrams.h"
#include "shard.h"

namespace holdfast::binding {

namespace {

struct Row {
  const char* name;
  double value;
};

using namespace net;

// clang-format off
#define W(name) {#name, static_cast<double>(k##name)}
constexpr Row kRows[] = {
    // the exchange area
    W(XTransaction), W(XDialog), W(XClock), W(XBacklog), W(XCall), W(XResult), W(XSend), W(XArgs), W(XBatch), W(XList),
    W(XSendWords), W(XArgsWords), W(XBatchWords), W(XListWords), W(ExchangeWords),
    W(SFlow), W(SPort), W(SAddress0), W(STag), W(SCount), W(SPieces), W(SendPiecesMax),
    // the shard's memory
    {"ParserReservedBytes", SIP_PARSER_RESERVED_BYTES},
    W(Slots), W(SlotBytes), W(SlotStride), W(WordsBytes), W(OverflowBytes), W(HeadroomBytes), W(PaddingBytes),
    {"SlotsOffset", kSlotsAt}, {"WordsOffset", kWordsAt}, {"OverflowOffset", kOverflowAt},
    {"ScratchOffset", kScratchAt}, W(ScratchBytes), W(MemoryBytes),
    // a batch
    W(BatchMax), W(BatchWords), W(KeptSlotsMax),
    W(NSlot), W(NMessage), W(NLength), W(NWords), W(NFlow), W(NPort), W(NAddress0), W(NSteered), W(NOwnerGuess), W(NTick),
    {"FailureWords", sizeof(Failure) / sizeof(std::uint32_t)}, W(FailuresMax), W(OutMessagesMax), W(NoBranch),
    W(LetterWordsMax), W(SocketsMax),
    // transactions
    W(HeadWords), W(BranchWords), W(BranchesMax), W(RegisterWords), W(EditsMax), W(TickMilliseconds), W(AdvanceNodesMax),
    W(BranchNameBytesMax),
    W(TIndex), W(TGeneration), W(TOwner), W(TBranchCount), W(TRequestBlock), W(TRequestBytes), W(TReplyBlock),
    W(TReplyBytes), W(TKeyLo), W(TKeyHi), W(TKind), W(TState), W(TMethod), W(TFlags), W(TCode), W(TFlow), W(TPort),
    W(TAddress0), W(TAddress1), W(TAddress2), W(TAddress3), W(TDialogIndex), W(TDialogGeneration), W(TDirection),
    W(TRetransmitDue), W(TRetransmitInterval), W(TEndDue), W(TRouteDue), W(TOnReply), W(TOnFailure), W(TOnBranch),
    W(TCSeq), W(TLoopHash), W(TCreated), W(TUser0), W(TUser1), W(TUser2), W(TUser3), W(TUser4), W(THeadEnd),
    W(BEditsBlock), W(BEditsBytes), W(BReplyBlock), W(BReplyBytes), W(BState), W(BCode), W(BFlow), W(BPort),
    W(BAddress0), W(BAddress1), W(BAddress2), W(BAddress3), W(BRetransmitDue), W(BRetransmitInterval), W(BFinalDue),
    W(BEndDue), W(BFlags), W(BHash), W(BCSeqReceived), W(BCSeqSent), W(BToTag), W(BUser0), W(BUser1), W(BEnd),
    // dialogs
    W(DialogWords),
    W(DIndex), W(DGeneration), W(DVersion), W(DEntry), W(DId), W(DCookieId), W(DState), W(DDirection), W(DHolds),
    W(DFlags), W(DScriptFlags), W(DProperties), W(DLifetime), W(DDue), W(DInitTs), W(DStartTs), W(DEndTs),
    W(DCallerCSeq), W(DCalleeCSeq), W(DCallerSocket), W(DCalleeSocket), W(DRecordRoutes), W(DCalleeTagHash),
    W(DMembers), W(DVariables), W(DTimeoutRoute), W(DByeOwed),
    W(DTransactionIndex), W(DTransactionGeneration), W(DMarks), W(DEarlyLegs), W(DSteps), W(DSavedDue), W(DKaFailures),
    W(DKaDue), W(DWordEnd), W(NoCSeq), W(SnapshotBytesMax), W(VariableBytesMax),
    W(Unconfirmed), W(Early), W(ConfirmedNoAck), W(Confirmed), W(Deleted), W(None), W(Downstream), W(Upstream),
    W(ChangeState), W(ChangeDue), W(ChangeLifetime), W(ChangeStartTs), W(ChangeEndTs), W(ChangeFlags),
    W(ChangeScriptFlags), W(ChangeProperties), W(ChangeCallerCSeq), W(ChangeCalleeCSeq), W(ChangeCalleeLeg),
    W(ChangeCallerContact), W(ChangeCalleeContact), W(ChangeTimeoutRoute), W(ChangeTransaction), W(ChangeMarks),
    W(ChangeSavedDue), W(ChangeKaDue), W(ChangeCallerRouteSet), W(MarkRouteAsked), W(MarkShortened), W(MarkByeAwaited), W(MarkEndOwed), W(MarkEndExpired), W(MarkEndNoAck), W(MarkByeToCallerUnsent), W(MarkByeToCalleeUnsent), W(EarlyLegsMax), W(CSeqStepsMax),
    {"EndBye", static_cast<double>(EndReason::kBye)}, {"EndExpired", static_cast<double>(EndReason::kExpired)},
    {"EndCommand", static_cast<double>(EndReason::kCommand)},
    W(TextCallId), W(TextFromUri), W(TextToUri), W(TextRequestUri), W(TextCallerTag), W(TextCalleeTag),
    W(TextCallerContact), W(TextCalleeContact), W(TextCallerRouteSet), W(TextCalleeRouteSet), W(TextCallerSocket),
    W(TextCalleeSocket), W(TextTimeoutRoute), W(TextCallerSource), W(TextCalleeSource), W(TextCount), W(SourceBytesMax),
    // counters
#define HOLDFAST_COUNTER(constant, name, reset) W(Counter##constant),
    HOLDFAST_COUNTERS(HOLDFAST_COUNTER)
#undef HOLDFAST_COUNTER
    W(CounterEnd), W(LayoutVersion), W(WorkersMax),
};
#undef W
// clang-format on

Napi::Value layout(const Napi::CallbackInfo& info) {
  Napi::Object rows = Napi::Object::New(info.Env());
  for (const Row& row : kRows) rows.Set(row.name, row.value);
  return rows;
}

}  // namespace

void export_layout(Napi::Env env, Napi::Object exports) {
  exports.Set("layout", Napi::Function::New(env, layout, "layout"));
}

}  // namespace holdfast::binding
