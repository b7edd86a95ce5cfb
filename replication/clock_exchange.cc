#include "replication/clock_exchange.h"

#include "ring/check.h"

namespace gyre {

void ClockExchange::OnAnswer(const ClockAnswer& answer, Time now) {
  GYRE_CHECK(expecting_, "one answer to a question");
  expecting_ = false;
  deadline_ = now + kPatience;
  ++answers_;
  complete_ = answer.complete;
  brought_ = answer.items.size();
  missed_ = 0;
  cuts_ = answer.log_cut ? cuts_ + 1 : 0;
  bases_ = answer.bases;
  upto_ = answer.upto;
}

ClockExchange::Next ClockExchange::OnTakenIn() {
  if (cuts_ > 1) return Next::kCopy;
  const bool nothing_came = brought_ == missed_;
  if (cuts_ == 0 && complete_) return missed_ == 0 ? Next::kJoinBases : Next::kGiveUp;
  const bool passes_over = cuts_ == 0 && (after_ != Dot{} || (missed_ > 0 && upto_ != Dot{}));
  if (passes_over) {
    const bool on = after_ < upto_;
    after_ = on ? upto_ : Dot{};
    if (!on) return Next::kGiveUp;
  } else if (cuts_ == 0 && nothing_came) {
    return Next::kGiveUp;
  }
  if (answers_ >= kMostAnswers) return Next::kGiveUp;
  expecting_ = true;
  return Next::kAskAgain;
}

}  // namespace gyre
