// InterruptScope: while one exists, the first Ctrl-C (SIGINT) is noted and does not end the
// process, so that a long command can stop in good order and say how far it came. The second one
// ends the process at once, as the first does without a scope.
//
// One at a time, in the thread that runs the command. `interrupted` from any thread.

#ifndef GYRE_API_CLI_INTERRUPT_H_
#define GYRE_API_CLI_INTERRUPT_H_

#include <csignal>

namespace gyre {

class InterruptScope {
 public:
  InterruptScope();
  ~InterruptScope();
  InterruptScope(const InterruptScope&) = delete;
  InterruptScope& operator=(const InterruptScope&) = delete;

  bool interrupted() const;

 private:
  struct sigaction before_ = {};
};

}  // namespace gyre

#endif  // GYRE_API_CLI_INTERRUPT_H_
