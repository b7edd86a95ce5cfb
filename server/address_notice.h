// AddressNotice: tells the cluster where this node is, where the document does not say so, and goes
// on until it does: with a pause after each attempt that failed, since a majority of the voters may
// be away for as long as it takes, and nobody else would tell. It looks again after each pause, for
// the document that the node begins with may say so and the one that it is told of not.
//
//   AddressNotice notice({.is_told = ..., .propose = ..., .on_failure = ...}, pause);
//
// It has a thread, which ends with it. Thread rule: made and ended by one thread; what it is given
// is called on its own, one after the other.

#ifndef GYRE_SERVER_ADDRESS_NOTICE_H_
#define GYRE_SERVER_ADDRESS_NOTICE_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "absl/status/status.h"

namespace gyre {

class AddressNotice {
 public:
  using Done = std::function<void(absl::Status)>;
  struct Parts {
    // Whether the document has it, or nobody is to be told any more.
    std::function<bool()> is_told;
    // `done` may be called on any thread, also when the notice is gone, or never.
    std::function<void(Done done)> propose;
    std::function<void(const absl::Status&)> on_failure;
  };
  // After each look. Default 2 s. Longer, and who lost this node looks for it in the wrong place
  // for longer; shorter, and voters that are busy are asked again and again.
  static constexpr std::chrono::milliseconds kPause{2000};

  explicit AddressNotice(Parts parts, std::chrono::milliseconds pause = kPause);
  AddressNotice(const AddressNotice&) = delete;
  AddressNotice& operator=(const AddressNotice&) = delete;
  // Waits for none of what was proposed.
  ~AddressNotice();

 private:
  struct Answers {
    std::mutex mutex;
    std::condition_variable changed;
    bool stopping = false;                     // guarded by mutex, as is the next
    std::optional<absl::Status> of_last = {};  // none: it is waited for
  };

  void Run();
  // Of one attempt; nothing: it is to stop.
  std::optional<absl::Status> Propose();

  const Parts parts_;
  const std::chrono::milliseconds pause_;
  const std::shared_ptr<Answers> answers_ = std::make_shared<Answers>();
  std::thread thread_;  // last: it uses all above
};

}  // namespace gyre

#endif  // GYRE_SERVER_ADDRESS_NOTICE_H_
