// Trial: one exchange on the bench, for tests that read as scripts. Nodes are letters, times are
// milliseconds since the start, and every step answers with a line that says all that was wanted:
//
//   Trial trial(std::make_unique<WriteExchange>(request, Memory::kDoesNotKnow),
//               {.owners = "abc", .self = 'a'});
//   trial.Start()                  // "mint, wake 2000"
//   trial.Minted(outcome)          // "Apply>b, Apply>c, wake 2000"
//   trial.Hear('b', ApplyReply{})  // "OK 2/2"
//
// For tests. One thread.

#ifndef GYRE_REPLICATION_TRIAL_H_
#define GYRE_REPLICATION_TRIAL_H_

#include <array>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "replication/exchange.h"

namespace gyre {

inline NodeId NodeOf(char letter) { return NodeId(static_cast<uint64_t>(letter)); }
inline ReplicaId ReplicaOf(char letter) { return ReplicaId(static_cast<uint64_t>(letter)); }

inline RecordPtr Share(Record record) { return std::make_shared<const Record>(std::move(record)); }

class Trial {
 public:
  struct Setting {
    std::string owners = "abc";
    char self = 'a';
    std::string unreachable = {};
    std::string suspected = {};
    std::optional<Record> at_hand = {};
    PeerPace* pace = nullptr;             // null: one that has seen nothing
    std::optional<uint64_t> time_ms = 1;  // the cluster's
    // Whom the partition goes from, and to; "": it stays. Which of them is an owner says the step.
    std::string moves = {};
  };

  Trial(std::unique_ptr<Exchange> exchange, Setting setting)
      : exchange_(std::move(exchange)), setting_(std::move(setting)) {}

  // The steps below happen at this time.
  Trial& At(int64_t ms) {
    now_ = Time() + Duration::Millis(ms);
    return *this;
  }

  std::string Start() {
    std::vector<NodeId> owners;
    for (char owner : setting_.owners) owners.push_back(NodeOf(owner));
    const auto reachable = [this](NodeId node) {
      return setting_.unreachable.find(Letter(node)) == std::string::npos;
    };
    const auto healthy = [&](NodeId node) {
      return reachable(node) && setting_.suspected.find(Letter(node)) == std::string::npos;
    };
    const auto at_hand = [this] { return setting_.at_hand; };
    Move move;
    if (!setting_.moves.empty()) {
      const bool filling = setting_.owners.find(setting_.moves[0]) != std::string::npos;
      move = {{},
              NodeOf(setting_.moves[0]),
              NodeOf(setting_.moves[1]),
              Epoch(7),
              filling ? MoveStep::kFilling : MoveStep::kSwitched};
    }
    return Step([&](Effects* effects) {
      exchange_->Start({NodeOf(setting_.self), Epoch(7), owners, reachable, healthy, at_hand,
                        setting_.pace != nullptr ? setting_.pace : pace_.get(), setting_.time_ms,
                        setting_.moves.empty() ? nullptr : &move},
                       now_, effects);
    });
  }
  std::string Minted(MintOutcome minted) {
    return Step([&](Effects* e) { exchange_->OnMinted(std::move(minted), now_, e); });
  }
  std::string Hear(char from, PeerBody body) {
    return Step([&](Effects* e) { exchange_->OnReply(NodeOf(from), std::move(body), now_, e); });
  }
  std::string Lose(char node) {
    return Step([&](Effects* e) { exchange_->OnUnreachable(NodeOf(node), now_, e); });
  }
  std::string StandIns(const std::string& letters) {
    std::vector<NodeId> nodes;
    for (char letter : letters) nodes.push_back(NodeOf(letter));
    return Step([&](Effects* e) { exchange_->OnStandIns(std::move(nodes), now_, e); });
  }
  std::string Judged(const Judgement& judgement) {
    return Step([&](Effects* e) { exchange_->OnJudged(judgement, now_, e); });
  }
  std::string Wake() {
    return Step([&](Effects* e) { exchange_->OnWake(now_, e); });
  }
  std::string FailHere(Outcome::Code code) {
    return Step([&](Effects* e) { exchange_->OnLocalFailure(code, now_, e); });
  }

  // What the last step wanted, in full.
  const Effects& effects() const { return effects_; }
  const Outcome& outcome() const { return *effects_.outcome; }
  template <typename Body>
  const Body& sent(size_t index) const {
    return std::get<Body>(effects_.sends.at(index).second);
  }

 private:
  template <typename Fn>
  std::string Step(Fn step) {
    effects_ = Effects();
    step(&effects_);
    return Describe();
  }

  static char Letter(NodeId node) { return static_cast<char>(node.value()); }

  static std::string Name(const Outcome& outcome) {
    static constexpr std::array<const char*, 10> kCodes = {
        "OK",         "QUORUM_NOT_MET", "TIMED_OUT", "TOO_MANY_SIBLINGS", "STALE",
        "OVERLOADED", "STORAGE_FAILED", "CORRUPT",   "FILLING",           "TIME_UNKNOWN"};
    std::string text = kCodes.at(static_cast<size_t>(outcome.code));
    text += " " + std::to_string(outcome.answered) + "/" + std::to_string(outcome.needed);
    if (outcome.stand_ins > 0) text += " stand-ins " + std::to_string(outcome.stand_ins);
    if (outcome.outcome_unknown) text += " unknown";
    if (outcome.repair_sent) text += " repaired";
    return text;
  }

  std::string Describe() const {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    if (effects_.stand_ins) add("stand-ins?");
    if (effects_.adopt.has_value()) add("adopt");
    if (effects_.guest.has_value()) add("guest");
    if (effects_.mint.has_value()) add("mint");
    if (effects_.judge.has_value()) add("judge " + std::to_string(effects_.judge->size()));
    if (effects_.restore.has_value()) {
      std::string values = "restore";
      for (const Version& version : effects_.restore->record->versions) {
        values.append(" ").append(version.value.view());
      }
      add(values);
    }
    for (const auto& [to, body] : effects_.sends) {
      add(std::string(MessageName(body)) + ">" + Letter(to));
    }
    if (effects_.outcome.has_value()) {
      add(Name(*effects_.outcome));
    } else if (effects_.wake != Time::Never()) {
      add("wake " + std::to_string((effects_.wake - Time()).millis()));
    }
    return text;
  }

  const std::unique_ptr<Exchange> exchange_;
  const Setting setting_;
  const std::unique_ptr<PeerPace> pace_ = std::make_unique<PeerPace>();
  Time now_;
  Effects effects_;
};

}  // namespace gyre

#endif  // GYRE_REPLICATION_TRIAL_H_
